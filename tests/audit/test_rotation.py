"""Moved files are in the order in which they were written, whatever the clock said meanwhile."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kzproxy.audit.chain import verify_chain
from kzproxy.audit.decision_log import DecisionLog, DecisionLogSettings
from kzproxy.audit.rotation import Rotation, move_aside, moved_by_anybody, moved_files
from kzproxy.audit.search import LogSearch
from tests.audit.samples import lines_of, permit_record
from tests.authentication.manual_clock import ManualClock

AHEAD = timedelta(hours=2)
NOW = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "decisions.jsonl"


async def test_the_newest_files_are_kept_after_the_clock_was_set_back(path: Path) -> None:
    clock = ManualClock()
    rotation = Rotation(at_bytes=3_000, keep=2)
    log = DecisionLog.open(DecisionLogSettings(file=path, stdout=False, rotation=rotation), clock)
    names = [str(number) for number in range(24)]
    for name in names:
        if name == "12":
            clock.jump(-AHEAD)
        await log.record_decision(permit_record(name), durable=False)
        clock.advance(timedelta(seconds=1))
    await log.close()
    files = [*moved_files(path), path]
    assert len(files) == 3
    kept = [line["audit_id"] for file in files for line in lines_of(file) if "audit_id" in line]
    assert kept == names[-len(kept) :]
    verify_chain(line for file in files for line in file.read_bytes().splitlines(keepends=True))
    found = LogSearch(path, clock).find(kept[0], lambda _: True)
    assert found is not None


def moved(path: Path, seq: int, now: datetime) -> Path:
    path.touch()
    os.utime(path, (now.timestamp(), now.timestamp()))
    before = set(moved_files(path))
    move_aside(path, seq=seq, now=now)
    [made] = set(moved_files(path)) - before
    return made


def test_a_file_is_never_named_as_if_it_were_older_than_another(path: Path) -> None:
    times = [NOW, NOW + AHEAD, NOW + timedelta(seconds=1), NOW, NOW + 2 * AHEAD]
    made = [moved(path, number, now) for number, now in enumerate(times, start=1)]
    assert moved_files(path) == made
    assert [each.name.rpartition(".")[2] for each in made] == [
        "20260504T093000Z-000000000001",
        "20260504T113000Z-000000000002",
        "20260504T113000Z-000000000003",
        "20260504T113000Z-000000000004",
        "20260504T133000Z-000000000005",
    ]


def test_what_was_written_last_is_found_after_the_clock_was_set_back(path: Path) -> None:
    """It is what the chain goes on from where nothing is in the present file yet."""
    times = [NOW, NOW + AHEAD, NOW + timedelta(seconds=1)]
    made = [moved(path, number, now) for number, now in enumerate(times, start=1)]
    assert moved_by_anybody(path) == made[::-1]
    theirs = path.with_name("decisions.jsonl.1")
    theirs.touch()
    os.utime(theirs, (NOW.timestamp() + 1, NOW.timestamp() + 1))
    assert moved_by_anybody(path) == [made[2], made[1], theirs, made[0]]
