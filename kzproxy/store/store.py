"""What every store does, whatever is behind it."""

from datetime import datetime
from typing import Final, Protocol

import msgspec

# A write that does not mind what was there. Revisions begin at 1.
ANY: Final = -1


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One value that is kept.

    Attributes:
        kind: What sort of thing it is, such as ``session``.
        key: Its name among those of its kind.
        value: Not looked at by the store; secrets in it are sealed by whoever puts them there.
        revision: Of the store, when it was written; grows from write to write.
        expires_at: Aware, UTC; when it is kept no longer. None: until it is deleted.
    """

    kind: str
    key: str
    value: bytes
    revision: int
    expires_at: datetime | None = None


class Put(msgspec.Struct, frozen=True, kw_only=True):
    """Have this value kept, in place of what there was.

    Attributes:
        expected: The revision that must be there now; None: there must be nothing; ``ANY``.
    """

    kind: str
    key: str
    value: bytes
    expires_at: datetime | None = None
    expected: int | None = ANY


class Delete(msgspec.Struct, frozen=True, kw_only=True):
    """Keep this no longer; does nothing where there is nothing, unless a revision is expected."""

    kind: str
    key: str
    expected: int = ANY


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one entry; ``entry`` is None where it is gone."""

    kind: str
    key: str
    revision: int
    entry: Entry | None


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What happened after a revision.

    Attributes:
        changes: In order; an entry that changed twice is there once, as it is now.
        revision: What to ask after next.
        gap: Whether older changes are forgotten, so that everything must be read anew.
    """

    changes: tuple[Change, ...]
    revision: int
    gap: bool = False


class Conflict(Exception):
    """What a write expected was not there; nothing of it was written."""

    def __init__(self, kind: str, key: str) -> None:
        super().__init__(f"{kind} {key} is not as it was")
        self.kind = kind
        self.key = key


class Store(Protocol):
    """Keeps entries. What cannot be reached or written raises ``ServiceUnavailable``."""

    async def get(self, kind: str, key: str) -> Entry | None:
        """Return one entry, if it is kept."""

    async def entries(self, kind: str) -> tuple[Entry, ...]:
        """Return all of a kind, by key."""

    async def write(self, *writes: Put | Delete) -> int:
        """Do all of it or nothing; return the store's revision once it would outlive a power cut.

        Raises:
            Conflict: An ``expected`` did not hold.
        """

    async def changes(self, after: int, limit: int = 1000) -> Changes:
        """Return what happened after a revision, ``limit`` changes at most."""

    async def revision(self) -> int:
        """Return the revision of the last write."""

    async def hold(self, name: str, holder: str, seconds: float) -> bool:
        """Take or keep a lease for what must happen once; whether ``holder`` has it now.

        The lease ends by itself after ``seconds`` unless it is taken again before. All who take one
        of a name are to say the same length: an end that lies further ahead is of a clock that was
        ahead, and counts no more once it has been seen unchanged for so long.
        """

    async def let_go(self, name: str, holder: str) -> None:
        """Give up a lease, if ``holder`` has it: it is anybody's then."""

    async def sweep(self) -> int:
        """Delete what has expired; return how much."""

    async def close(self) -> None:
        """End; everything written stays."""
