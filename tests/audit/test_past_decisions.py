"""Who asks is answered from memory or from the files, one search at a time."""

import asyncio
import threading
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from kzproxy.audit.chain import GENESIS, seal
from kzproxy.audit.decision_log import DecisionLog, DecisionLogSettings
from kzproxy.audit.past_decisions import MAX_WAITING, PastDecisions
from kzproxy.audit.recent import RecentRefusals
from kzproxy.audit.schema import DecisionRecord, Verdict
from kzproxy.audit.search import LogSearch
from kzproxy.clock.system import SystemClock
from kzproxy.errors.kinds import ServiceUnavailable, TooManyRequests
from tests.audit.samples import permit_record


def refusal(**fields: object) -> DecisionRecord:
    known = {"decision": Verdict.DENY, "audit_id": str(uuid4())}
    return msgspec.structs.replace(permit_record(), **known | fields)


def anybodys(_: DecisionRecord) -> bool:
    return True


def remembering(*records: DecisionRecord, max_bytes: int = 1 << 20) -> RecentRefusals:
    recent = RecentRefusals(max_bytes)
    for record in records:
        recent.keep(record.audit_id, msgspec.json.encode(record))
    return recent


def written(tmp_path: Path, *records: DecisionRecord) -> LogSearch:
    file = tmp_path / "decisions.jsonl"
    lines, _ = seal(GENESIS, "1", [msgspec.json.encode(record) for record in records])
    file.write_bytes(b"".join(lines))
    return LogSearch(file, SystemClock())


def test_the_oldest_is_forgotten_when_there_is_too_much() -> None:
    records = [refusal() for _ in range(5)]
    size = len(msgspec.json.encode(records[0]))
    recent = remembering(*records, max_bytes=3 * size)

    assert [recent.recall(record.audit_id) for record in records[:2]] == [None, None]
    assert [recent.recall(record.audit_id) for record in records[2:]] == records[2:]


def test_one_that_is_too_large_is_not_kept() -> None:
    large = refusal(message="x" * 1000)
    assert remembering(large, max_bytes=100).recall(large.audit_id) is None


@pytest.mark.asyncio
async def test_the_log_remembers_refusals_of_those_it_knows(tmp_path: Path) -> None:
    settings = DecisionLogSettings(file=tmp_path / "decisions.jsonl", stdout=False)
    log = DecisionLog.open(settings, SystemClock())
    denied, nobodys, permitted = refusal(), refusal(user=None), permit_record()
    for record in (denied, nobodys, permitted):
        await log.record_decision(record, durable=False)
    await log.close()

    assert log.recent.recall(denied.audit_id) == denied
    assert log.recent.recall(nobodys.audit_id) is None
    assert log.recent.recall(permitted.audit_id) is None


@pytest.mark.asyncio
async def test_memory_answers_without_files() -> None:
    record = refusal()
    past = PastDecisions(remembering(record), None)

    found = await past.find(record.audit_id, anybodys, caller="ann")
    assert found is not None
    assert found.decision == record
    assert await past.find(record.audit_id, lambda _: False, caller="ann") is None
    assert await past.find(str(uuid4()), anybodys, caller="ann") is None


@pytest.mark.asyncio
async def test_the_files_answer_what_is_not_remembered(tmp_path: Path) -> None:
    record = refusal()
    past = PastDecisions(RecentRefusals(), written(tmp_path, record))

    found = await past.find(record.audit_id, anybodys, caller="ann")
    assert found is not None
    assert found.decision == record
    assert await past.find(str(uuid4()), anybodys, caller="ann") is None


@pytest.mark.asyncio
async def test_a_log_that_cannot_be_read_is_said_to_be_so(tmp_path: Path) -> None:
    search = LogSearch(tmp_path / "away" / "decisions.jsonl", SystemClock())
    with pytest.raises(ServiceUnavailable, match="cannot be read now"):
        await PastDecisions(RecentRefusals(), search).find(str(uuid4()), anybodys, caller="ann")


@pytest.mark.asyncio
async def test_a_caller_has_one_search_at_a_time_and_the_loop_none(tmp_path: Path) -> None:
    record = refusal()
    past = PastDecisions(RecentRefusals(), written(tmp_path, record))
    held = threading.Event()
    slow = asyncio.create_task(past.find(record.audit_id, lambda _: held.wait(30), caller="ann"))
    others = [
        asyncio.create_task(past.find(record.audit_id, anybodys, caller=number))
        for number in range(MAX_WAITING - 1)
    ]
    await asyncio.sleep(0)

    with pytest.raises(TooManyRequests):
        await past.find(record.audit_id, anybodys, caller="ann")
    with pytest.raises(ServiceUnavailable):
        await past.find(record.audit_id, anybodys, caller="one too many")
    assert not any(task.done() for task in (slow, *others))

    held.set()
    assert all(found is not None for found in await asyncio.gather(slow, *others))
    assert await past.find(record.audit_id, anybodys, caller="ann") is not None


@pytest.mark.asyncio
async def test_who_goes_away_has_no_second_search_before_the_first_ends(tmp_path: Path) -> None:
    record = refusal()
    past = PastDecisions(RecentRefusals(), written(tmp_path, record))
    held, begun = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def wait(_: DecisionRecord) -> bool:
        loop.call_soon_threadsafe(begun.set)
        return held.wait(30)

    slow = asyncio.create_task(past.find(record.audit_id, wait, caller="ann"))
    await begun.wait()
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow
    with pytest.raises(TooManyRequests):
        await past.find(record.audit_id, anybodys, caller="ann")

    held.set()
    # Searches run one after the other: when this one is done, so is the first.
    assert await past.find(record.audit_id, anybodys, caller="bob") is not None
    assert await past.find(record.audit_id, anybodys, caller="ann") is not None


@pytest.mark.asyncio
async def test_who_asked_while_no_thread_could_be_begun_may_ask_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    record = refusal()
    past = PastDecisions(remembering(), written(tmp_path, record))
    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", fail)
        with pytest.raises(RuntimeError):
            await past.find(record.audit_id, anybodys, caller="ann")

    found = await past.find(record.audit_id, anybodys, caller="ann")
    assert found is not None
    assert found.decision == record
