"""How long calendars, taken together, stay open or stay closed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from itertools import pairwise

from kzproxy.policy.calendar import Calendar

_SECOND = timedelta(seconds=1)
# A week holds every boundary; in the week when the clock skips one, it comes in the next.
_DAYS_AHEAD = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of time in which some calendars, taken together, stay open or stay closed.

    Attributes:
        is_open: Whether at least one is open.
        since: An instant in it, UTC.
        until: The first instant after it, UTC, or an earlier one where nobody has looked further;
            None where it never ends.
    """

    is_open: bool
    since: datetime
    until: datetime | None

    def covers(self, at: datetime) -> bool:
        """Whether ``at`` lies in it."""
        return self.since <= at and (self.until is None or at < self.until)


def span_at(calendars: Sequence[Calendar], at: datetime) -> Span:
    """Return the span that begins no later than ``at``, an aware instant, and holds it."""
    start = at.astimezone(UTC)
    is_open = _any_open(calendars, start)
    moments = [moment for moment in _moments(calendars, start) if moment > start]
    until = next((m for m in moments if _any_open(calendars, m) != is_open), None)
    if until is None and moments and not all(each.recurs_weekly for each in calendars):
        until = moments[-1]
    return Span(is_open=is_open, since=start, until=until)


def _any_open(calendars: Sequence[Calendar], at: datetime) -> bool:
    return any(calendar.is_open(at) for calendar in calendars)


def _moments(calendars: Sequence[Calendar], start: datetime) -> Iterator[datetime]:
    """Yield in order every instant, UTC, at which the calendars may open or close."""
    found = {start}
    for calendar in calendars:
        boundaries = {start, *_boundaries(calendar, start)}
        found |= boundaries
        found |= set(_clock_changes(calendar.zone, sorted(boundaries)))
    yield from sorted(found)


def _boundaries(calendar: Calendar, start: datetime) -> Iterator[datetime]:
    for wall in _walls(calendar, start.astimezone(calendar.zone).replace(tzinfo=None)):
        local = wall.replace(tzinfo=calendar.zone)
        # A wall clock that is set back shows this twice.
        yield local.astimezone(UTC)
        yield local.replace(fold=1).astimezone(UTC)


def _walls(calendar: Calendar, now: datetime) -> Iterator[datetime]:
    """Yield what the wall clock may show when the calendar opens or closes, from ``now`` on."""
    minutes = {m for w in calendar.weekly for m in (w.from_minute, w.to_minute)}
    if calendar.holidays is not None:
        minutes.add(0)
    ends = [each.end for each in calendar.exceptions if each.end > now]
    # What is closed for long opens in the days after that.
    for first in (now, *ends):
        for days in range(-1, _DAYS_AHEAD):
            midnight = datetime.combine(first.date() + timedelta(days=days), time())
            yield from (midnight + timedelta(minutes=minute) for minute in minutes)
    for window in (*calendar.dated, *calendar.exceptions):
        yield from (wall for wall in (window.start, window.end) if wall > now)


def _clock_changes(zone: tzinfo, moments: Sequence[datetime]) -> Iterator[datetime]:
    """Yield the instants between the moments when the offset changes."""
    for earlier, later in pairwise(moments):
        if later - earlier > timedelta(days=2):  # Years may lie between two dated windows.
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
