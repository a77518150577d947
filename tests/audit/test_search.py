"""A decision is found wherever the log holds it, within bounds, and by whom it is meant for."""

import os
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from kzproxy.audit.chain import GENESIS, seal
from kzproxy.audit.lines import decision_in, told_in
from kzproxy.audit.log_files import own_file, present_files
from kzproxy.audit.rotation import move_aside
from kzproxy.audit.schema import CompletedRecord, DecisionRecord
from kzproxy.audit.search import LogSearch, SearchBounds
from kzproxy.clock.system import SystemClock
from tests.audit.samples import NOW, completed_record, permit_record

_CLOCK = SystemClock()


def audit_id(number: int) -> str:
    return str(UUID(int=number))


def decision(number: int, **fields: object) -> DecisionRecord:
    return msgspec.structs.replace(permit_record(), audit_id=audit_id(number), **fields)


def lines(*records: DecisionRecord | CompletedRecord) -> bytes:
    sealed, _ = seal(GENESIS, "1", [msgspec.json.encode(record) for record in records])
    return b"".join(sealed)


def write(file: Path, *records: DecisionRecord | CompletedRecord) -> None:
    file.write_bytes(lines(*records))


def anybodys(_: DecisionRecord) -> bool:
    return True


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "decisions.jsonl"


def find(file: Path, number: int, bounds: SearchBounds | None = None) -> DecisionRecord | None:
    found = LogSearch(file, _CLOCK, bounds).find(audit_id(number), anybodys)
    return None if found is None else found.decision


def test_every_decision_of_a_long_file_is_found_whole(file: Path) -> None:
    # Lines of all lengths, so that ids lie across the ends of blocks.
    records = [decision(number, message="x" * (number % 997)) for number in range(1, 700)]
    write(file, *records)
    assert file.stat().st_size > 3 * 256 * 1024

    assert [find(file, number) for number in range(1, 700)] == records
    assert find(file, 700) is None


def test_how_it_ended_is_found_with_it(file: Path) -> None:
    ended = msgspec.structs.replace(completed_record(), audit_id=audit_id(1))
    write(file, decision(1), decision(2), ended)

    found = LogSearch(file, _CLOCK).find(audit_id(1), anybodys)
    assert found is not None
    assert found.outcome == ended
    assert LogSearch(file, _CLOCK).find(audit_id(2), anybodys).outcome is None


def test_workers_files_and_moved_ones_are_read(file: Path) -> None:
    write(file, decision(1))
    move_aside(file, seq=1, now=NOW)
    write(own_file(file, 1), decision(2))
    move_aside(own_file(file, 1), seq=1, now=NOW)
    move_aside_later = own_file(file, 2)
    write(move_aside_later, decision(3))
    write(own_file(file, 1), decision(4))

    # Of a log that has no present file any more the moved ones are not known by name.
    assert [find(file, number) is not None for number in (2, 3, 4)] == [True, True, True]
    write(file, decision(5))
    assert find(file, 1) is not None


def test_other_files_are_none_of_the_logs(file: Path, tmp_path: Path) -> None:
    write(file, decision(1))
    for name in ("decisions.jsonl.torn", "decisions.x.jsonl", "decisions.0.jsonl", "other.jsonl"):
        write(tmp_path / name, decision(2))
    (tmp_path / "decisions.7.jsonl").mkdir()
    os.mkfifo(tmp_path / "decisions.8.jsonl")

    assert find(file, 2) is None
    assert find(file, 1) is not None
    assert own_file(file, 7) in present_files(file)


def test_what_is_not_meant_is_passed_over_like_what_is_not_there(file: Path) -> None:
    write(file, decision(1, message="old"), decision(2), decision(1, message="new"))
    seen = []

    def is_meant(record: DecisionRecord) -> bool:
        seen.append(record.message)
        return record.message == "old"

    assert LogSearch(file, _CLOCK).find(audit_id(1), is_meant).decision.message == "old"
    assert seen == ["new", "old"]
    assert LogSearch(file, _CLOCK).find(audit_id(1), lambda _: False) is None


def test_what_a_client_writes_is_not_taken_for_an_id(file: Path) -> None:
    quoted = f'"audit_id":"{audit_id(9)}"'
    forged = decision(1, message=quoted, client_audit_id=audit_id(9), rule=audit_id(9))
    write(file, forged)

    assert find(file, 9) is None


def test_a_torn_last_line_is_no_record(file: Path) -> None:
    file.write_bytes(lines(decision(1)) + lines(decision(2))[:-40])

    assert find(file, 2) is None
    assert find(file, 1) is not None


def test_a_file_that_is_moved_meanwhile_is_read_to_its_end(file: Path) -> None:
    write(file, decision(1), *[decision(2, message="x" * 1000) for _ in range(600)])
    turns = []

    def is_meant(_: DecisionRecord) -> bool:
        if not turns:
            turns.append(1)
            move_aside(file, seq=601, now=NOW)
            write(file, decision(3))
        return False

    assert LogSearch(file, _CLOCK).find(audit_id(2), is_meant) is None
    assert turns
    assert find(file, 1) is not None


def test_a_search_ends_at_its_bound_of_bytes(file: Path) -> None:
    write(file, decision(1), *[decision(2, message="x" * 1000) for _ in range(600)], decision(3))
    little = SearchBounds(total_bytes=300_000)

    assert find(file, 3, little) is not None
    assert find(file, 1, little) is None
    assert find(file, 1) is not None


def test_workers_share_the_bound_in_turns(file: Path) -> None:
    many = [decision(2, message="x" * 1000) for _ in range(1200)]
    write(own_file(file, 1), *many)
    write(own_file(file, 2), decision(1), *many[:100])

    assert find(file, 1, SearchBounds(total_bytes=600_000)) is not None


def test_a_search_ends_at_its_bound_of_time(file: Path) -> None:
    write(file, decision(1), *[decision(2, message="x" * 1000) for _ in range(600)])

    class Hasty:
        seconds = 0.0

        def now(self) -> datetime:
            return NOW

        def monotonic(self) -> float:
            self.seconds += 3
            return self.seconds

    bounds = SearchBounds(duration=timedelta(seconds=5))
    assert LogSearch(file, Hasty(), bounds).find(audit_id(1), anybodys) is None


def test_a_log_without_a_directory_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        find(tmp_path / "away" / "decisions.jsonl", 1)


def test_a_line_is_read_as_what_it_holds() -> None:
    (line,) = lines(decision(1)).splitlines(keepends=True)
    (ended,) = lines(completed_record()).splitlines(keepends=True)

    assert decision_in(line) == told_in(line) == decision(1)
    assert decision_in(ended) is None
    assert told_in(ended) == completed_record()
    assert told_in(b'{"kind":"stopped","ts":"2026-01-01T00:00:00Z"}\n') is None
    assert told_in(b"{") is None
    nested = b'{"kind":"decision","rule":%s%s}\n' % (b"[" * 9999, b"]" * 9999)
    assert told_in(nested) is None
    with pytest.raises(msgspec.MsgspecError, match="nested too deeply"):
        decision_in(nested)
