"""When sessions were last used: known here at once, and to all workers from time to time."""

from datetime import datetime

import msgspec

from kzproxy.administrator.session import SessionRecord
from kzproxy.administrator.session_notes import SessionNotes


class SessionUse(SessionNotes[datetime]):
    """The times that are not written yet, by session."""

    def __init__(self) -> None:
        super().__init__(_seen_at, "the use of a session")


def _seen_at(record: SessionRecord, at: datetime) -> SessionRecord:
    if at <= record.seen_at:  # Another worker has seen it later.
        return record
    return msgspec.structs.replace(record, seen_at=at)
