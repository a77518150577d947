"""How long calendars stay as they are, across changes of the clock."""

import dataclasses
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kzproxy.policy.calendar import Calendar, WeeklyWindow
from kzproxy.policy.span import span_at
from tests.policy.samples import OFFICE_HOURS, window

ALL_WEEK = "Mon Tue Wed Thu Fri Sat Sun"
SECOND = timedelta(seconds=1)
# The clock changes that differ most: by half an hour, at midnight, twice in a Ramadan year, across
# the date line, never.
ZONES = [
    "Europe/Prague",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Africa/Casablanca",
    "Pacific/Apia",
    "Asia/Kathmandu",
    "America/Scoresbysund",
    "UTC",
]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("opened", "at", "until"),
    [
        # Prague sets its clock forward at 01:00 UTC on 29 March 2026, back on 25 October.
        (OFFICE_HOURS, "2026-03-27 17:00", "2026-03-27 19:00"),
        (OFFICE_HOURS, "2026-03-28 12:00", "2026-03-30 05:00"),
        (OFFICE_HOURS, "2026-10-24 12:00", "2026-10-26 06:00"),
        (OFFICE_HOURS, "2026-01-16 19:00", "2026-01-19 06:00"),
    ],
)
def test_a_span_ends_when_the_wall_clock_shows_it(opened, at, until):
    assert span_at([opened], utc(at)).until == utc(until)


def test_a_window_that_the_clock_skips_does_not_open_that_day():
    skipped = window("skipped", "Europe/Prague", ALL_WEEK, "02:00", "03:00")

    assert span_at([skipped], utc("2026-03-28 12:00")).until == utc("2026-03-30 00:00")


def test_an_hour_that_the_clock_shows_twice_is_open_twice():
    repeated = window("repeated", "Europe/Prague", "Sun", "02:15", "02:45")
    openings = []
    at = utc("2026-10-24 12:00")
    for _ in range(4):
        at = span_at([repeated], at).until
        openings.append(at)

    assert openings == [
        utc("2026-10-25 00:15"),
        utc("2026-10-25 00:45"),
        utc("2026-10-25 01:15"),
        utc("2026-10-25 01:45"),
    ]


def test_a_window_that_is_cut_short_by_the_clock_ends_with_the_change():
    cut = window("cut", "Europe/Prague", "Sun", "01:00", "02:30")

    assert span_at([cut], utc("2026-03-29 00:30")).until == utc("2026-03-29 01:00")


def test_windows_that_follow_one_another_are_one_span():
    early = window("early", "UTC", "Wed", "06:00", "14:00")
    late = window("late", "Europe/Prague", "Wed", "14:30", "23:00")

    assert span_at([early, late], utc("2026-01-14 07:00")).until == utc("2026-01-14 22:00")


def test_a_window_that_is_always_open_has_no_end():
    always = window("always", "Europe/Prague", ALL_WEEK, "00:00", "24:00")

    assert span_at([always], utc("2026-01-14 07:00")).until is None


def test_a_window_that_closes_only_in_a_skipped_hour_closes_the_week_after():
    nearly_always = Calendar(
        name="nearly-always",
        zone_name="Europe/Prague",
        zone=ZoneInfo("Europe/Prague"),
        weekly=(
            WeeklyWindow(days=frozenset(range(6)), from_minute=0, to_minute=1440),
            WeeklyWindow(days=frozenset({6}), from_minute=0, to_minute=120),
            WeeklyWindow(days=frozenset({6}), from_minute=180, to_minute=1440),
        ),
    )

    assert span_at([nearly_always], utc("2026-03-28 12:00")).until == utc("2026-04-05 00:00")


weekly_windows = st.builds(
    WeeklyWindow,
    days=st.frozensets(st.integers(0, 6), min_size=1),
    from_minute=st.integers(0, 1439),
    to_minute=st.integers(0, 1440),
).filter(lambda weekly: weekly.from_minute != weekly.to_minute)
# From 2000 to 2037, in seconds since 1970.
instants = st.integers(946_684_800, 2_143_000_000).map(lambda n: datetime.fromtimestamp(n, UTC))


@st.composite
def time_windows(draw):
    zone = draw(st.sampled_from(ZONES))
    windows = draw(st.lists(weekly_windows, min_size=1, max_size=3))
    return Calendar(name="w", zone_name=zone, zone=ZoneInfo(zone), weekly=tuple(windows))


@settings(deadline=None)
@given(windows=st.lists(time_windows(), min_size=1, max_size=2), at=instants, share=st.floats(0, 1))
def test_nothing_changes_within_a_span_and_all_is_different_at_its_end(windows, at, share):
    span = span_at(windows, at)

    def is_open(moment: datetime) -> bool:
        return any(w.is_open(moment) for w in windows)

    assert is_open(at) is span.is_open
    if span.until is not None:
        within = at + (span.until - at) * share
        assert within >= span.until or is_open(within) is span.is_open
        assert span.until - SECOND < at or is_open(span.until - SECOND) is span.is_open
        assert is_open(span.until) is not span.is_open
        assert span.until.tzinfo is UTC


def in_quarter_hours(weekly: WeeklyWindow) -> WeeklyWindow:
    return WeeklyWindow(
        days=weekly.days,
        from_minute=weekly.from_minute // 15 * 15,
        to_minute=(weekly.to_minute + 14) // 15 * 15,
    )


@settings(deadline=None, max_examples=25)
@given(opened=time_windows(), at=instants)
def test_a_span_agrees_with_looking_at_every_quarter_hour(opened, at):
    """The span is compared with a slow reading that knows nothing of boundaries."""
    windows = tuple(in_quarter_hours(weekly) for weekly in opened.weekly)
    opened = dataclasses.replace(opened, weekly=windows)
    start = at.replace(minute=0, second=0, microsecond=0)
    looks = (start + timedelta(minutes=15 * n) for n in range(1, 16 * 24 * 4))
    change = next((look for look in looks if opened.is_open(look) != opened.is_open(start)), None)

    assert span_at([opened], start).until == change
