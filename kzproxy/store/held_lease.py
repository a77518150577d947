"""Be the one worker that does something, for as long as the store agrees."""

import logging
from datetime import timedelta

import msgspec

from kzproxy.clock.system import Clock
from kzproxy.errors.kinds import ServiceUnavailable
from kzproxy.store.store import Store

log = logging.getLogger(__name__)


class LeaseTimes(msgspec.Struct, frozen=True, kw_only=True):
    """How long a lease is and how it is kept.

    Attributes:
        length: Without a word of its holder.
        renewed: How often the holder says that it still is.
        left: What must be left of it for something to begin: longer than that takes, so that no
            other worker does the same meanwhile.
    """

    length: timedelta = timedelta(seconds=40)
    renewed: timedelta = timedelta(seconds=5)
    left: timedelta = timedelta(seconds=25)


DEFAULT_LEASE_TIMES = LeaseTimes()


class HeldLease:
    """A lease of the store as one worker has it, or not."""

    def __init__(
        self,
        store: Store,
        name: str,
        holder: str,
        clock: Clock,
        times: LeaseTimes = DEFAULT_LEASE_TIMES,
    ) -> None:
        """Hold nothing yet; ``holder`` is this worker's name, which no other has."""
        self._store = store
        self._name = name
        self._holder = holder
        self._clock = clock
        self._times = times
        self._asked_at = self._held_until = clock.monotonic()
        # By the clock that the store goes by: the other stands still while the machine sleeps.
        self._ends_at = clock.now()

    def is_held(self) -> bool:
        """Whether something that only the holder does may begin now."""
        left = self._times.left
        is_early = self._held_until - self._clock.monotonic() >= left.total_seconds()
        return is_early and self._ends_at - self._clock.now() >= left

    async def keep(self) -> bool:
        """Take it, or say that it is still held, where that is due; whether it is held anew.

        Raises:
            ServiceUnavailable: The store cannot be reached.
        """
        now, ends_at = self._clock.monotonic(), self._clock.now() + self._times.length
        if now < self._asked_at:
            return False
        self._asked_at = now + self._times.renewed.total_seconds()
        had = now < self._held_until
        length = self._times.length.total_seconds()
        held = await self._store.hold(self._name, self._holder, length)
        self._held_until = now + length if held else now
        self._ends_at = ends_at
        return held and not had

    async def let_go(self) -> None:
        """Give it up, so that another worker need not wait for its end."""
        now = self._clock.monotonic()
        if now >= self._held_until:
            return
        self._held_until = now
        try:
            await self._store.let_go(self._name, self._holder)
        except ServiceUnavailable as error:
            log.warning("the lease %s could not be given up: %s", self._name, error.detail)
