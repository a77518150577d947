"""Nothing is acknowledged that is not written, and a log that fails recovers with a whole chain."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from msgspec.structs import replace

from kzproxy.audit.chain import GENESIS, verify_chain
from kzproxy.audit.decision_log import DecisionLog, DecisionLogSettings
from kzproxy.audit.events import Event
from kzproxy.audit.records import Caller, abandoned_record
from kzproxy.audit.rotation import Rotation, moved_files
from kzproxy.audit.sink import FileSink, StreamSink
from kzproxy.clock.system import SystemClock
from kzproxy.errors.configuration import ConfigurationError
from kzproxy.errors.kinds import ServiceUnavailable, Unrecorded
from tests.audit.faults import no_file_grows_over
from tests.audit.samples import (
    ALICE,
    ARRIVAL,
    NOW,
    completed_record,
    lines_of,
    permit_record,
)


class StoppedClock(SystemClock):
    """Always the same time of day."""

    def now(self) -> datetime:
        return NOW


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "decisions.jsonl"


def opened(path: Path) -> DecisionLog:
    return DecisionLog.open(DecisionLogSettings(file=path, stdout=False), SystemClock())


@pytest_asyncio.fixture
async def log(path: Path) -> AsyncIterator[DecisionLog]:
    log = opened(path)
    yield log
    await log.close()


def kinds(path: Path) -> list[str]:
    return [line["kind"] for line in lines_of(path)]


def check_chain(*paths: Path) -> None:
    verify_chain(line for path in paths for line in path.read_bytes().splitlines(keepends=True))


async def refused(recording: Awaitable[None]) -> ServiceUnavailable:
    with pytest.raises(ServiceUnavailable) as refusal:
        await recording
    assert refusal.value.retry_after_seconds == 1
    return refusal.value


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


def writes_of_this_process() -> int:
    """Count write system calls, as the kernel does."""
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(fields["syscw"])


async def test_a_record_is_in_the_file_when_it_is_acknowledged(
    log: DecisionLog, path: Path
) -> None:
    await log.record_decision(permit_record("one"), durable=False)
    assert lines_of(path)[-1]["audit_id"] == "one"
    await log.record_decision(permit_record("two"), durable=True)
    assert lines_of(path)[-1]["audit_id"] == "two"
    await log.record_outcome(completed_record("one"))
    assert kinds(path) == ["started", "decision", "decision", "completed"]
    check_chain(path)


async def test_an_event_is_in_the_file_when_it_is_acknowledged(
    log: DecisionLog, path: Path
) -> None:
    await log.record_event(Event(name="device.forgotten", device_id="4f"))
    line = lines_of(path)[-1]
    assert (line["kind"], line["event"], line["device"]) == (
        "event",
        "device.forgotten",
        {"id": "4f"},
    )
    check_chain(path)
    await log.close()
    await refused(log.record_event(Event(name="device.forgotten", device_id="5a")))


async def test_the_outcomes_of_one_tick_are_one_write(log: DecisionLog, path: Path) -> None:
    before = writes_of_this_process()
    for number in range(50):
        log.add_outcome(completed_record(str(number)))
    assert writes_of_this_process() == before
    await asyncio.sleep(0)
    assert writes_of_this_process() - before == 1
    assert [line["audit_id"] for line in lines_of(path)[1:]] == [str(n) for n in range(50)]


async def test_a_decision_is_one_write_with_the_outcomes_that_came_before_it(
    log: DecisionLog, path: Path
) -> None:
    before = writes_of_this_process()
    for name in ("one", "two"):
        log.add_outcome(completed_record(name))
    await log.record_decision(permit_record("three"), durable=False)
    assert writes_of_this_process() - before == 1
    assert [line["audit_id"] for line in lines_of(path)[1:]] == ["one", "two", "three"]
    await asyncio.sleep(0)
    assert writes_of_this_process() - before == 1
    check_chain(path)


async def test_the_durable_records_of_one_tick_are_one_write(log: DecisionLog, path: Path) -> None:
    pending = [
        asyncio.ensure_future(log.record_decision(permit_record(str(number)), durable=True))
        for number in range(50)
    ]
    await asyncio.sleep(0)
    before = writes_of_this_process()
    await asyncio.sleep(0)
    assert writes_of_this_process() - before == 1
    assert [line["audit_id"] for line in lines_of(path)[1:]] == [str(n) for n in range(50)]
    await asyncio.gather(*pending)


async def test_a_log_goes_on_after_a_restart(path: Path) -> None:
    for _ in range(3):
        log = opened(path)
        await log.record_decision(permit_record(), durable=True)
        await log.close()
    assert kinds(path) == [
        "started",
        "decision",
        "stopped",
        "resumed",
        "decision",
        "stopped",
        "resumed",
        "decision",
        "stopped",
    ]
    assert lines_of(path)[3]["after"] == "restart"
    check_chain(path)


async def test_a_torn_line_is_counted_in_the_next_first_record(path: Path) -> None:
    log = opened(path)
    await log.close()
    with path.open("ab") as file:
        file.write(b'{"v":1,"seq":3,')
    await opened(path).close()
    assert lines_of(path)[2]["kind"] == "resumed"
    assert lines_of(path)[2]["torn_bytes"] == 15
    check_chain(path)


async def test_a_full_disk_refuses_and_the_log_recovers_when_there_is_room(
    log: DecisionLog, path: Path
) -> None:
    await log.record_decision(permit_record("before"), durable=False)
    whole = path.read_bytes()
    with no_file_grows_over(len(whole) + 100):
        refusals = await asyncio.gather(
            *(refused(log.record_decision(permit_record("full"), durable=d)) for d in (False, True))
        )
        await log.record_outcome(completed_record("before"))
        assert path.read_bytes() == whole
        assert "cannot be written: File too large" in log.problem()
    assert {refusal.code for refusal in refusals} == {503}
    assert all("File too large" in refusal.detail for refusal in refusals)
    await log.record_decision(permit_record("after"), durable=True)
    assert log.problem() == ""
    assert [(line["kind"], line.get("audit_id")) for line in lines_of(path)] == [
        ("started", None),
        ("decision", "before"),
        ("completed", "before"),
        ("gap", None),
        ("decision", "after"),
    ]
    assert lines_of(path)[3]["refused"] == 2
    assert log.counts.write_failures == 3
    check_chain(path)


async def test_a_log_without_requests_recovers_by_itself(log: DecisionLog, path: Path) -> None:
    """Or a proxy that is not ready, and so gets no request, would never be ready again."""
    with no_file_grows_over(len(path.read_bytes())):
        await refused(log.record_decision(permit_record(), durable=False))
        assert log.problem() != ""
    await until(lambda: log.problem() == "")
    assert kinds(path) == ["started", "gap"]
    check_chain(path)


@pytest.mark.parametrize("durable", [False, True])
async def test_whatever_byte_the_disk_is_full_at_the_chain_is_whole(
    path: Path, *, durable: bool
) -> None:
    """Fault injection at every 37th byte of three lines, one by one and in a batch."""
    log = opened(path)
    await log.record_decision(permit_record("first"), durable=False)
    size_of_line = len(path.read_bytes().splitlines(keepends=True)[1])
    acknowledged = ["first"]
    for room in range(0, 4 * size_of_line, 37):
        names = [f"{room}-{number}" for number in range(3)]
        with no_file_grows_over(len(path.read_bytes()) + room):
            results = await asyncio.gather(
                *(log.record_decision(permit_record(name), durable=durable) for name in names),
                return_exceptions=True,
            )
        kinds_of_results = {type(result) for result in results}
        assert kinds_of_results <= {type(None), Unrecorded}
        assert len(kinds_of_results) == 1 or not durable
        acknowledged += [name for name, result in zip(names, results, strict=True) if not result]
        check_chain(path)
    await log.close()
    written = [line["audit_id"] for line in lines_of(path) if line["kind"] == "decision"]
    assert written == acknowledged
    assert len(written) > 1


async def test_outcomes_are_held_in_order_and_their_number_is_bounded(
    log: DecisionLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kzproxy.audit.chain_writer.MAX_HELD_RECORDS", 3)
    with no_file_grows_over(len(path.read_bytes())):
        for number in range(5):
            await log.record_outcome(completed_record(str(number)))
    assert log.counts.lost_outcomes == 2
    await log.record_decision(permit_record("next"), durable=False)
    written = lines_of(path)[1:]
    assert [line.get("audit_id", line["kind"]) for line in written] == [
        "0",
        "1",
        "2",
        "gap",
        "next",
    ]
    assert written[3]["lost"] == 2
    check_chain(path)


def log_to_a_pipe(moved: Path) -> tuple[DecisionLog, int]:
    """Return a log that is written to a pipe until it is reopened, and what the pipe is read by.

    A pipe takes writes and refuses fsync, which no file does when asked to.
    """
    reader, writer = os.pipe()
    sink = FileSink(writer, moved, head=GENESIS, torn_bytes=0)
    settings = DecisionLogSettings(file=moved, stdout=False)
    return DecisionLog(sink, GENESIS, settings=settings, clock=SystemClock()), reader


async def test_only_durable_records_wait_for_the_disk_and_a_failed_sync_refuses_all(
    tmp_path: Path,
) -> None:
    log, reader = log_to_a_pipe(tmp_path / "moved")
    await log.record_decision(permit_record("read"), durable=False)
    refusal = await refused(log.record_decision(permit_record("write"), durable=True))
    assert "cannot be made durable" in refusal.detail
    assert log.sync_failures == 1
    await refused(log.record_decision(permit_record("read"), durable=False))
    assert len(os.read(reader, 65536).splitlines()) == 2
    log.reopen()
    await log.record_decision(permit_record("write"), durable=True)
    await log.close()
    assert kinds(tmp_path / "moved") == ["resumed", "gap", "decision", "stopped"]
    os.close(reader)


class Standing:
    """Counts the records that are said to stand."""

    def __init__(self) -> None:
        self.count = 0

    def note(self) -> None:
        self.count += 1


async def test_a_record_that_stands_is_said_to_even_where_the_disk_refuses_it(
    tmp_path: Path,
) -> None:
    log, reader = log_to_a_pipe(tmp_path / "moved")
    standing = Standing()
    await refused(log.record_decision(permit_record(), durable=True, stands=standing.note))
    assert (standing.count, os.read(reader, 65536).count(b"\n")) == (1, 1)
    await refused(log.record_decision(permit_record(), durable=False, stands=standing.note))
    assert standing.count == 1
    await log.close()
    os.close(reader)


async def test_a_record_that_cannot_be_written_does_not_stand(log: DecisionLog, path: Path) -> None:
    standing = Standing()
    with no_file_grows_over(len(path.read_bytes())):
        await refused(log.record_decision(permit_record(), durable=True, stands=standing.note))
    assert standing.count == 0


async def test_a_record_stands_before_whoever_waits_for_it_is_cancelled(
    log: DecisionLog, path: Path
) -> None:
    standing, seen = Standing(), []

    async def wait() -> None:
        try:
            await log.record_decision(permit_record("left"), durable=True, stands=standing.note)
        except asyncio.CancelledError:
            seen.append(standing.count)
            raise

    waiting = asyncio.get_running_loop().create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert seen == [1]
    assert [line.get("audit_id") for line in lines_of(path)[1:]] == ["left"]


async def test_a_refusal_that_nobody_waits_for_is_written_and_remembered(path: Path) -> None:
    log = opened(path)
    record = abandoned_record(
        "gone", ARRIVAL, decided_at=NOW, caller=Caller(identity=ALICE, session_id="s-1")
    )
    log.add_decision(record)
    await log.close()
    assert kinds(path) == ["started", "decision", "stopped"]
    assert log.recent.recall(record.audit_id) is not None


async def test_rotation_goes_on_with_the_same_chain_in_a_new_file(
    log: DecisionLog, path: Path
) -> None:
    old = path.with_name("decisions.jsonl.1")
    await log.record_decision(permit_record("old"), durable=True)
    path.rename(old)
    pending = asyncio.gather(log.record_decision(permit_record("between"), durable=True))
    await asyncio.sleep(0)
    log.reopen()
    await log.record_decision(permit_record("new"), durable=True)
    await pending
    assert [line.get("audit_id", line["kind"]) for line in lines_of(old)] == [
        "started",
        "old",
        "between",
    ]
    assert [line.get("audit_id", line["kind"]) for line in lines_of(path)] == ["resumed", "new"]
    assert lines_of(path)[0]["after"] == "rotation"
    check_chain(old, path)
    check_chain(path)


async def test_a_new_file_whose_first_line_cannot_be_written_has_it_when_there_is_room(
    log: DecisionLog, path: Path
) -> None:
    """By itself, for a proxy that is not ready gets no request; nor does it matter how often."""
    old = path.with_name("old")
    path.rename(old)
    with no_file_grows_over(0):
        log.reopen()
        assert "cannot be written: File too large" in log.problem()
        path.unlink()
        log.reopen()
        assert path.read_bytes() == b""
    await until(lambda: log.problem() == "")
    assert [(line["kind"], line["after"]) for line in lines_of(path)] == [("resumed", "rotation")]
    check_chain(old, path)


async def test_the_first_line_of_a_new_file_comes_before_what_is_held(
    log: DecisionLog, path: Path
) -> None:
    old = path.with_name("old")
    with no_file_grows_over(0):
        await log.record_outcome(completed_record("before"))
        path.rename(old)
        log.reopen()
        await log.record_outcome(completed_record("after"))
        await refused(log.record_decision(permit_record(), durable=False))
    await log.record_decision(permit_record("last"), durable=True)
    assert [line.get("audit_id", line["kind"]) for line in lines_of(path)] == [
        "resumed",
        "before",
        "after",
        "gap",
        "last",
    ]
    check_chain(old, path)


async def test_reopening_what_was_not_moved_changes_nothing(log: DecisionLog, path: Path) -> None:
    log.reopen()
    await log.record_decision(permit_record(), durable=False)
    assert kinds(path) == ["started", "decision"]


async def test_rotation_onto_a_strange_file_keeps_the_old_one(
    log: DecisionLog, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old = path.with_name("old")
    path.rename(old)
    path.write_bytes(b"something else\n")
    log.reopen()
    assert "move it away" in caplog.text
    assert path.read_bytes() == b"something else\n"
    await log.record_decision(permit_record(), durable=True)
    assert kinds(old) == ["started", "decision"]


async def test_a_log_that_is_long_enough_goes_on_in_a_new_file(path: Path) -> None:
    rotation = Rotation(at_bytes=10_000, keep=2)
    settings = DecisionLogSettings(file=path, stdout=False, rotation=rotation)
    log = DecisionLog.open(settings, SystemClock())
    stranger = path.with_name("decisions.jsonl.1")
    stranger.write_text("not ours")
    names = [str(number) for number in range(60)]
    for name in names:
        await log.record_decision(permit_record(name), durable=name.endswith("7"))
    await log.close()
    files = [*moved_files(path), path]
    assert len(files) == 3
    assert all(9_000 < file.stat().st_size < 12_000 for file in files[:-1])
    check_chain(*files)
    kept = [line["audit_id"] for file in files for line in lines_of(file) if "audit_id" in line]
    assert kept == names[-len(kept) :]
    assert stranger.read_text() == "not ours"


async def test_a_log_that_cannot_be_moved_goes_on_where_it_is(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The name to move it to is taken by a directory, which no rename replaces."""
    rotation = Rotation(at_bytes=3_000, keep=2)
    settings = DecisionLogSettings(file=path, stdout=False, rotation=rotation)
    clock = StoppedClock()
    log = DecisionLog.open(settings, clock)
    for seq in range(2, 12):
        path.with_name(f"{path.name}.20260504T093000Z-{seq:012d}").mkdir()
    for number in range(10):
        await log.record_decision(permit_record(str(number)), durable=False)
    await log.close()
    assert "cannot be rotated" in caplog.text
    assert len(lines_of(path)) == 12
    check_chain(path)


async def test_a_closed_log_refuses(path: Path) -> None:
    log = opened(path)
    await log.close()
    await log.close()
    log.reopen()
    refusal = await refused(log.record_decision(permit_record(), durable=False))
    assert refusal.detail == "the decision log is closed"
    await log.record_outcome(completed_record())
    assert kinds(path) == ["started", "stopped"]


async def test_records_queued_before_the_close_are_written(path: Path) -> None:
    log = opened(path)
    log.add_outcome(completed_record("last"))
    await log.close()
    assert kinds(path) == ["started", "completed", "stopped"]


async def test_a_cancelled_request_leaves_its_record_and_disturbs_no_other(
    log: DecisionLog, path: Path
) -> None:
    async with asyncio.TaskGroup() as group:
        gone = group.create_task(log.record_decision(permit_record("gone"), durable=True))
        await asyncio.sleep(0)
        gone.cancel()
        group.create_task(log.record_decision(permit_record("stays"), durable=True))
    assert [line["audit_id"] for line in lines_of(path)[1:]] == ["gone", "stays"]
    check_chain(path)


async def test_a_record_over_the_bound_is_refused(log: DecisionLog, path: Path) -> None:
    record = permit_record()
    assert record.user is not None
    groups = tuple(["g" * 1024] * 1030)
    record = replace_user(record, groups)
    refusal = await refused(log.record_decision(record, durable=False))
    assert "over the bound" in refusal.detail
    assert kinds(path) == ["started"]


def replace_user(record: Any, groups: tuple[str, ...]) -> Any:
    return replace(record, user=replace(record.user, groups=groups))


async def test_a_file_that_is_in_use_is_refused_at_the_start(log: DecisionLog, path: Path) -> None:
    with pytest.raises(ConfigurationError, match="in use by another kzproxy"):
        opened(path)


async def test_a_disk_that_is_full_at_the_start_is_said_plainly(path: Path) -> None:
    with no_file_grows_over(10), pytest.raises(ConfigurationError) as refusal:
        opened(path)
    assert str(refusal.value) == f"{path}: the decision log cannot be written: File too large"
    await opened(path).close()
    assert kinds(path) == ["started", "stopped"]


async def test_a_pipe_that_nobody_reads_refuses_in_time_and_recovers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reader, writer = os.pipe()
    settings = DecisionLogSettings(file=None, stdout=True, sync_timeout=timedelta(seconds=1.5))
    log = DecisionLog(StreamSink(writer), GENESIS, settings=settings, clock=SystemClock())
    refusals = 0
    while not refusals:  # the pipe holds 64 KiB
        try:
            await log.record_decision(permit_record(), durable=False)
        except ServiceUnavailable:
            refusals += 1
    assert "has been stuck for 1.5 seconds" in log.problem()
    assert (log.sync_failures, log.problem() != "") == (1, True)
    await refused(log.record_decision(permit_record(), durable=False))
    read = bytearray()
    loop = asyncio.get_running_loop()
    while log.problem():
        read += await loop.run_in_executor(None, os.read, reader, 65536)
    await log.record_decision(permit_record("after"), durable=False)
    await log.close()
    os.close(writer)
    while chunk := os.read(reader, 65536):
        read += chunk
    lines = bytes(read).splitlines(keepends=True)
    verify_chain(lines)
    assert [json.loads(line)["kind"] for line in lines[-3:]] == ["gap", "decision", "stopped"]
    os.close(reader)
    told = [record.message for record in caplog.records]
    assert told == [
        "the decision log has been stuck for 1.5 seconds; requests are refused until it goes on",
        "the decision log goes on",
    ]


def test_settings_say_which_worker_writes() -> None:
    settings = DecisionLogSettings(file=None, stdout=True)
    assert replace(settings, worker="7").worker == "7"


async def test_every_line_names_its_worker(path: Path) -> None:
    settings = DecisionLogSettings(file=path, stdout=False, worker="w7")
    log = DecisionLog.open(settings, SystemClock())
    await log.close()
    assert {line["worker"] for line in lines_of(path)} == {"w7"}


class Told:
    """What those are told who add without waiting, in their order, with what the file held then."""

    def __init__(self, path: Path) -> None:
        self.names: list[str] = []
        self.problems: list[ServiceUnavailable | None] = []
        self.lines: list[int] = []
        self._path = path

    def of(self, name: str) -> Callable[[ServiceUnavailable | None], None]:
        def told(problem: ServiceUnavailable | None) -> None:
            self.names.append(name)
            self.problems.append(problem)
            self.lines.append(len(self._path.read_bytes().splitlines()))

        return told


def payload(name: str) -> bytes:
    return msgspec.json.encode(permit_record(name))


async def test_what_is_added_again_is_told_of_once_its_line_is_in_the_file(
    log: DecisionLog, path: Path
) -> None:
    told, before = Told(path), writes_of_this_process()
    for name in ("one", "two"):
        log.add_again(payload(name), told.of(name))
        log.add_outcome(completed_record(f"before-{name}"))
    assert (told.names, writes_of_this_process()) == ([], before)
    await asyncio.sleep(0)

    assert writes_of_this_process() - before == 1
    assert (told.names, told.problems, told.lines) == (["one", "two"], [None, None], [5, 5])
    assert [line["audit_id"] for line in lines_of(path)[1:]] == [
        "one",
        "before-one",
        "two",
        "before-two",
    ]
    await asyncio.sleep(0)
    assert told.names == ["one", "two"]
    check_chain(path)


async def test_what_is_added_again_goes_with_a_decision_of_the_same_turn(
    log: DecisionLog, path: Path
) -> None:
    told, before = Told(path), writes_of_this_process()
    log.add_again(payload("again"), told.of("again"))
    await log.record_decision(permit_record("another"), durable=False)

    assert (told.problems, told.lines) == ([None], [3])
    assert writes_of_this_process() - before == 1
    await asyncio.sleep(0)
    assert told.names == ["again"]


async def test_what_is_added_while_others_are_told_is_told_of_too(
    log: DecisionLog, path: Path
) -> None:
    told = Told(path)

    def first(problem: ServiceUnavailable | None) -> None:
        told.of("first")(problem)
        log.add_again(payload("second"), told.of("second"))
        log.add_outcome(completed_record("first"))

    log.add_again(payload("first"), first)
    for _ in range(3):
        await asyncio.sleep(0)

    assert (told.names, told.lines) == (["first", "second"], [2, 4])
    check_chain(path)


async def test_a_full_disk_refuses_what_is_added_again(log: DecisionLog, path: Path) -> None:
    told = Told(path)
    with no_file_grows_over(path.stat().st_size):
        log.add_again(payload("refused"), told.of("refused"))
        await asyncio.sleep(0)
    log.add_again(payload("written"), told.of("written"))
    await asyncio.sleep(0)

    refusal, none = told.problems
    assert isinstance(refusal, ServiceUnavailable)
    assert (refusal.retry_after_seconds, none) == (1, None)
    assert told.names == ["refused", "written"]
    assert "refused" not in {line.get("audit_id") for line in lines_of(path)}
    (gap,) = [line for line in lines_of(path) if line["kind"] == "gap"]
    assert gap["refused"] == 1
    check_chain(path)


async def test_a_failed_sync_refuses_what_is_added_again(tmp_path: Path) -> None:
    log, reader = log_to_a_pipe(tmp_path / "moved")
    await refused(log.record_decision(permit_record("write"), durable=True))
    (tmp_path / "read").write_bytes(b"")
    told = Told(tmp_path / "read")
    log.add_again(payload("again"), told.of("again"))
    await asyncio.sleep(0)

    assert [type(problem) for problem in told.problems] == [Unrecorded]
    assert b'"audit_id":"again"' not in os.read(reader, 65536)
    os.close(reader)
    await log.close()


async def test_nothing_is_added_again_to_a_log_that_is_closed(path: Path) -> None:
    log = opened(path)
    assert log.writes_in_turn
    told = Told(path)
    log.add_again(payload("last"), told.of("last"))
    await log.close()

    assert (told.names, told.problems) == (["last"], [None])
    assert not log.writes_in_turn
    assert kinds(path) == ["started", "decision", "stopped"]


async def test_a_record_over_the_bound_is_not_added_again(log: DecisionLog, path: Path) -> None:
    told = Told(path)
    with pytest.raises(ServiceUnavailable):
        log.add_again(b'{"a":"' + b"x" * 2_000_000 + b'"}', told.of("too long"))
    await asyncio.sleep(0)

    assert told.names == []
    assert kinds(path) == ["started"]


async def test_a_log_that_is_handed_to_a_thread_is_not_added_to_again() -> None:
    reader, writer = os.pipe()
    settings = DecisionLogSettings(file=None, stdout=True)
    log = DecisionLog(StreamSink(writer), GENESIS, settings=settings, clock=SystemClock())

    assert not log.writes_in_turn
    await log.close()
    os.close(reader)
    os.close(writer)
