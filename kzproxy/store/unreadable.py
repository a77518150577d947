"""Entries that this kzproxy can make nothing of: of a newer version, or of one that is broken.

Each view says what follows, and never that nothing does. Here it is remembered for operators, and
one such entry ends nobody.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from kzproxy.store.store import Entry

log = logging.getLogger(__name__)

_Value = TypeVar("_Value")
_SHOWN = 3


class UnreadableEntries:
    """Remembers them, for all views of one worker."""

    def __init__(self) -> None:
        self._revisions: dict[tuple[str, str], int] = {}

    def read(
        self, entry: Entry, decode: Callable[[bytes], _Value], *, follows: str
    ) -> _Value | None:
        """Return what an entry holds; None where it cannot be read, which is then in the log.

        Args:
            entry: It.
            decode: Reads its value.
            follows: What follows where it cannot be read, for the log.
        """
        place = entry.kind, entry.key
        try:
            value = decode(entry.value)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            self._note(entry, follows, error)
            return None
        self._revisions.pop(place, None)
        return value

    def _note(self, entry: Entry, follows: str, error: Exception) -> None:
        place = entry.kind, entry.key
        if self._revisions.get(place) != entry.revision:
            log.error(
                "the store's entry %s %s cannot be read, so %s. Run the version of kzproxy that"
                " wrote it, or drop it with `kzproxy store drop`. %s",
                *place,
                follows,
                error,
            )
        self._revisions[place] = entry.revision

    def gone(self, kind: str, key: str) -> None:
        """Note that there is no such entry any more."""
        self._revisions.pop((kind, key), None)

    def left(self, kind: str, keys: frozenset[str]) -> None:
        """Note that of one kind there are these and no others."""
        for place in [place for place in self._revisions if place[0] == kind]:
            if place[1] not in keys:
                del self._revisions[place]

    def counts(self) -> Mapping[tuple[str, ...], int]:
        """Return how many there are, by kind."""
        return Counter((kind,) for kind, _ in self._revisions)

    def words(self) -> str:
        """Say for operators which there are; empty for none."""
        if not self._revisions:
            return ""
        places = sorted(" ".join(place) for place in self._revisions)
        more = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
        return f"cannot be read: {', '.join(places[:_SHOWN])}{more}; see the log for what follows"
