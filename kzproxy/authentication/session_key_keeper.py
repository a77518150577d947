"""Has signing keys made and thrown away in time, by one worker for all."""

import asyncio
import logging
import secrets

from kzproxy.authentication.session_keys import SigningKeys
from kzproxy.clock.system import Clock
from kzproxy.errors.kinds import ServiceUnavailable
from kzproxy.store.following import Following
from kzproxy.store.store import Conflict, Store

log = logging.getLogger(__name__)

LEASE = "signing-keys"
_EVERY_SECONDS = 20.0
_LEASE_SECONDS = 60.0


class SigningKeyKeeper:
    """Looks now and then what is due."""

    def __init__(self, keys: SigningKeys, store: Store, following: Following, clock: Clock) -> None:
        """Keep ``keys``, which ``following`` tells of what is written."""
        self._keys = keys
        self._store = store
        self._following = following
        self._clock = clock
        self._holder = secrets.token_hex(16)

    async def look(self) -> None:
        """Write what is due, if that is for this worker to do.

        Raises:
            ServiceUnavailable: The store cannot be reached.
        """
        # Where nothing can sign, nobody is waited for: two keys do no harm, and none does.
        if self._keys.signer(self._clock.now()) is not None and not await self._holds_lease():
            return
        await self._following.catch_up()
        due = self._keys.due(self._clock.now())
        if due:
            try:
                await self._following.write(*due)
            except Conflict:
                log.info("another worker has seen to the signing keys")

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            try:
                await self.look()
            except ServiceUnavailable as error:
                log.warning("signing keys cannot be kept: %s", error.detail)

    async def _holds_lease(self) -> bool:
        return await self._store.hold(LEASE, self._holder, _LEASE_SECONDS)
