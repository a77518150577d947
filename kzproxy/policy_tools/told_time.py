"""Ages and moments as an operator tells them, within what can be reckoned with.

Every moment and every age is bounded, so that no age before a moment, and no span after one, is a
date that there is not.
"""

import re
from datetime import datetime, timedelta

_DURATION = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
# A century, which is older than any sign-in or report.
_LONGEST_DAYS = 36_500
_YEARS = range(1970, 9999)


def duration_in(text: str) -> timedelta:
    """Read ``90s``, ``15m``, ``8h`` or ``30d``.

    Raises:
        ValueError: It is none of that kind, or too long.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f'{text} is no duration; write "90s", "15m", "8h" or "30d"')
    duration = timedelta(**{_UNITS[found[2]]: int(found[1])})
    if duration > timedelta(days=_LONGEST_DAYS):
        raise ValueError(f"{text} is too long; write {_LONGEST_DAYS}d at most")
    return duration


def instant_in(text: str) -> datetime:
    """Read a time with its offset; one without has two readings.

    Raises:
        ValueError: It is none, or in a year that is not reckoned with.
    """
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        example = "2026-03-04T10:00:00+01:00"
        raise ValueError(f'{text} is no time; write "{example}", with its offset') from None
    if instant.tzinfo is None:
        raise ValueError(f"{text} has no offset; write {text}Z or another offset")
    if instant.year not in _YEARS:
        raise ValueError(f"{text} is too far away; write a year from {_YEARS[0]} to {_YEARS[-1]}")
    return instant
