"""Windows in local time."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from kzproxy.policy.calendar import Holidays
from tests.policy.samples import OFFICE_HOURS, window


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("local", "is_open"),
    [
        ("2026-01-14 07:00", True),
        ("2026-01-14 06:59:59.999999", False),
        ("2026-01-14 19:59:59.999999", True),
        ("2026-01-14 20:00", False),
        ("2026-01-17 12:00", False),
        ("2026-07-14 07:00", True),
    ],
)
def test_a_window_is_open_from_its_first_minute_to_before_its_last(local, is_open):
    at = datetime.fromisoformat(local).replace(tzinfo=ZoneInfo("Europe/Prague"))

    assert OFFICE_HOURS.is_open(at.astimezone(UTC)) is is_open


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        ("2026-01-16 21:59", False),
        ("2026-01-16 22:00", True),
        ("2026-01-17 00:00", True),
        ("2026-01-17 05:59", True),
        ("2026-01-17 06:00", False),
        ("2026-01-17 22:00", False),
        ("2026-01-16 00:30", False),
    ],
)
def test_a_window_across_midnight_belongs_to_the_day_on_which_it_begins(at, is_open):
    friday_night = window("night", "UTC", "Fri", "22:00", "06:00")

    assert friday_night.is_open(utc(at)) is is_open


def test_holidays_of_one_place_are_the_same_whoever_has_read_them() -> None:
    """And not both equal and unequal, which a struct's own ``!=`` makes of them."""
    read, again = (Holidays(country="NL", subdivision="", include=day) for day in (bool, callable))
    other = Holidays(country="NL", subdivision="NH", include=bool)

    assert (read == again, read != again) == (True, False)
    assert (read == other, read != other) == (False, True)
