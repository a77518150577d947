"""Names with ``*`` for any run of characters."""

from collections.abc import Sequence
from functools import lru_cache

WILDCARD = "*"

_REMEMBERED_PATTERNS = 4096


class Names:
    """A set of names and globs, ready to be asked.

    ``*`` stands for any characters, none included; nothing else is special. Made of string
    searches, not of a regular expression, so that no pattern can make it slow.
    """

    __slots__ = ("_exact", "_globs", "_prefixes")

    def __init__(self, patterns: Sequence[str]) -> None:
        globs = [tuple(pattern.split(WILDCARD)) for pattern in patterns if WILDCARD in pattern]
        self._exact = frozenset(pattern for pattern in patterns if WILDCARD not in pattern)
        # Most globs are ``name-*``; Python compares all of those in one call.
        self._prefixes = tuple(pieces[0] for pieces in globs if pieces[1:] == ("",))
        self._globs = tuple(pieces for pieces in globs if pieces[1:] != ("",))

    def hold(self, name: str) -> bool:
        """Whether ``name`` is one of the names or fits one of the globs."""
        if name in self._exact or name.startswith(self._prefixes):
            return True
        return bool(self._globs) and any(_fits(pieces, name) for pieces in self._globs)


def _fits(pieces: tuple[str, ...], name: str) -> bool:
    first, *middle, last = pieces
    if len(name) < len(first) + len(last) or not name.startswith(first) or not name.endswith(last):
        return False
    at, end = len(first), len(name) - len(last)
    for piece in middle:
        # The leftmost place leaves the most room for the pieces after it.
        found = name.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True


@lru_cache(_REMEMBERED_PATTERNS)
def glob_names(pattern: str) -> Names:
    """Return the names that fit one pattern; made once for each."""
    return Names((pattern,))
