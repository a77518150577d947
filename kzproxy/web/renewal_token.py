"""What a client renews its session with: good once, and for a while more where an answer was lost.

Each renewal gives the next token. One that was used before is somebody's copy, and then nobody can
tell whose: the session ends (RFC 9700 section 4.14.2). But an answer can be lost on its way, so the
one before counts a little longer; it is of no use without the session's key anyway. A client that
has given up waiting sends it once more, and what it has given up may yet be done, after that.
"""

import hashlib
import hmac
import re
import secrets
from datetime import datetime, timedelta

import msgspec

from kzproxy.administrator.session import SessionRecord
from kzproxy.errors.kinds import ServiceUnavailable

LOST_ANSWER = timedelta(seconds=60)
"""For how long the token before counts after it was used."""

_FORM = re.compile(r"([0-9a-f]{32})\.[A-Za-z0-9_-]{43}")
_SECRET_BYTES = 32


class Replayed(Exception):
    """A renewal token that was used before, or never was one of the session."""


class RenewalToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token, new or presented.

    Attributes:
        text: What the client has.
        session_id: Whose it says that it is.
        digest: What is kept of it.
    """

    text: str
    session_id: str
    digest: str

    def __repr__(self) -> str:
        """Name it without itself."""
        return f"RenewalToken(session_id={self.session_id!r})"

    @classmethod
    def new(cls, session_id: str) -> "RenewalToken":
        """Make one that nobody has."""
        text = f"{session_id}.{secrets.token_urlsafe(_SECRET_BYTES)}"
        return cls(text=text, session_id=session_id, digest=_digest(text))

    @classmethod
    def read(cls, text: str) -> "RenewalToken | None":
        """Read what a client presents; None where it cannot be one."""
        match = _FORM.fullmatch(text)
        return None if match is None else cls(text=text, session_id=match[1], digest=_digest(text))

    def is_of(self, record: SessionRecord) -> bool:
        """Tell whether it is one of the two that are known of a session, of whatever age."""
        return _same(self.digest, record.renewal_digest) or _same(
            self.digest, record.renewal_before
        )


def overtaken() -> ServiceUnavailable:
    """Return the refusal of a renewal after which the session was renewed by another request."""
    return ServiceUnavailable(
        "a later renewal of this session was done first; try again", retry_after_seconds=1
    )


def rotated(
    record: SessionRecord,
    presented: RenewalToken,
    following: RenewalToken,
    now: datetime,
    *,
    asked_at: datetime,
) -> SessionRecord:
    """Return the session with ``following`` in the place of ``presented``.

    Args:
        record: The session.
        presented: What the client has.
        following: What it is given.
        now: Aware, UTC.
        asked_at: When the client's request came.

    Raises:
        Replayed: ``presented`` does not count any more.
        ServiceUnavailable: What was given for a later request is not to be taken away again.
    """
    if _same(presented.digest, record.renewal_digest):
        return msgspec.structs.replace(
            record,
            renewal_digest=following.digest,
            renewal_before=presented.digest,
            renewed_at=now,
            renewal_asked_at=asked_at,
        )
    used_at = record.renewed_at
    if not _same(presented.digest, record.renewal_before) or used_at is None:
        raise Replayed
    if not used_at <= now < used_at + LOST_ANSWER:
        raise Replayed
    if record.renewal_asked_at is not None and asked_at < record.renewal_asked_at:
        raise overtaken()
    # The answer with the present one was lost: that one is not good any more, and the time since
    # the first use goes on.
    return msgspec.structs.replace(
        record, renewal_digest=following.digest, renewal_asked_at=asked_at
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _same(one: str, other: str) -> bool:
    return bool(other) and hmac.compare_digest(one, other)
