"""Give refresh tokens back to the identity provider once their session has ended.

Whoever ends a session ends it here at once. What the provider still has of it is worth nothing to
kzproxy, but would be to one who finds it; so it is revoked there too, a moment later, unless its
person is signed in otherwise: see ``SessionDirectory.is_signed_in_otherwise``.
"""

import asyncio
import logging
from datetime import timedelta

from kzproxy.administrator.provider_check import Providers, refresh_context
from kzproxy.administrator.session import SessionRecord
from kzproxy.administrator.session_directory import SessionDirectory
from kzproxy.authentication.provider_errors import ProviderSilence
from kzproxy.store.sealing import Sealer, Unsealable

log = logging.getLogger(__name__)

MAX_WAITING = 10_000
_AT_ONCE = 4
_TRIES = 3
_PAUSE = timedelta(seconds=2)


class GivingBack:
    """Revokes, in the background; what cannot be within a few tries runs out by itself."""

    def __init__(
        self,
        directory: SessionDirectory,
        sealer: Sealer,
        providers: Providers,
        *,
        pause: timedelta = _PAUSE,
    ) -> None:
        """Be told of the sessions that end at this worker."""
        self._directory = directory
        self._sealer = sealer
        self._providers = providers
        self._pause = pause
        self._waiting: asyncio.Queue[SessionRecord] = asyncio.Queue(MAX_WAITING)
        directory.on_end(self.give_back)

    async def run(self) -> None:
        """Revoke until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(self._revoke_all())

    async def settled(self) -> None:
        """Wait until all that has ended so far was seen to."""
        await self._waiting.join()

    def give_back(self, record: SessionRecord) -> None:
        """Revoke what ``record`` has at the provider, a moment later."""
        if not record.refresh:
            return
        try:
            self._waiting.put_nowait(record)
        except asyncio.QueueFull:
            log.warning("session %s is not revoked at %s: too many are", record.id, record.issuer)

    async def _revoke_all(self) -> None:
        while True:
            record = await self._waiting.get()
            try:
                await self._revoke(record)
            except Exception:
                log.exception("bug while session %s was revoked at its provider", record.id)
            finally:
                self._waiting.task_done()

    async def _revoke(self, record: SessionRecord) -> None:
        provider = self._providers(record.issuer)
        if provider is None or self._directory.is_signed_in_otherwise(record):
            return
        try:
            token = self._sealer.open(record.refresh, refresh_context(record.id)).decode()
        except Unsealable as error:
            log.warning("session %s is not revoked at its provider: %s", record.id, error)
            return
        why = ""
        for attempt in range(1, _TRIES + 1):
            try:
                await provider.revoke(token)
            except ProviderSilence as silence:
                why = str(silence)
            else:
                return
            if attempt < _TRIES:
                await asyncio.sleep(self._pause.total_seconds() * attempt)
        log.warning("session %s is not revoked at its provider: %s", record.id, why)
