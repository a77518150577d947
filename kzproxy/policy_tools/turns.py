"""The moments at which the calendars of a policy may open or close."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from kzproxy.policy.calendar import ever_comes
from kzproxy.policy_tools.policy_text import PolicyText

# A week has every weekly turn; what opens later is found by its date alone.
_DAYS_AHEAD = 8
_MINUTES_OF_A_DAY = 24 * 60
_WEEK = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def next_turns(text: PolicyText, at: datetime) -> list[datetime]:
    """Return the moments after ``at``, in order, in the zones of their calendars.

    More than really turn: exceptions and holidays are not looked at.
    """
    turns = {
        turn
        for definition in text.definitions
        if definition.section == "calendars" and isinstance(definition.value, dict)
        for turn in _turns(definition.value, at)
        if turn > at
    }
    return sorted(turns)


def _turns(calendar: dict[str, object], at: datetime) -> Iterator[datetime]:
    zone = ZoneInfo(str(calendar["timeZone"]))
    for window in _listed(calendar, "weekly"):
        yield from _weekly_turns(window, at.astimezone(zone).date(), zone)
    for field in ("dated", "except"):
        for span in _listed(calendar, field):
            walls = (datetime.fromisoformat(str(span[end])) for end in ("from", "to"))
            yield from (w.replace(tzinfo=zone).astimezone(UTC) for w in walls if ever_comes(w))


def _weekly_turns(window: dict[str, object], first: date, zone: ZoneInfo) -> Iterator[datetime]:
    days = window["days"]
    begins, ends = (_minutes(str(window[end])) for end in ("from", "to"))
    if ends <= begins:  # On the day after, so that the one of yesterday may be open still.
        ends += _MINUTES_OF_A_DAY
    for number in range(-1, _DAYS_AHEAD):
        day = first + timedelta(days=number)
        if isinstance(days, list) and _WEEK[day.weekday()] in days:
            for minutes in (begins, ends):
                local = datetime.combine(day, time()) + timedelta(minutes=minutes)
                yield local.replace(tzinfo=zone).astimezone(UTC)


def _minutes(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)


def _listed(calendar: dict[str, object], name: str) -> list[dict[str, object]]:
    value = calendar.get(name)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
