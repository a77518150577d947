"""A provider of posture over HTTP: an MDM or EDR that is asked about each device, again and again.

Of several workers one asks: whoever holds the lease. A provider that does not answer says nothing
new, and what it said is forgotten when its time is over.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from kzproxy.clock.system import Clock
from kzproxy.errors.kinds import ServiceUnavailable
from kzproxy.posture.asked_device import AskedDevice
from kzproxy.posture.keeper import PostureKeeper
from kzproxy.posture.provider_answer import provider_record
from kzproxy.posture.provider_http import NotAnswered, NotAsked, NotKnownThere, ProviderHttp
from kzproxy.posture.settings import ProviderSettings
from kzproxy.store.store import Store

log = logging.getLogger(__name__)

_LEASE_SECONDS = 60.0
_LOOK_SECONDS = 5.0
_AT_ONCE = 4
_ENOUGH_FAILURES = 3  # times that none of so many was answered: it is down


class Turn(Protocol):
    """Whose turn it is to do what one process must do for all."""

    async def hold(self, name: str, seconds: float) -> bool:
        """Take or keep a turn; whether this process has it now.

        Raises:
            ServiceUnavailable: Nobody can tell.
        """


class StoreTurn:
    """A turn by the store's lease; see ``Turn``."""

    def __init__(self, store: Store, holder: str) -> None:
        """Take the store, and a name that no other process has."""
        self._store = store
        self._holder = holder

    async def hold(self, name: str, seconds: float) -> bool:
        """Take or keep it; see ``Turn``."""
        return await self._store.hold(name, self._holder, seconds)


class PostureProvider:
    """Asks one provider."""

    def __init__(
        self,
        settings: ProviderSettings,
        *,
        http: ProviderHttp,
        devices: Callable[[], Awaitable[Iterable[AskedDevice]]],
        keeper: PostureKeeper,
        turn: Turn,
        clock: Clock,
    ) -> None:
        """Take its collaborators.

        Args:
            settings: Where it is, and what its answers mean.
            http: The way there.
            devices: Those that count now.
            keeper: Of what it says.
            turn: Whether it is for this process to ask.
            clock: For when.

        Attributes:
            problem: Why it did not answer; empty where it did.
        """
        self._settings = settings
        self._http = http
        self._devices = devices
        self._keeper = keeper
        self._turn = turn
        self._counts = counts = keeper.counts
        for known in (counts.provider_answers, counts.provider_failures):
            known.setdefault(settings.name, 0)
        self._clock = clock
        self._next_round = clock.monotonic()
        self._left: list[str] = []
        self.problem = ""

    @property
    def name(self) -> str:
        """What its word is called."""
        return self._settings.name

    async def run(self) -> None:
        """Ask until cancelled."""
        try:
            while True:
                await self.look()
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            await self._http.close()

    async def look(self) -> None:
        """Ask about all devices if it is time to, and if this process is the one that asks."""
        if self._clock.monotonic() < self._next_round:
            return
        try:
            if await self._hold():
                self._next_round = self._clock.monotonic() + self._settings.every.total_seconds()
                await self._round()
        except ServiceUnavailable as error:
            log.warning("provider %s is not asked: %s", self._settings.name, error.detail)

    async def _hold(self) -> bool:
        # Longer than a round's pause: whoever asks goes on asking, or two would by turns.
        seconds = _LEASE_SECONDS + self._settings.every.total_seconds()
        return await self._turn.hold(f"posture-provider/{self._settings.name}", seconds)

    async def _round(self) -> None:
        problem = self._http.renew_headers()
        if problem:
            self._failed(problem)
            return
        devices = {device.id: device for device in await self._devices()}
        # Those that the last round did not come to are first.
        waiting = [one for one in self._left if one in devices]
        waiting += devices.keys() - set(waiting)
        failures = 0
        while waiting and failures < _ENOUGH_FAILURES:
            some, waiting = waiting[:_AT_ONCE], waiting[_AT_ONCE:]
            async with asyncio.TaskGroup() as group:
                asked = [group.create_task(self._ask(devices[one])) for one in some]
            answered = [task.result() for task in asked]
            if any(answered):
                failures = 0
            elif False in answered:
                failures += 1
            if not await self._hold():
                break
        self._left = waiting

    async def _ask(self, device: AskedDevice) -> bool | None:
        """Ask about one device; whether the provider answered, None where it was not asked."""
        try:
            document = await self._http.ask(device.id, device.serial)
            record = provider_record(document, device.id, self._settings, self._clock.now())
            await self._keeper.keep(record)
        except NotAsked:
            await self._forget(device)
            return None
        except NotKnownThere:
            await self._forget(device)
        except NotAnswered as failure:
            self._failed(str(failure))
            return False
        except ServiceUnavailable as error:
            log.warning("what %s says cannot be kept: %s", self._settings.name, error.detail)
        except Exception:
            # One odd answer must not cost all else that kzproxy does.
            log.exception("bug while provider %s was asked", self._settings.name)
            self._failed("kzproxy failed to read an answer")
            return False
        self._answered()
        return True

    async def _forget(self, device: AskedDevice) -> None:
        try:
            await self._keeper.drop(device.id, self._settings.name)
        except ServiceUnavailable as error:
            log.warning("what %s said cannot be dropped: %s", self._settings.name, error.detail)

    def _answered(self) -> None:
        if self.problem:
            log.warning("posture provider %s answers again", self._settings.name)
            self.problem = ""
        answers = self._counts.provider_answers
        answers[self._settings.name] = answers.get(self._settings.name, 0) + 1

    def _failed(self, problem: str) -> None:
        if problem != self.problem:
            log.warning("posture provider %s: %s", self._settings.name, problem)
            self.problem = problem
        failures = self._counts.provider_failures
        failures[self._settings.name] = failures.get(self._settings.name, 0) + 1
