"""Sessions as the store has them."""

from datetime import timedelta
from typing import NamedTuple

import msgspec

from kzproxy.administrator.session import SessionRecord
from kzproxy.store.store import Put

KIND = "session"

_KEPT_AFTER_END = timedelta(days=1)  # for `kzproxy sessions list --ended`

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(SessionRecord)


class StoredSession(NamedTuple):
    """A session as the store has it, and the revision that it has there."""

    record: SessionRecord
    revision: int


def session_put(record: SessionRecord, expected: int | None) -> Put:
    """Return the write that keeps ``record``, where the store has the revision ``expected``."""
    return Put(
        kind=KIND,
        key=record.id,
        value=_encoder.encode(record),
        expires_at=record.ends_at + _KEPT_AFTER_END,
        expected=expected,
    )


def decoded_session(value: bytes) -> SessionRecord:
    """Return what an entry of this value keeps."""
    return _decoder.decode(value)
