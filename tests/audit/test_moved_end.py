"""A chain goes on from a file that was moved away before the next one had its first line."""

import asyncio
import fcntl
import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kzproxy.audit.chain import GENESIS, seal, verify_chain
from kzproxy.audit.decision_log import DecisionLog, DecisionLogSettings
from kzproxy.clock.system import SystemClock
from kzproxy.errors.configuration import ConfigurationError
from tests.audit.faults import no_file_grows_over, no_more_files
from tests.audit.samples import lines_of, permit_record

OURS = "decisions.jsonl.20260504T093000Z-000000000003"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "decisions.jsonl"


def opened(path: Path, worker: str = "0") -> DecisionLog:
    settings = DecisionLogSettings(file=path, stdout=False, worker=worker)
    return DecisionLog.open(settings, SystemClock())


async def written(path: Path, worker: str = "0") -> None:
    """Write a log of three lines, or three more."""
    log = opened(path, worker)
    await log.record_decision(permit_record(), durable=False)
    await log.close()


def first_of(path: Path) -> tuple[int, str, str]:
    line = lines_of(path)[0]
    return line["seq"], line["kind"], line.get("after", "")


def check_chain(*paths: Path) -> None:
    lines = [line for path in paths for line in path.read_bytes().splitlines(keepends=True)]
    verified = verify_chain(lines)
    assert verified.start == GENESIS


@pytest.mark.parametrize("is_made", [False, True], ids=["absent", "empty"])
@pytest.mark.parametrize(
    "name",
    [OURS, "decisions.jsonl.1", "decisions.jsonl-20260504", "decisions.jsonl-2026-05-04_09:30"],
)
async def test_it_goes_on_after_an_end_in_the_middle_of_a_rotation(
    path: Path, name: str, *, is_made: bool
) -> None:
    await written(path)
    old = path.rename(path.with_name(name))
    if is_made:
        path.touch()
    await written(path)
    assert first_of(path) == (4, "resumed", "restart")
    check_chain(old, path)


async def test_it_goes_on_after_a_disk_that_was_full_at_the_rotation(path: Path) -> None:
    log = opened(path)
    await log.record_decision(permit_record(), durable=False)
    old = path.rename(path.with_name(OURS))
    with no_file_grows_over(0):
        log.reopen()
        await log.close()
    assert path.read_bytes() == b""
    await written(path)
    check_chain(old, path)


async def test_it_goes_on_after_a_rotation_to_a_file_that_could_not_be_opened(path: Path) -> None:
    log = opened(path)
    old = path.rename(path.with_name(OURS))
    with no_more_files():
        log.reopen()
    await log.record_decision(permit_record(), durable=True)
    await log.close()
    assert not path.exists()
    await written(path)
    assert first_of(path) == (4, "resumed", "restart")
    check_chain(old, path)


async def test_what_was_written_last_counts_and_empty_files_do_not(path: Path) -> None:
    """As logrotate names them: the higher the number, the older the file."""
    names = ["decisions.jsonl.3", "decisions.jsonl.2", "decisions.jsonl.1"]
    third, second, first = (path.with_name(name) for name in names)
    await written(path)
    path.rename(third)
    await asyncio.sleep(0.02)  # times of files are no finer than the ticks of the kernel
    await written(path)
    path.rename(second)
    first.touch()
    await written(path)
    check_chain(third, second, path)


async def test_the_torn_last_line_of_a_moved_file_is_put_aside(path: Path) -> None:
    await written(path)
    with path.open("ab") as file:
        file.write(b'{"v":1,"seq":4,')
    old = path.rename(path.with_name("decisions.jsonl.1"))
    path.write_bytes(b"{")
    await written(path)
    assert first_of(path) == (4, "resumed", "restart")
    assert lines_of(path)[0]["torn_bytes"] == 16
    assert path.with_name("decisions.jsonl.1.torn").read_bytes() == b'{"v":1,"seq":4,\n'
    check_chain(old, path)


async def test_a_moved_file_may_be_read_only(path: Path) -> None:
    await written(path)
    old = path.rename(path.with_name(OURS))
    old.chmod(0o400)
    await written(path)
    check_chain(old, path)


def pack(moved: Path) -> None:
    with gzip.open(moved.with_name(moved.name + ".gz"), "wb") as packed:
        packed.write(moved.read_bytes())
    moved.unlink()


def overwrite(moved: Path) -> None:
    moved.write_bytes(b"something else\n")


def cut_to_half_a_line(moved: Path) -> None:
    moved.write_bytes(moved.read_bytes()[:20])


def put_a_fifo(moved: Path) -> None:
    moved.unlink()
    os.mkfifo(moved)


def put_a_link_to_nothing(moved: Path) -> None:
    moved.unlink()
    moved.symlink_to("nothing")


@pytest.mark.parametrize(
    "spoil", [pack, overwrite, cut_to_half_a_line, put_a_fifo, put_a_link_to_nothing]
)
async def test_nothing_goes_on_from_or_past_what_is_no_log_and_that_is_said(
    path: Path, spoil: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    """Going on from the file before it would hide that one is missing."""
    await written(path)
    path.rename(path.with_name("decisions.jsonl.2"))
    await asyncio.sleep(0.02)
    await written(path)
    spoil(path.rename(path.with_name("decisions.jsonl.1")))
    await written(path)
    assert first_of(path) == (1, "started", "")
    assert "decisions.jsonl.1" in caplog.text
    assert "a new chain begins" in caplog.text


async def test_a_file_that_is_being_packed_still_counts(path: Path) -> None:
    """It stays until all of it is in the packed one, which is the later of the two."""
    await written(path)
    old = path.rename(path.with_name("decisions.jsonl.1"))
    path.with_name("decisions.jsonl.1.gz").write_bytes(b"\x1f\x8b")
    await written(path)
    check_chain(old, path)


async def test_other_files_beside_it_do_not_count(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in (
        "decisions.2.jsonl",
        "decisions.2.jsonl.1",
        "decisions.jsonl.bak",
        "decisions.jsonl.1.sha256",
        "decisions.jsonl.torn",
    ):
        path.with_name(name).write_bytes(b"".join(seal(GENESIS, "0", [b'{"kind":"a"}'])[0]))
    await written(path)
    assert first_of(path) == (1, "started", "")
    assert caplog.text == ""


async def test_the_log_of_another_worker_does_not_count(tmp_path: Path) -> None:
    """Of a log without a suffix, worker 1 has a file that could be one that was moved."""
    path = tmp_path / "decisions"
    await written(path)
    old = path.rename(tmp_path / "decisions.2")
    await asyncio.sleep(0.02)
    await written(tmp_path / "decisions.1", worker="1")
    await written(path)
    check_chain(old, path)


async def test_a_moved_file_that_is_still_written_to_is_in_use(path: Path) -> None:
    await written(path)
    old = path.rename(path.with_name("decisions.jsonl.1"))
    with old.open("ab") as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        with pytest.raises(ConfigurationError, match=r"jsonl\.1: .* in use by another kzproxy"):
            opened(path)
    await written(path)
    check_chain(old, path)
