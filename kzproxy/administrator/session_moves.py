"""Where sessions have moved to: known here at once, and to all workers when it is written."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec

from kzproxy.administrator.session import SessionRecord
from kzproxy.errors.kinds import ServiceUnavailable, Unauthenticated

log = logging.getLogger(__name__)

# A client that comes from two addresses in turn must not keep the store busy.
_SECONDS_BETWEEN_WRITES = 1.0

Change = Callable[[SessionRecord], SessionRecord]
Update = Callable[[str, Change], Awaitable[SessionRecord]]


class SessionMoves:
    """The addresses that are not written yet, by session."""

    def __init__(self) -> None:
        self._pending: dict[str, str] = {}
        self._noted = asyncio.Event()

    def note(self, session_id: str, address: str) -> None:
        """Have an address written soon."""
        self._pending[session_id] = address
        self._noted.set()

    def applied(self, record: SessionRecord) -> SessionRecord:
        """Return ``record`` with what is noted of it: it is newer than what anybody has written."""
        address = self._pending.get(record.id)
        return record if address is None else moved(record, address)

    async def run(self, update: Update) -> None:
        """Write what is noted by ``update``, until cancelled."""
        while True:
            await self._noted.wait()
            self._noted.clear()
            await self.write(update)
            await asyncio.sleep(_SECONDS_BETWEEN_WRITES)

    async def write(self, update: Update) -> None:
        """Write all that is noted; what cannot be written stays noted."""
        for session_id, address in list(self._pending.items()):
            try:
                await update(session_id, partial(moved, address=address))
            except Unauthenticated:
                pass  # it has ended
            except ServiceUnavailable as error:
                log.warning("where a session has moved cannot be noted: %s", error.detail)
                self._noted.set()
                return
            if self._pending.get(session_id) == address:
                del self._pending[session_id]


def moved(record: SessionRecord, address: str) -> SessionRecord:
    """Return ``record`` last seen at ``address``."""
    return msgspec.structs.replace(record, seen_address=address)
