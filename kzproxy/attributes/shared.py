"""Values that are alike, held once."""

from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Shared(Generic[T]):
    """Gives, for a value, the first of those equal to it, so that thousands of holders share one.

    Only for values that do not change. When the bound is reached everything is forgotten: what
    comes then is shared anew, which costs memory alone.
    """

    __slots__ = ("_known", "_max_values")

    def __init__(self, *, max_values: int = 4096) -> None:
        self._known: dict[T, T] = {}
        self._max_values = max_values

    def one(self, value: T) -> T:
        """Return the first that was given of those equal to ``value``."""
        known = self._known.get(value)
        if known is not None:
            return known
        if len(self._known) >= self._max_values:
            self._known.clear()
        self._known[value] = value
        return value

    def clear(self) -> None:
        """Forget every value; who holds one goes on holding it."""
        self._known.clear()
