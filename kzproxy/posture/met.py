"""Devices that the registry does not have: those of an MDM's CA, known by their requests alone.

Providers are asked about them too. The process that asks need not be the one that they come to.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from kzproxy.clock.system import Clock
from kzproxy.errors.kinds import ServiceUnavailable
from kzproxy.store.store import Put, Store

log = logging.getLogger(__name__)

KIND = "posture-met"

KEPT = timedelta(hours=24)
"""For how long a device is asked about that does not come back."""

_NOTED_EVERY = timedelta(hours=1)
_LOOK_SECONDS = 5.0


class MetDevices:
    """Writes down which devices were met, and knows which ones all workers have met."""

    def __init__(self, store: Store, met: Callable[[], frozenset[str]], clock: Clock) -> None:
        """Take what returns the devices that came since it was last called."""
        self._store = store
        self._met = met
        self._clock = clock
        self._noted: dict[str, datetime] = {}

    async def run(self) -> None:
        """Write down from time to time, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            await self.note()

    async def note(self) -> None:
        """Write down the devices that came since the last time."""
        now = self._clock.now()
        self._noted = {one: at for one, at in self._noted.items() if now - at < _NOTED_EVERY}
        new = [one for one in self._met() if one not in self._noted]
        if not new:
            return
        puts = (Put(kind=KIND, key=one, value=b"", expires_at=now + KEPT) for one in new)
        try:
            await self._store.write(*puts)
        except ServiceUnavailable as error:
            log.warning("it cannot be noted which devices came: %s", error.detail)
        else:
            self._noted |= dict.fromkeys(new, now)

    async def ids(self) -> frozenset[str]:
        """Return the ids of those that any worker has met.

        Raises:
            ServiceUnavailable: The store cannot be reached.
        """
        return frozenset(entry.key for entry in await self._store.entries(KIND))
