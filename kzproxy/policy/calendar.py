"""Calendars: when, by the wall clock of a time zone.

A calendar is open or not by what a clock on the wall of its time zone shows, whatever the offset
from UTC is that day: an hour that the clock shows twice counts twice, one that it skips not at all.
"""

from collections.abc import Callable
from datetime import MAXYEAR, MINYEAR, date, datetime, timedelta, tzinfo

import msgspec

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MINUTES_A_DAY = 24 * 60


class WeeklyWindow(msgspec.Struct, frozen=True, kw_only=True):
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


class DatedWindow(msgspec.Struct, frozen=True, kw_only=True):
    """From one moment of the wall clock to another, once.

    Attributes:
        start: Without a zone, included.
        end: Without a zone, not included.
    """

    start: datetime
    end: datetime

    def shows(self, local: datetime) -> bool:
        """Whether a wall clock that shows ``local`` is within the window."""
        return self.start <= local.replace(tzinfo=None) < self.end


def ever_comes(wall: datetime) -> bool:
    """Whether a dated window that begins or ends at ``wall`` turns then.

    Not in the first and the last year that can be written: whoever writes 9999-12-31 means for
    good, and of some moments of those years it cannot be said what they are in UTC.
    """
    return MINYEAR < wall.year < MAXYEAR


class Holidays(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The public holidays of a country or a part of it.

    Attributes:
        country: ISO 3166-1, two letters.
        subdivision: ISO 3166-2 without the country; empty for what holds everywhere in it.
        include: Whether a day is one; given by the loader, and another function after each reading.
    """

    country: str
    subdivision: str
    include: Callable[[date], bool]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Holidays) and self._where == other._where

    def __ne__(self, other: object) -> bool:  # A struct has one of its own, which asks no __eq__.
        return not self == other

    def __hash__(self) -> int:
        return hash(self._where)

    @property
    def _where(self) -> tuple[str, str]:
        return self.country, self.subdivision


class Calendar(msgspec.Struct, frozen=True, kw_only=True):
    """A name for windows in one time zone.

    Attributes:
        name: As rules name it.
        zone_name: IANA name, for people and for the content hash.
        zone: The zone itself, read by the loader: this room reads no files.
        weekly: It is open while one of them is,
        dated: or one of these,
        exceptions: and none of these,
        holidays: and not on these days, from midnight to midnight.
    """

    name: str
    zone_name: str
    zone: tzinfo
    weekly: tuple[WeeklyWindow, ...] = ()
    dated: tuple[DatedWindow, ...] = ()
    exceptions: tuple[DatedWindow, ...] = ()
    holidays: Holidays | None = None

    def is_open(self, at: datetime) -> bool:
        """Whether it is open at an aware instant."""
        local = at.astimezone(self.zone)
        if any(window.shows(local) for window in self.exceptions):
            return False
        if self.holidays is not None and self.holidays.include(local.date()):
            return False
        windows: tuple[WeeklyWindow | DatedWindow, ...] = (*self.weekly, *self.dated)
        return any(window.shows(local) for window in windows)

    @property
    def turns_by_dates_alone(self) -> bool:
        """Whether only its dated windows and exceptions open and close it."""
        monday = datetime(2001, 1, 1)  # noqa: DTZ001 - a wall clock, of any week
        ends = [
            monday + timedelta(days=day, minutes=window.to_minute)
            for window in self.weekly
            for day in range(len(DAYS))
        ]
        return self.holidays is None and all(
            any(window.shows(end) for window in self.weekly) for end in ends
        )
