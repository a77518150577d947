"""A clock that is set back is noticed, and one that is kept right is not."""

from datetime import UTC, datetime, timedelta

from kzproxy.clock.latest import LatestTime

NOW = datetime(2026, 1, 14, 9, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def test_a_clock_that_goes_on_is_not_set_back() -> None:
    latest = LatestTime(NOW)
    assert not any(latest.is_set_back(NOW + number * SECOND) for number in range(3))


def test_little_is_not_noticed_but_adds_up() -> None:
    latest = LatestTime(NOW)
    assert not latest.is_set_back(NOW - SECOND)
    assert latest.is_set_back(NOW - 1.5 * SECOND)


def test_it_is_set_back_until_whoever_is_told_begins_anew() -> None:
    latest, before = LatestTime(NOW), NOW - 60 * SECOND
    assert latest.is_set_back(before)
    assert latest.is_set_back(before + SECOND)
    latest.begin_anew(before)
    assert not latest.is_set_back(before)
    assert latest.is_set_back(before - 2 * SECOND)
