"""A clock that has just been set says nothing for good."""

from datetime import timedelta

import pytest

from kzproxy.clock.settled import SETTLED_SECONDS, SettledClock
from tests.authentication.manual_clock import ManualClock

MINUTE = timedelta(minutes=1)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def settled(clock: ManualClock) -> SettledClock:
    return SettledClock(clock)


def goes_on(settled: SettledClock, clock: ManualClock, minutes: int) -> bool:
    for _ in range(minutes):
        clock.advance(MINUTE)
        found = settled.is_settled()
    return found


def test_one_that_goes_steadily_is_settled_after_ten_minutes(
    settled: SettledClock, clock: ManualClock
):
    assert SETTLED_SECONDS == 600
    assert not goes_on(settled, clock, 9)
    assert goes_on(settled, clock, 1)


@pytest.mark.parametrize("by", [timedelta(days=8), -timedelta(days=8), timedelta(minutes=2)])
def test_one_that_is_set_is_not_until_it_has_gone_on_for_as_long(
    settled: SettledClock, clock: ManualClock, by: timedelta
):
    assert goes_on(settled, clock, 10)
    clock.jump(by)
    assert not goes_on(settled, clock, 10)
    assert goes_on(settled, clock, 1)


def test_one_that_is_kept_right_little_by_little_stays_so(
    settled: SettledClock, clock: ManualClock
):
    assert goes_on(settled, clock, 10)
    for _ in range(10):
        clock.jump(timedelta(seconds=30))
        assert goes_on(settled, clock, 1)


def test_what_has_just_begun_was_not_set_and_what_was_set_is_told_until_it_has_settled(
    settled: SettledClock, clock: ManualClock
):
    assert not settled.was_just_set()
    clock.jump(timedelta(hours=3))
    assert settled.was_just_set()
    assert not goes_on(settled, clock, 9)
    assert settled.was_just_set()
    assert goes_on(settled, clock, 1)
    assert not settled.was_just_set()
