"""A length of time as an option: 90s, 30m, 8h, 1d."""

import re

import click

_DURATION = re.compile(r"([0-9]{1,7})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Duration(click.ParamType[int]):
    """Whole seconds, given with a unit."""

    name = "duration"

    def __init__(self, *, allows_none: bool = False) -> None:
        """Take 0 too where ``allows_none``."""
        self._allows_none = allows_none

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return ``value`` in seconds."""
        if isinstance(value, int):
            return value
        found = _DURATION.fullmatch(str(value))
        seconds = int(found[1]) * _SECONDS[found[2]] if found else 0
        if found is None or (not seconds and not self._allows_none):
            self.fail(f"{value!r} is not a duration such as 90s, 30m, 8h or 1d", param, ctx)
        return seconds


def spoken(seconds: float) -> str:
    """Return a length of time in its two largest units, such as ``11 h 59 min``."""
    minutes = max(0, round(seconds / 60))
    if minutes < 1:
        return f"{max(0, int(seconds))} s"
    days, rest = divmod(minutes, 24 * 60)
    hours, minutes = divmod(rest, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "min")]
    return " ".join([f"{count} {unit}" for count, unit in parts if count][:2])
