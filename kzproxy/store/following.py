"""Views in memory of what the store keeps: what requests are judged by, without waiting."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from kzproxy.clock.latest import LatestTime
from kzproxy.clock.settled import SettledClock
from kzproxy.clock.system import Clock
from kzproxy.errors.kinds import ServiceUnavailable
from kzproxy.store.store import Change, Delete, Entry, Put, Store
from kzproxy.store.unreadable import UnreadableEntries

log = logging.getLogger(__name__)

POLL_SECONDS = 0.05
"""How long a change at another worker may take to be seen here."""

OUT_OF_TOUCH_SECONDS = 15.0
"""What is remembered counts for no longer than this without a word of the store."""

_SWEEP_SECONDS = 60.0


class View(Protocol):
    """What is made in memory of one kind of entries. Its functions never wait."""

    @property
    def kind(self) -> str:
        """Of the entries that it is told of."""

    def replaced(self, entries: Sequence[Entry]) -> None:
        """Take these as all that there are: at the start, and where changes were missed."""

    def changed(self, key: str, entry: Entry | None) -> None:
        """Take one as it is now; None where it is gone."""


class Following:
    """Tells views of every change, in order, wherever it was made.

    Attributes:
        unreadable: Where views note what they can make nothing of.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._views: list[View] = []
        self._revision = 0
        self._heard_at: float | None = None
        self._latest = LatestTime(clock.now())
        self._turn = asyncio.Lock()
        self._is_torn = False
        self._failed = ""
        self.unreadable = UnreadableEntries()

    def follow(self, view: View) -> None:
        """Have ``view`` told too; before ``start``."""
        self._views.append(view)

    async def start(self) -> None:
        """Have the views know everything there is.

        Raises:
            ServiceUnavailable: The store cannot be reached.
        """
        async with self._turn:
            await self._read_anew()

    async def catch_up(self) -> None:
        """Return once the views know all that was written before this was called.

        Raises:
            ServiceUnavailable: The store cannot be reached.
        """
        async with self._turn:
            while await self._read_on():
                pass

    async def write(self, *writes: Put | Delete) -> None:
        """Write, all or nothing; once it returns, the views here know of it.

        Raises:
            Conflict: An ``expected`` did not hold.
            ServiceUnavailable: The store cannot be reached; it may be written all the same.
        """
        await self._store.write(*writes)
        await self.catch_up()

    async def run(self) -> None:
        """Follow until cancelled; what cannot be reached is asked again."""
        swept_at, settled = self._clock.monotonic(), SettledClock(self._clock)
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                await self.catch_up()
                if self._clock.monotonic() - swept_at > _SWEEP_SECONDS:
                    swept_at = self._clock.monotonic()
                    if settled.is_settled():
                        await self._store.sweep()
            except ServiceUnavailable as error:
                log.warning("the store cannot be followed: %s", error.detail)
                await asyncio.sleep(1)
            if self._failed:
                await asyncio.sleep(1)  # everything is read anew each time

    def problem(self) -> str | None:
        """Say why what the views know may be too old to go by; None where it is not."""
        if self._failed:
            return f"what the store has of each {self._failed} could not be taken in; see the log"
        if self._heard_at is None:
            return "the store has not been read yet"
        silent = self._clock.monotonic() - self._heard_at
        if silent <= OUT_OF_TOUCH_SECONDS:
            return None
        return f"the store has not been heard of for {silent:.0f} s"

    async def _read_anew(self) -> None:
        began, now = self._clock.monotonic(), self._clock.now()
        # First the revision: what is written meanwhile is told once more, and that does no harm.
        revision, failed = await self._store.revision(), ""
        for view in self._views:
            entries = await self._store.entries(view.kind)
            self.unreadable.left(view.kind, frozenset(entry.key for entry in entries))
            try:
                view.replaced(entries)
            except Exception:
                # It knows half of it, or nothing. Until it knows all, nobody can tell.
                log.exception("bug while all of each %s was read", view.kind)
                failed = view.kind
        # Last: where one view could not be read, all that was missed is still missing.
        self._revision, self._heard_at = revision, began
        self._latest.begin_anew(now)
        self._failed, self._is_torn = failed, bool(failed)

    async def _read_on(self) -> bool:
        """Tell of the next changes; whether there may be more."""
        began, now = self._clock.monotonic(), self._clock.now()
        found = await self._store.changes(self._revision)
        # What was over by a clock that was ahead is not, and no change tells of it.
        is_set_back = self._latest.is_set_back(now)
        if found.gap or self._is_torn or is_set_back:
            await self._read_anew()
            return False
        for change in found.changes:
            self._tell(change)
        self._revision, self._heard_at = found.revision, began
        return bool(found.changes)

    def _tell(self, change: Change) -> None:
        for view in self._views:
            if view.kind != change.kind:
                continue
            try:
                view.changed(change.key, change.entry)
            except Exception:
                # One that fails must not keep the others from what they must know; what it has
                # not taken in is read again with everything else.
                log.exception("bug while %s %s changed", change.kind, change.key)
                self._is_torn = True
        if change.entry is None:
            self.unreadable.gone(change.kind, change.key)
