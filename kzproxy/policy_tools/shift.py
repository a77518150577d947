"""Which way something moves from one policy to another: it reaches or holds more, less, or both."""

from collections.abc import Callable, Iterable
from enum import Flag
from typing import TypeVar

_Value = TypeVar("_Value")


class Shift(Flag):
    """What can become of it; two together are either.

    Said of a condition: it holds where it did not. Said of a rule: it matches where it did not.
    Said of access: what was refused is permitted.
    """

    NONE = 0
    WIDER = 1
    NARROWER = 2
    EITHER = 3

    @property
    def reversed(self) -> "Shift":
        """Of the contrary: what holds less often spares more."""
        turned = {Shift.WIDER: Shift.NARROWER, Shift.NARROWER: Shift.WIDER}
        return turned.get(self, self)


def together(shifts: Iterable[Shift]) -> Shift:
    """Return the shift of what all of these have a part in."""
    result = Shift.NONE
    for shift in shifts:
        result |= shift
    return result


def compared(covers: Callable[[_Value, _Value], bool], old: _Value, new: _Value) -> Shift:
    """Return how ``new`` differs from ``old``.

    Args:
        covers: Whether the first surely holds wherever the second does.
        old: As it was.
        new: As it is.
    """
    if old == new:
        return Shift.NONE
    grown = Shift.NONE if covers(old, new) else Shift.WIDER
    lost = Shift.NONE if covers(new, old) else Shift.NARROWER
    return grown | lost


def member_shift(old: Iterable[str], new: Iterable[str]) -> Shift:
    """Return the shift of something that any one of some members is enough for."""
    return compared(lambda wide, narrow: narrow <= wide, frozenset(old), frozenset(new))
