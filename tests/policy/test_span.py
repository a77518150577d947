"""How long calendars stay as they are, across changes of the clock."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from kzproxy.policy.calendar import Calendar, DatedWindow, Holidays, WeeklyWindow
from kzproxy.policy.span import span_at
from tests.policy.samples import OFFICE_HOURS, dated, window

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


GOOD_FRIDAY = date(2026, 4, 3)


def prague(**fields: object) -> Calendar:
    zone = "Europe/Prague"
    return Calendar(name="prague", zone_name=zone, zone=ZoneInfo(zone), **fields)


def on(*days: date) -> Holidays:
    return Holidays(country="X", subdivision="", include=frozenset(days).__contains__)


EACH_DAY = window("each-day", "Europe/Prague", ALL_WEEK, "00:00", "24:00").weekly
SHUT_AT_CHRISTMAS = dated("2026-12-20", "2027-01-03")


def test_a_span_ends_no_later_than_a_holiday_before_a_far_exception():
    """It is open all year but for that: no other boundary is anywhere near."""
    deploys = prague(weekly=EACH_DAY, exceptions=(SHUT_AT_CHRISTMAS,), holidays=on(GOOD_FRIDAY))
    at = utc("2026-01-10 10:00")
    while (span := span_at([deploys], at)).is_open:
        at = span.until

    assert at == utc("2026-04-02 22:00")


def test_a_span_ends_no_later_than_office_hours_after_a_long_dated_window():
    """Two calendars, and no exception: what comes round in the one, far dates in the other."""
    sprint = prague(dated=(dated("2026-07-01", "2026-08-31T12:00"),))
    later = prague(dated=(dated("2026-12-20", "2027-01-03"),))
    at = utc("2026-07-01 10:00")
    while (span := span_at([sprint, later, OFFICE_HOURS], at)).is_open:
        at = span.until

    assert at == utc("2026-08-31 18:00")


def test_a_gap_between_zones_that_only_weeks_in_spring_have_is_found():
    """New York is an hour nearer to Prague while it alone has set its clock forward."""
    morning = window("morning", "Europe/Prague", ALL_WEEK, "00:00", "12:00")
    evening = window("evening", "America/New_York", ALL_WEEK, "06:00", "18:00")
    at = utc("2026-01-10 10:00")
    while (span := span_at([morning, evening], at)).is_open:
        at = span.until

    assert at == utc("2026-03-08 22:00")


def test_where_nothing_turns_for_weeks_it_is_to_be_looked_at_again():
    deploys = prague(weekly=EACH_DAY, holidays=on(GOOD_FRIDAY))

    span = span_at([deploys], utc("2026-01-10 10:00"))

    assert not span.is_end
    assert utc("2026-01-25 10:00") < span.until < utc("2026-04-03 00:00")
    assert span.until.second, "taken for the end of a window"


def test_an_end_that_dates_alone_make_is_known_however_far_it_is():
    at = utc("2026-01-10 10:00")
    christmas = utc("2026-12-19 23:00")

    assert (
        span_at([prague(weekly=EACH_DAY, exceptions=(SHUT_AT_CHRISTMAS,))], at).until == christmas
    )
    assert span_at([prague(dated=(SHUT_AT_CHRISTMAS,))], at).until == christmas
    assert span_at([prague(dated=(SHUT_AT_CHRISTMAS,))], utc("2027-02-01 00:00")).until is None


@pytest.mark.parametrize("zone", ["Europe/Prague", "America/New_York", "Pacific/Kiritimati"])
@pytest.mark.parametrize("weekly", [OFFICE_HOURS.weekly, EACH_DAY])
@pytest.mark.parametrize("end", ["9999-01-01", "9999-12-31", "9999-12-31T23:59"])
def test_what_begins_with_time_and_lasts_to_the_end_of_it_is_for_good(zone, weekly, end):
    for_good = (dated("0001-01-01", end),)
    other = {"zone_name": zone, "zone": ZoneInfo(zone)}
    closed = replace(prague(weekly=weekly, exceptions=for_good), **other)
    opened = replace(prague(weekly=weekly, dated=for_good), **other)
    at = utc("2026-01-14 10:00")

    assert not span_at([closed], at).is_open
    assert span_at([closed], at).until is None or weekly is not EACH_DAY
    assert span_at([opened], at).is_open


@pytest.mark.parametrize("weekly", [(), EACH_DAY])
def test_a_dated_window_opens_again_in_the_second_pass_of_the_hour_that_is_shown_twice(weekly):
    """A minute after it has ended the wall clock is set back to before its end."""
    last_night = dated("2026-10-24T22:00", "2026-10-25T02:30")
    field = {"weekly": weekly, "exceptions": (last_night,)} if weekly else {"dated": (last_night,)}
    freeze = prague(**field)

    again = span_at([freeze], utc("2026-10-25 00:40"))

    assert (again.until, again.is_end) == (utc("2026-10-25 01:00"), True)
    assert span_at([freeze], again.until).until == utc("2026-10-25 01:30")


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
        assert is_open(span.until) is not span.is_open or not span.is_end
        assert span.until.tzinfo is UTC


QUARTER = timedelta(minutes=15)
FAR = timedelta(days=130)
# Days near which clocks change, or nothing does.
SEASONS = [
    datetime.fromisoformat(f"2026-{day}")
    for day in ["01-10", "03-07", "03-27", "04-03", "10-23", "10-30"]
]


def in_quarter_hours(weekly: WeeklyWindow) -> WeeklyWindow:
    return WeeklyWindow(
        days=weekly.days,
        from_minute=weekly.from_minute // 15 * 15,
        to_minute=(weekly.to_minute + 14) // 15 * 15,
    )


@st.composite
def dated_windows(draw, season, most_days):
    """Strategy for one that begins some days before or after, and lasts minutes or months."""
    start = season + QUARTER * draw(st.integers(-5 * 96, most_days * 96) | st.integers(-96, 5 * 96))
    return DatedWindow(
        start=start, end=start + QUARTER * draw(st.integers(1, 8) | st.integers(1, most_days * 96))
    )


@st.composite
def all_kinds_of_calendar(draw, season, most_days):
    """Strategy for calendars with all that they may have, that turn at quarters of an hour."""
    zone = draw(st.sampled_from(ZONES))
    often = st.lists(weekly_windows.map(in_quarter_hours), max_size=2).map(tuple)
    rarely = st.lists(dated_windows(season, most_days), max_size=2).map(tuple)
    days = st.integers(0, most_days).map(lambda n: season.date() + timedelta(days=n))
    return Calendar(
        name="c",
        zone_name=zone,
        zone=ZoneInfo(zone),
        weekly=draw(st.just(EACH_DAY) | often),
        dated=draw(rarely),
        exceptions=draw(rarely),
        holidays=draw(st.none() | st.lists(days, max_size=3).map(lambda found: on(*found))),
    )


def first_change(calendars, start, within):
    """Look at every quarter of an hour, and know nothing of boundaries."""

    def is_open(at: datetime) -> bool:
        return any(calendar.is_open(at) for calendar in calendars)

    looks = (start + QUARTER * n for n in range(1, within // QUARTER))
    return next((look for look in looks if is_open(look) != is_open(start)), None)


def check_agrees_with_looking(calendars, start, *, within):
    span = span_at(calendars, start)
    change = first_change(calendars, start, within)
    if change is not None and span.is_end:
        assert span.until == change
    elif change is not None:
        assert start + timedelta(days=39) < span.until <= change
    else:
        assert span.until is None or not span.is_end or span.until > start + within - QUARTER


@settings(deadline=None, max_examples=100)
@given(season=st.sampled_from(SEASONS), data=st.data())
def test_a_span_agrees_with_looking_at_every_quarter_hour(season, data):
    """The span is compared with a slow reading that knows nothing of boundaries."""
    drawn = data.draw(st.lists(all_kinds_of_calendar(season, 45), min_size=1, max_size=2))
    start = season.replace(tzinfo=UTC) + QUARTER * data.draw(st.integers(0, 5 * 96))

    check_agrees_with_looking(drawn, start, within=timedelta(days=45))


@settings(deadline=None, max_examples=25)
@given(season=st.sampled_from(SEASONS), data=st.data())
def test_nor_does_it_jump_over_what_is_far_away(season, data):
    """What is far must not hide what is nearer: spans are followed to the first that differs."""
    drawn = data.draw(st.lists(all_kinds_of_calendar(season, 100), min_size=1, max_size=2))
    start = at = season.replace(tzinfo=UTC) + QUARTER * data.draw(st.integers(0, 96))
    change = first_change(drawn, start, FAR)
    span = span_at(drawn, at)
    while not span.is_end and span.until < start + FAR:
        at = span.until
        span = span_at(drawn, at)

    if change is None:
        assert span.until is None or span.until >= start + FAR - QUARTER
    else:
        assert span.until == change


@settings(deadline=None, max_examples=25)
@given(opened=time_windows(), at=instants)
def test_weekly_windows_of_any_year_agree_with_looking_at_every_quarter_hour(opened, at):
    windows = tuple(in_quarter_hours(weekly) for weekly in opened.weekly)
    opened = replace(opened, weekly=windows)
    start = at.replace(minute=0, second=0, microsecond=0)

    check_agrees_with_looking([opened], start, within=timedelta(days=16))
