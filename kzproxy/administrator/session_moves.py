"""Where sessions have moved to: known here at once, and to all workers when it is written."""

import asyncio

import msgspec

from kzproxy.administrator.session import SessionRecord
from kzproxy.administrator.session_notes import SessionNotes, Update

# A client that comes from two addresses in turn must not keep the store busy.
_SECONDS_BETWEEN_WRITES = 1.0


class SessionMoves(SessionNotes[str]):
    """The addresses that are not written yet, by session: newer than what anybody has written."""

    def __init__(self) -> None:
        super().__init__(moved, "where a session has moved")
        self._noted = asyncio.Event()

    def note(self, session_id: str, noted: str) -> None:
        """Have an address written soon."""
        super().note(session_id, noted)
        self._noted.set()

    async def run(self, update: Update) -> None:
        """Write what is noted by ``update``, until cancelled."""
        while True:
            await self._noted.wait()
            self._noted.clear()
            if not await self.write(update):
                self._noted.set()
            await asyncio.sleep(_SECONDS_BETWEEN_WRITES)


def moved(record: SessionRecord, address: str) -> SessionRecord:
    """Return ``record`` last seen at ``address``."""
    return msgspec.structs.replace(record, seen_address=address)
