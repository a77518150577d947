"""Decisions of the past, for those who ask about one: from memory, else from the log's files.

At most one search runs at a time in a process and each caller has at most one under way, so that
asking can slow down nobody but others who ask.
"""

import asyncio
from collections.abc import Callable, Hashable

from kzproxy.audit.job_thread import JobThread
from kzproxy.audit.recent import RecentRefusals
from kzproxy.audit.schema import DecisionRecord
from kzproxy.audit.search import Found, LogSearch
from kzproxy.errors.kinds import ServiceUnavailable, TooManyRequests

MAX_WAITING = 16
_RETRY_AFTER_SECONDS = 1


class PastDecisions:
    """Finds decisions by their audit ids; used on one event loop."""

    def __init__(self, recent: RecentRefusals, search: LogSearch | None) -> None:
        """Take what this process remembers, and the files; None where the log has none."""
        self._recent = recent
        self._search = search
        self._thread: JobThread | None = None  # most processes are never asked
        self._callers: set[Hashable] = set()

    async def find(
        self, audit_id: str, is_meant: Callable[[DecisionRecord], bool], *, caller: Hashable
    ) -> Found | None:
        """Return the decision with this id, of those that are meant; see ``LogSearch.find``.

        Args:
            audit_id: A UUID, as kzproxy makes them.
            is_meant: Asked of every record with this id, on any thread.
            caller: Who asks.

        Raises:
            TooManyRequests: The caller has a search under way.
            ServiceUnavailable: Too many others have, or the log cannot be read.
        """
        recent = self._recent.recall(audit_id)
        if recent is not None and is_meant(recent):
            return Found(decision=recent)
        if self._search is None:
            return None
        if self._thread is None:  # before the turn, which its search alone gives back
            self._thread = JobThread("decision-search")
        self._take_turn(caller)
        try:
            return await self._searched(self._search, self._thread, audit_id, is_meant, caller)
        except OSError as error:
            raise ServiceUnavailable(
                "the decision log cannot be read now; try again later", detail=str(error)
            ) from error

    async def _searched(
        self,
        search: LogSearch,
        thread: JobThread,
        audit_id: str,
        is_meant: Callable[[DecisionRecord], bool],
        caller: Hashable,
    ) -> Found | None:
        """Search; the caller's turn ends when the search does, although nobody may wait for it."""
        loop = asyncio.get_running_loop()
        failed: asyncio.Future[Exception | None] = loop.create_future()
        found: list[Found | None] = []

        def done(error: Exception | None) -> None:
            self._callers.discard(caller)
            if not failed.done():
                failed.set_result(error)

        thread.submit(loop, lambda: found.append(search.find(audit_id, is_meant)), done)
        if (error := await failed) is not None:
            try:
                raise error
            finally:
                del error  # It holds this frame: see ``errors.anew``.
        return found[0]

    def _take_turn(self, caller: Hashable) -> None:
        if caller in self._callers:
            raise TooManyRequests(
                "you are asking about another decision; wait for its answer",
                retry_after_seconds=_RETRY_AFTER_SECONDS,
            )
        if len(self._callers) >= MAX_WAITING:
            raise ServiceUnavailable(
                f"{MAX_WAITING} others are asking about decisions; try again",
                retry_after_seconds=_RETRY_AFTER_SECONDS,
            )
        self._callers.add(caller)
