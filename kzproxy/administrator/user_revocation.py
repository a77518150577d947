"""An administrator ends everything of a user: their sessions, and the sign-ins they have begun.

What has begun is known to the identity provider alone, and to whoever sits before it: it is
remembered that no session comes of it.
"""

import hashlib
from datetime import timedelta

import msgspec

from kzproxy.administrator.concern import Concern
from kzproxy.administrator.revocations import KIND, Needed, Revocation
from kzproxy.clock.system import Clock
from kzproxy.store.following import Following
from kzproxy.store.store import Put

KEPT = timedelta(hours=1)
"""Longer than any sign-in may take: a terminal's code, its page, the provider's, the last code."""

_MESSAGE = "an administrator ended your sessions while you signed in"


class UserRevocation:
    """Remembers whose sign-ins give no session."""

    def __init__(self, following: Following, clock: Clock) -> None:
        self._following = following
        self._clock = clock

    async def revoke(self, username: str, message: str) -> None:
        """Have no session come of any sign-in that ``username`` has begun until now.

        Once this returns every session is known here that one of them gave before.

        Args:
            username: As the cluster knows them.
            message: For the user; empty for the usual words.

        Raises:
            ServiceUnavailable: It cannot be written.
        """
        now = self._clock.now()
        revocation = Revocation(
            concern=Concern(username=username),
            before=now,
            taken_at=now,
            needed=Needed.BEGUN,
            message=message or _MESSAGE,
        )
        key = hashlib.sha256(f"user\0{username}".encode("utf-8", "surrogatepass")).hexdigest()
        await self._following.write(
            Put(kind=KIND, key=key, value=msgspec.json.encode(revocation), expires_at=now + KEPT)
        )
