"""What is known of sessions here at once, and to all workers when it is written."""

import logging
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from kzproxy.administrator.session import SessionRecord
from kzproxy.errors.kinds import ServiceUnavailable, Unauthenticated

log = logging.getLogger(__name__)

Noted = TypeVar("Noted")
Change = Callable[[SessionRecord], SessionRecord]
Update = Callable[[str, Change], Awaitable[SessionRecord]]


class SessionNotes(Generic[Noted]):
    """What is not written yet of one thing, by session; the last word of each counts."""

    def __init__(self, changed: Callable[[SessionRecord, Noted], SessionRecord], what: str) -> None:
        """Begin with none.

        Args:
            changed: Returns a session with what is noted of it.
            what: What is noted, for the log.
        """
        self._changed = changed
        self._what = what
        self._pending: dict[str, Noted] = {}

    def note(self, session_id: str, noted: Noted) -> None:
        """Have this written when it is next written."""
        self._pending[session_id] = noted

    def applied(self, record: SessionRecord) -> SessionRecord:
        """Return ``record`` with what is noted of it."""
        noted = self._pending.get(record.id)
        return record if noted is None else self._changed(record, noted)

    async def write(self, update: Update) -> bool:
        """Write all that is noted by ``update``; what cannot be written stays noted.

        Returns:
            Whether all could be written.
        """
        for session_id, noted in list(self._pending.items()):
            try:
                await update(session_id, self._change(noted))
            except Unauthenticated:
                pass  # it has ended
            except ServiceUnavailable as error:
                log.warning("%s cannot be noted: %s", self._what, error.detail)
                return False
            if self._pending.get(session_id) == noted:
                del self._pending[session_id]
        return True

    def _change(self, noted: Noted) -> Change:
        return lambda record: self._changed(record, noted)
