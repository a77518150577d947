"""Weekly windows of local time, and how long they stay open or closed.

A window is open or not by what a clock on the wall of its time zone shows, whatever the offset
from UTC is that day: an hour that the clock shows twice counts twice, one that it skips not at all.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from itertools import pairwise

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MINUTES_A_DAY = 24 * 60

_SECOND = timedelta(seconds=1)
# A week holds every boundary; in the week when the clock skips one, it comes in the next.
_DAYS_AHEAD = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class WeeklyWindow:
    """From one minute of a day to another, on some days.

    Attributes:
        days: On which it begins; Monday is 0.
        from_minute: Counted from midnight, included; 0 to 1439.
        to_minute: Not included; up to 1440. Not after ``from_minute``: it ends the next day.
    """

    days: frozenset[int]
    from_minute: int
    to_minute: int

    def shows(self, local: datetime) -> bool:
        """Whether a wall clock that shows ``local`` is within the window."""
        minute = local.hour * 60 + local.minute
        today = local.weekday() in self.days
        if self.from_minute < self.to_minute:
            return today and self.from_minute <= minute < self.to_minute
        yesterday = (local.weekday() - 1) % 7 in self.days
        return (today and minute >= self.from_minute) or (yesterday and minute < self.to_minute)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeWindow:
    """A name for weekly windows in one time zone.

    Attributes:
        name: As rules name it.
        zone_name: IANA name, for people and for the content hash.
        zone: The zone itself, read by the loader: this room reads no files.
        windows: It is open while one of them is.
    """

    name: str
    zone_name: str
    zone: tzinfo
    windows: tuple[WeeklyWindow, ...]

    def is_open(self, at: datetime) -> bool:
        """Whether it is open at an aware instant."""
        local = at.astimezone(self.zone)
        return any(window.shows(local) for window in self.windows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of time in which some windows, taken together, stay open or stay closed.

    Attributes:
        is_open: Whether at least one is open.
        since: An instant in it, UTC.
        until: The first instant after it, UTC; None where it never ends.
    """

    is_open: bool
    since: datetime
    until: datetime | None

    def covers(self, at: datetime) -> bool:
        """Whether ``at`` lies in it."""
        return self.since <= at and (self.until is None or at < self.until)


def span_at(windows: Sequence[TimeWindow], at: datetime) -> Span:
    """Return the span that begins no later than ``at``, an aware instant, and holds it."""
    start = at.astimezone(UTC)
    is_open = _any_open(windows, start)
    changes = (moment for moment in _moments(windows, start) if moment > start)
    until = next((m for m in changes if _any_open(windows, m) != is_open), None)
    return Span(is_open=is_open, since=start, until=until)


def _any_open(windows: Sequence[TimeWindow], at: datetime) -> bool:
    return any(window.is_open(at) for window in windows)


def _moments(windows: Sequence[TimeWindow], start: datetime) -> Iterator[datetime]:
    """Yield in order every instant, UTC, at which the windows may open or close."""
    found = {start}
    for window in windows:
        boundaries = {start, *_boundaries(window, start)}
        found |= boundaries
        found |= set(_clock_changes(window.zone, sorted(boundaries)))
    yield from sorted(found)


def _boundaries(window: TimeWindow, start: datetime) -> Iterator[datetime]:
    today = start.astimezone(window.zone).date()
    minutes = {m for w in window.windows for m in (w.from_minute, w.to_minute)}
    for days in range(-1, _DAYS_AHEAD):
        midnight = datetime.combine(today + timedelta(days=days), time())
        for minute in minutes:
            wall = (midnight + timedelta(minutes=minute)).replace(tzinfo=window.zone)
            # A wall clock that is set back shows this twice.
            yield wall.astimezone(UTC)
            yield wall.replace(fold=1).astimezone(UTC)


def _clock_changes(zone: tzinfo, moments: Sequence[datetime]) -> Iterator[datetime]:
    """Yield the instants between the moments, a day apart at most, when the offset changes."""
    for earlier, later in pairwise(moments):
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
