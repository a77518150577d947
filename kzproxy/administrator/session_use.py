"""When sessions were last used: known here at once, and to all workers from time to time."""

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial

import msgspec

from kzproxy.administrator.session import SessionRecord
from kzproxy.errors.kinds import ServiceUnavailable, Unauthenticated

log = logging.getLogger(__name__)

Change = Callable[[SessionRecord], SessionRecord]
Update = Callable[[str, Change], Awaitable[SessionRecord]]


class SessionUse:
    """The times that are not written yet, by session."""

    def __init__(self) -> None:
        self._used: dict[str, datetime] = {}

    def note(self, session_id: str, at: datetime) -> None:
        """Have a time written when it is next written."""
        self._used[session_id] = at

    def applied(self, record: SessionRecord) -> SessionRecord:
        """Return ``record`` as it was last used."""
        used = self._used.get(record.id)
        return record if used is None or used <= record.seen_at else _seen_at(record, used)

    async def write(self, update: Update) -> None:
        """Write all that is noted by ``update``; what cannot be written stays noted."""
        for session_id, at in list(self._used.items()):
            try:
                await update(session_id, partial(_seen_at, at=at))
            except Unauthenticated:
                pass  # it has ended
            except ServiceUnavailable as error:
                log.warning("the use of a session cannot be noted: %s", error.detail)
                return
            if self._used.get(session_id) == at:
                del self._used[session_id]


def _seen_at(record: SessionRecord, at: datetime) -> SessionRecord:
    return msgspec.structs.replace(record, seen_at=max(record.seen_at, at))
