"""When sessions are due: each within the interval, at its own time, the ones in use first."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.administrator.due_sessions import DueSessions, due_at, wanted_again
from kzproxy.administrator.session import SessionEnd, SessionRecord, SessionSettings
from tests.administrator.kept_sessions import KeptSessions
from tests.authentication.manual_clock import ManualClock

INTERVAL = timedelta(seconds=60)
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def record_of(number: int, verified_at: datetime) -> SessionRecord:
    return SessionRecord(
        id=f"{number:032x}",
        username="alice",
        issuer="https://idp.example.com",
        subject="s",
        began_at=NOON,
        ends_at=NOON + timedelta(hours=12),
        seen_at=NOON,
        verified_at=verified_at,
        key_thumbprint="",
    )


@given(st.integers(0, 2**128 - 1), st.timedeltas(timedelta(), timedelta(days=9999)))
def test_each_is_due_within_the_interval_and_not_much_sooner(number, later):
    record = record_of(number, NOON + later)
    assert INTERVAL * 0.7 <= due_at(record, INTERVAL) - record.verified_at <= INTERVAL * 0.9


def test_sessions_that_were_confirmed_together_are_not_due_together():
    due = sorted(due_at(record_of(number, NOON), INTERVAL) for number in range(1000))
    assert len(set(due)) > 950
    a_second = Counter(int((one - NOON).total_seconds()) for one in due)
    assert set(a_second) == set(range(42, 54))
    assert max(a_second.values()) < 140


def test_who_is_wanted_again_is_due_at_once_and_holds_as_long_as_before_or_less():
    for age in (timedelta(), timedelta(seconds=30), timedelta(minutes=4)):
        now = NOON + age
        record = wanted_again(record_of(1, NOON), now=now, interval=INTERVAL)
        assert due_at(record, INTERVAL) <= now
        assert record.verified_at < NOON
        assert record.verified_at >= min(NOON, now - INTERVAL) - timedelta(seconds=1)


@pytest.fixture
async def kept(tmp_path: Path, clock: ManualClock):
    kept = KeptSessions(tmp_path / "kept.db", clock, SessionSettings(per_user=100))
    await kept.following.start()
    yield kept
    await kept.store.close()


def anybody(issuer: str) -> bool:
    return True


def ids(records: list[SessionRecord]) -> list[int]:
    return [int(record.id, 16) for record in records]


async def test_the_ones_in_use_come_first_and_each_is_taken_once(kept, clock):
    due = DueSessions(kept.directory, kept.clock)
    kept.following.follow(due)
    for number in range(1, 6):
        seen_at = clock.now() - timedelta(minutes=number)
        await kept.directory.begin(kept.record(number, seen_at=seen_at))
    assert len(due) == 5
    assert due.take(10, clock.now(), anybody) == []
    clock.advance(INTERVAL)
    assert ids(due.take(2, clock.now(), anybody)) == [1, 2]
    assert ids(due.take(10, clock.now(), anybody)) == [3, 4, 5]
    assert due.take(10, clock.now(), anybody) == []
    assert len(due) == 0


async def test_times_that_no_longer_hold_do_not_pile_up_where_nobody_takes(kept, clock):
    """In a worker that does not ask, all its life, each confirmation by another left one."""
    due = DueSessions(kept.directory, kept.clock)
    kept.following.follow(due)
    for number in range(1, 4):
        await kept.directory.begin(kept.record(number))
    for second in range(5000):
        for number in range(1, 4):
            due.schedule(f"{number:032x}", clock.now() + timedelta(minutes=5, seconds=second))
    assert due.pending < 1100
    assert len(due) == 3
    clock.advance(timedelta(days=1))
    assert sorted(ids(due.take(10, clock.now(), anybody))) == [1, 2, 3]


async def test_one_that_ended_is_not_due(kept, clock):
    due = DueSessions(kept.directory, kept.clock)
    kept.following.follow(due)
    await kept.directory.begin(record := kept.record())
    clock.advance(INTERVAL)
    await kept.directory.end(record.id, SessionEnd.REVOKED, "", by="root")
    assert due.take(10, clock.now(), anybody) == []
    due.schedule(record.id)
    due.schedule("unknown")
    assert len(due) == 0


async def test_one_that_is_put_off_waits_unless_it_changes(kept, clock):
    due = DueSessions(kept.directory, kept.clock)
    kept.following.follow(due)
    await kept.directory.begin(record := kept.record())
    clock.advance(INTERVAL)
    assert ids(due.take(1, clock.now(), anybody)) == [1]
    due.schedule(record.id, clock.now() + timedelta(seconds=10))
    assert due.take(1, clock.now(), anybody) == []
    clock.advance(timedelta(seconds=10))
    assert ids(due.take(1, clock.now(), anybody)) == [1]
    due.schedule(record.id, clock.now() + timedelta(seconds=10))

    def again(record: SessionRecord) -> SessionRecord:
        return wanted_again(record, now=clock.now(), interval=INTERVAL)

    await kept.directory.update(record.id, again)
    assert ids(due.take(1, clock.now(), anybody)) == [1]


async def test_those_that_are_read_at_the_start_are_known(kept, clock):
    await kept.directory.begin(kept.record(1))
    await kept.directory.begin(kept.record(2, verified_at=clock.now() - timedelta(hours=1)))
    due = DueSessions(kept.directory, kept.clock)
    due.replaced(await kept.store.entries("session"))
    assert len(due) == 2
    assert ids(due.take(10, clock.now(), anybody)) == [2]


async def test_those_whose_provider_cannot_be_asked_are_in_nobodys_way(kept, clock):
    due = DueSessions(kept.directory, kept.clock)
    kept.following.follow(due)
    for number in range(1, 6):
        await kept.directory.begin(kept.record(number, issuer="https://silent.example"))
    old = clock.now() - timedelta(hours=1)
    await kept.directory.begin(kept.record(9, issuer="https://other.example", seen_at=old))
    clock.advance(INTERVAL)
    taken = due.take(1, clock.now(), lambda issuer: issuer != "https://silent.example")
    assert ids(taken) == [9]
    assert len(due.take(10, clock.now(), anybody)) == 5


async def test_whoever_was_confirmed_by_a_clock_that_was_ahead_is_due_once_that_is_put_right(
    kept, clock
):
    due = DueSessions(kept.directory, kept.clock)
    kept.following.follow(due)
    await kept.directory.begin(kept.record(1))
    clock.jump(timedelta(hours=3))
    ahead = clock.now()
    await kept.directory.begin(kept.record(2))
    due.schedule(kept.record(1).id, clock.now() + INTERVAL)
    assert due.take(10, clock.now(), anybody) == []
    clock.jump(-timedelta(hours=3))
    assert ids(due.take(10, clock.now(), anybody)) == [2]
    await kept.directory.end(kept.record(2).id, SessionEnd.REVOKED, "", by="root")
    # Begun by now, by somebody who signed in before.
    await kept.directory.begin(kept.record(3, verified_at=ahead))
    assert ids(due.take(10, clock.now(), anybody)) == [3]
    clock.advance(INTERVAL)
    assert ids(due.take(10, clock.now(), anybody)) == [1]
