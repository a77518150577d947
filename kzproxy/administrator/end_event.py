"""What is written down of a session that is about to end though nobody asked for that."""

from kzproxy.administrator.session import SessionRecord
from kzproxy.audit.events import Event


def end_event(session_id: str, record: SessionRecord | None, message: str, *, by: str) -> Event:
    """Return it; ``record`` is None where the session is not known here."""
    name = "auth.session-ended"
    if record is None:
        return Event(name=name, message=message, by=by, session=session_id)
    return Event(
        name=name,
        message=message,
        by=by,
        user=(record.username, record.issuer, record.subject),
        session=session_id,
        device_id=record.device_id,
    )
