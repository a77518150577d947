"""One-time tokens that enrol a device without an administrator at hand.

256 bits; the store has their SHA-256 alone. One is used up by the very write that adds the device,
so that of two who try it at once one gets nothing.
"""

import base64
import hashlib
import secrets
from datetime import datetime

import msgspec

from kzproxy.store.store import Delete, Put, Store

KIND = "enrolment-token"
PREFIX = "kze_"

_BYTES = 32
_MAX_CHARS = 64


class EnrolmentToken(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept of a token; times are aware, UTC.

    Attributes:
        made_by: The administrator's username.
        made_at: When.
        expires_at: When it is good no longer.
        for_user: Username of the only one who may use it, and whose device it makes; empty: any.
    """

    made_by: str
    made_at: datetime
    expires_at: datetime
    for_user: str = ""


class FoundToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token that is good.

    Attributes:
        token: What is kept of it.
        use: The write that uses it up; it fails where somebody has.
    """

    token: EnrolmentToken
    use: Delete


class EnrolmentTokens:
    """Makes and finds them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @staticmethod
    def new() -> str:
        """Return a token that nobody has; it is good once it is kept."""
        random = base64.urlsafe_b64encode(secrets.token_bytes(_BYTES)).decode("ascii")
        return PREFIX + random.rstrip("=")

    async def keep(self, token: str, kept: EnrolmentToken) -> None:
        """Let a token be used.

        Raises:
            ServiceUnavailable: It cannot be written.
        """
        await self._store.write(
            Put(
                kind=KIND,
                key=token_digest(token),
                value=msgspec.json.encode(kept),
                expires_at=kept.expires_at,
                expected=None,
            )
        )

    async def find(self, token: str, now: datetime) -> FoundToken | None:
        """Return what is kept of a token; None where it is unknown, used or has ended."""
        if not token.startswith(PREFIX) or len(token) > _MAX_CHARS:
            return None
        entry = await self._store.get(KIND, token_digest(token))
        if entry is None:
            return None
        kept = msgspec.json.decode(entry.value, type=EnrolmentToken)
        if kept.expires_at <= now:
            return None
        use = Delete(kind=KIND, key=entry.key, expected=entry.revision)
        return FoundToken(token=kept, use=use)


def token_digest(token: str) -> str:
    """Return what a token is kept and written down by."""
    return hashlib.sha256(token.encode()).hexdigest()
