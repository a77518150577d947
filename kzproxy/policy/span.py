"""How long calendars, taken together, stay open or stay closed."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import pairwise

import msgspec

from kzproxy.policy.calendar import Calendar, ever_comes

_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)
# What comes round is looked for in one stretch after the other, and no further than in all of them.
_STRETCH = timedelta(days=8)
_STRETCHES = 5


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of time in which some calendars, taken together, stay open or stay closed.

    Attributes:
        is_open: Whether at least one is open.
        since: An instant in it, UTC.
        until: The first instant after it, UTC; None where it never ends. Where ``is_end`` is
            False, an earlier one: nobody has looked further, and must look again then.
        is_end: Whether it really ends at ``until``, or never where that is None.
    """

    is_open: bool
    since: datetime
    until: datetime | None
    is_end: bool

    def covers(self, at: datetime) -> bool:
        """Whether ``at`` lies in it."""
        return self.since <= at and (self.until is None or at < self.until)


def span_at(calendars: Sequence[Calendar], at: datetime) -> Span:
    """Return the span that begins no later than ``at``, an aware instant, and holds it."""
    start = at.astimezone(UTC)
    is_open = _any_open(calendars, start)
    by_dates_alone = all(calendar.turns_by_dates_alone for calendar in calendars)
    moments = _moments(calendars, start, None) if by_dates_alone else _soon(calendars, start)
    until = next((m for m in moments if _any_open(calendars, m) != is_open), None)
    if until is not None or by_dates_alone:
        return Span(is_open=is_open, since=start, until=until, is_end=True)
    return Span(is_open=is_open, since=start, until=_looked_until(start), is_end=False)


def _any_open(calendars: Sequence[Calendar], at: datetime) -> bool:
    return any(calendar.is_open(at) for calendar in calendars)


def _soon(calendars: Sequence[Calendar], start: datetime) -> Iterator[datetime]:
    """Yield in order every instant of some weeks at which the calendars may open or close."""
    for number in range(_STRETCHES):
        begin = start + number * _STRETCH
        yield from _moments(calendars, begin, begin + _STRETCH)


def _looked_until(start: datetime) -> datetime:
    """Return an instant up to which ``_soon`` leaves nothing out.

    No whole minute, so that nobody takes it for one at which a window ends.
    """
    minute = (start + _STRETCHES * _STRETCH).replace(second=0, microsecond=0)
    return minute - timedelta(seconds=30)


def _moments(
    calendars: Sequence[Calendar], begin: datetime, end: datetime | None
) -> Iterator[datetime]:
    """Yield in order every instant, UTC, at which the calendars may open or close.

    Args:
        calendars: Taken together.
        begin: After it, and
        end: up to it; None for all that is ever to come of dated windows and exceptions.
    """
    found: set[datetime] = set()
    for calendar in calendars:
        boundaries = {begin, *_boundaries(calendar, begin, end)}
        found |= boundaries
        found |= set(_clock_changes(calendar.zone, sorted(boundaries)))
    yield from sorted(m for m in found if begin < m and (end is None or m <= end))


def _boundaries(calendar: Calendar, begin: datetime, end: datetime | None) -> Iterator[datetime]:
    for wall in _walls(calendar, begin, end):
        local = wall.replace(tzinfo=calendar.zone)
        # A wall clock that is set back shows this twice.
        yield local.astimezone(UTC)
        yield local.replace(fold=1).astimezone(UTC)


def _walls(calendar: Calendar, begin: datetime, end: datetime | None) -> Iterator[datetime]:
    """Yield what the wall clock may show when the calendar opens or closes.

    From a day before ``begin`` to a day after ``end``: a clock that is set back shows again what
    it has shown, and only both readings together tell when it is.
    """
    first = _shown(begin, calendar) - _DAY
    windows = (*calendar.dated, *calendar.exceptions)
    dates = [wall for w in windows for wall in (w.start, w.end) if ever_comes(wall)]
    if end is None:
        yield from (wall for wall in dates if first <= wall)
        return
    last = _shown(end, calendar) + _DAY
    yield from (wall for wall in dates if first <= wall <= last)
    yield from _walls_that_come_round(calendar, first.date(), last.date())


def _shown(at: datetime, calendar: Calendar) -> datetime:
    return at.astimezone(calendar.zone).replace(tzinfo=None)


def _walls_that_come_round(calendar: Calendar, first: date, last: date) -> Iterator[datetime]:
    minutes = {m for w in calendar.weekly for m in (w.from_minute, w.to_minute)}
    if calendar.holidays is not None:
        minutes.add(0)
    for days in range((last - first).days + 1):
        midnight = datetime.combine(first + timedelta(days=days), time())
        yield from (midnight + timedelta(minutes=minute) for minute in minutes)


def _clock_changes(zone: tzinfo, moments: Sequence[datetime]) -> Iterator[datetime]:
    """Yield the instants between the moments when the offset changes."""
    for earlier, later in pairwise(moments):
        # Years may lie between two dated windows. A change that opens or closes one lies between
        # the two readings of a wall clock.
        if later - earlier > timedelta(days=2):
            continue
        before = earlier.astimezone(zone).utcoffset()
        if before != later.astimezone(zone).utcoffset():
            yield _first_with_other_offset(zone, earlier, later)


def _first_with_other_offset(zone: tzinfo, earlier: datetime, later: datetime) -> datetime:
    before = earlier.astimezone(zone).utcoffset()
    while later - earlier > _SECOND:
        middle = earlier + (later - earlier) / 2
        if middle.astimezone(zone).utcoffset() == before:
            earlier = middle
        else:
            later = middle
    # Zones change on whole seconds; the halving left a fraction.
    return later.replace(microsecond=0)
