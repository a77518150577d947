"""A lease: one worker has it, keeps it while it says so, and another gets it when it does not."""

from datetime import timedelta
from pathlib import Path

import pytest

from kzproxy.store.held_lease import HeldLease, LeaseTimes
from kzproxy.store.sqlite import SqliteStore
from tests.authentication.manual_clock import ManualClock

TIMES = LeaseTimes()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def store(tmp_path: Path, clock: ManualClock):
    store = SqliteStore.open(tmp_path / "kept.db", clock)
    yield store
    await store.close()


@pytest.fixture
def one(store, clock) -> HeldLease:
    return HeldLease(store, "work", "one", clock)


@pytest.fixture
def two(store, clock) -> HeldLease:
    return HeldLease(store, "work", "two", clock)


async def test_one_of_two_has_it_and_is_told_so_once(one, two, clock):
    assert not one.is_held()
    assert await one.keep()
    assert not await two.keep()
    assert (one.is_held(), two.is_held()) == (True, False)
    for _ in range(20):
        clock.advance(TIMES.renewed)
        assert not await one.keep()
        assert not await two.keep()
    assert (one.is_held(), two.is_held()) == (True, False)


async def test_nothing_begins_near_its_end(one, clock):
    await one.keep()
    clock.advance(TIMES.length - TIMES.left)
    assert one.is_held()
    clock.advance(timedelta(seconds=1))
    assert not one.is_held()
    assert not await one.keep()  # it never was another's
    assert one.is_held()


async def test_whoever_says_nothing_loses_it(one, two, clock):
    await one.keep()
    clock.advance(TIMES.length + timedelta(seconds=1))
    assert await two.keep()
    assert not await one.keep()
    assert (one.is_held(), two.is_held()) == (False, True)


async def test_whoever_slept_has_it_no_longer(one, two, clock):
    """The monotonic clock stands still meanwhile, and the store goes by the other."""
    await one.keep()
    clock.jump(TIMES.length + timedelta(seconds=1))
    assert not one.is_held()
    assert await two.keep()
    assert (one.is_held(), two.is_held()) == (False, True)


async def test_a_clock_that_is_set_back_lengthens_nothing(one, clock):
    await one.keep()
    clock.jump(-timedelta(hours=1))
    clock.advance(TIMES.length)
    assert not one.is_held()


async def test_whoever_was_killed_under_a_clock_that_was_ahead_is_waited_for_as_any_other(
    one, two, clock
):
    clock.jump(timedelta(hours=3))
    await one.keep()
    clock.jump(-timedelta(hours=3))
    for _ in range(TIMES.length // TIMES.renewed + 1):
        await two.keep()
        assert not (one.is_held() and two.is_held())
        clock.advance(TIMES.renewed)
    assert two.is_held()


async def test_what_is_given_up_is_anothers_at_once(one, two):
    await one.keep()
    await one.let_go()
    await one.let_go()
    assert not one.is_held()
    assert await two.keep()
    await one.let_go()  # not its own any more
    assert two.is_held()


def test_work_that_begins_ends_before_the_lease_does():
    assert TIMES.renewed + TIMES.left < TIMES.length
