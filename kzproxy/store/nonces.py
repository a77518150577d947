"""Nonces that are taken once: what a signature is made over shows that it is fresh.

A nonce that nobody has used is nowhere kept, so that asking for many costs no room: it is a sealed
time, which only kzproxy can have made. What is written down, until it would have ended anyway, is
that one was used.
"""

import base64
import binascii
import hashlib
from datetime import UTC, datetime, timedelta

from kzproxy.clock.system import Clock
from kzproxy.store.sealing import Sealer, Unsealable
from kzproxy.store.store import Conflict, Put, Store

KIND = "nonce"

LIFETIME = timedelta(minutes=10)

_CONTEXT = "nonce"
_MAX_CHARS = 256
_TIME_BYTES = 8


class Nonces:
    """Gives out nonces, and takes each of them once."""

    def __init__(self, store: Store, sealer: Sealer, clock: Clock) -> None:
        self._store = store
        self._sealer = sealer
        self._clock = clock

    def new(self) -> str:
        """Return one that nobody has; it is good for ``LIFETIME``."""
        ends = self._clock.now() + LIFETIME
        plain = int(ends.timestamp()).to_bytes(_TIME_BYTES, "big")
        # Sealing is never twice the same, so this has no need of more.
        sealed = self._sealer.seal(plain, _CONTEXT)
        return base64.urlsafe_b64encode(sealed).decode("ascii").rstrip("=")

    async def take(self, nonce: str) -> bool:
        """Use a nonce; whether it was one of ours, in time, and not used before.

        Raises:
            ServiceUnavailable: That cannot be written down.
        """
        ends = self._end(nonce)
        if ends is None or ends <= self._clock.now():
            return False
        digest = hashlib.sha256(nonce.encode("ascii")).hexdigest()
        try:
            await self._store.write(
                Put(kind=KIND, key=digest, value=b"", expires_at=ends, expected=None)
            )
        except Conflict:
            return False
        # It may have ended while this waited, and with it what says that it was used before.
        return self._clock.now() < ends

    def _end(self, nonce: str) -> datetime | None:
        """Return when a nonce ends; None where it is not of our making."""
        if len(nonce) > _MAX_CHARS:
            return None
        try:
            sealed = base64.b64decode(
                nonce + "=" * (-len(nonce) % 4), altchars=b"-_", validate=True
            )
            # One text for one nonce: the last letter may hold bits that say nothing.
            if base64.urlsafe_b64encode(sealed).decode("ascii").rstrip("=") != nonce:
                return None
            plain = self._sealer.open(sealed, _CONTEXT)
        except (binascii.Error, ValueError, Unsealable):
            return None
        if len(plain) != _TIME_BYTES:
            return None
        return datetime.fromtimestamp(int.from_bytes(plain, "big"), UTC)
