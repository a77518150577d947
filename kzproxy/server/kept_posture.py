"""What is known of the state of devices put together, where the configuration has a store."""

import asyncio
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kzproxy.administrator.administrator import Administrator
from kzproxy.audit.events import EventLog
from kzproxy.clock.system import Clock
from kzproxy.devices.registry import DeviceRegistry
from kzproxy.errors.kinds import ServiceUnavailable
from kzproxy.metrics.registry import Metrics
from kzproxy.posture.asked_device import AskedDevice
from kzproxy.posture.book import PostureBook
from kzproxy.posture.intake import PostureIntake, TakesNonces
from kzproxy.posture.keeper import PostureKeeper
from kzproxy.posture.met import MetDevices
from kzproxy.posture.metrics import PostureCounts
from kzproxy.posture.settings import PostureSettings, ProviderSettings
from kzproxy.store.following import Following
from kzproxy.store.store import Store
from kzproxy.transport.alongside import alongside

log = logging.getLogger(__name__)

_LET_GO_SECONDS = 1.0

if TYPE_CHECKING:
    from kzproxy.posture.provider import PostureProvider


@dataclass(slots=True, kw_only=True)
class KeptPosture:
    """What is known of the state of devices, and who is asked about it."""

    book: PostureBook
    keeper: PostureKeeper
    store: Store
    registry: DeviceRegistry
    met: MetDevices
    clock: Clock
    _forgotten: set[str] = field(default_factory=set)
    _asked: tuple[ProviderSettings, ...] = ()
    _asking: "list[PostureProvider]" = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def install(self, settings: PostureSettings) -> None:
        """Go by these from now on."""
        self.book.configure(settings)
        if settings.providers != self._asked:
            self._asked = settings.providers
            self._changed.set()

    def intake(self, audience: str, nonces: TakesNonces) -> PostureIntake:
        """Return what takes reports that are made for ``audience``, the sign-in URL."""
        return PostureIntake(
            audience=audience,
            nonces=nonces,
            book=self.book,
            keeper=self.keeper,
            clock=self.clock,
        )

    def notices(self) -> dict[str, str]:
        """Say for operators whether providers answer."""
        return {f"posture-{one.name}": one.problem or "ok" for one in self._asking}

    def forget(self, device_ids: frozenset[str]) -> None:
        """Note devices that the registry has no more: nothing is kept of them."""
        self._forgotten |= {one for one in device_ids if self.book.records(one)}

    async def run(self) -> None:
        """Ask providers, and let go of what was forgotten, until cancelled."""
        async with alongside(self._ask(), self._let_go()):
            await asyncio.get_running_loop().create_future()

    async def _let_go(self) -> None:
        while True:
            await asyncio.sleep(_LET_GO_SECONDS)
            gone, self._forgotten = self._forgotten, set()
            try:
                for device_id in gone:
                    await self.keeper.forget(device_id)
            except ServiceUnavailable as error:
                log.warning("the posture of forgotten devices is still kept: %s", error.detail)
                self._forgotten |= gone

    async def _ask(self) -> None:
        """Ask the providers that the configuration in force names."""
        while True:
            self._changed.clear()
            self._asking = self._providers()
            works = [one.run() for one in self._asking]
            async with alongside(*works, *([self.met.run()] if works else [])):
                await self._changed.wait()

    def _providers(self) -> "list[PostureProvider]":
        if not self._asked:
            return []
        from kzproxy.posture.provider import PostureProvider, StoreTurn
        from kzproxy.posture.provider_http import ProviderHttp

        turn = StoreTurn(self.store, f"{os.uname().nodename}/{os.getpid()}")
        return [
            PostureProvider(
                settings,
                http=ProviderHttp(settings),
                devices=self._devices,
                keeper=self.keeper,
                turn=turn,
                clock=self.clock,
            )
            for settings in self._asked
        ]

    async def _devices(self) -> Iterable[AskedDevice]:
        known = self.registry.all()
        approved = [
            AskedDevice(id=one.id, serial=one.confirmed_serial) for one in known if one.is_approved
        ]
        # What a CA that is believed of itself calls a device is all that there is to ask by.
        others = await self.met.ids() - {one.id for one in known}
        return [*approved, *(AskedDevice(id=one, serial=one) for one in sorted(others))]


def keep_posture(
    store: Store,
    following: Following,
    registry: DeviceRegistry,
    administrator: Administrator,
    events: EventLog,
    clock: Clock,
) -> KeptPosture:
    """Put it together; ``following`` has not started, and the registry is consulted before."""
    book = PostureBook(following, clock, PostureSettings())
    book.on_change(administrator.judge_devices_again)
    administrator.consult(book)
    posture = KeptPosture(
        book=book,
        keeper=PostureKeeper(following, book, events, PostureCounts(), clock),
        store=store,
        registry=registry,
        met=MetDevices(store, book.met, clock),
        clock=clock,
    )
    registry.on_forgotten(posture.forget)
    return posture


def follow_posture(metrics: Metrics, counts: PostureCounts) -> None:
    """Have ``metrics`` show what is counted."""
    metrics.follow_each(
        "kzproxy_posture_reports",
        "Reports of devices of their own posture.",
        ("outcome",),
        lambda: {("taken",): counts.reports, ("refused",): counts.refused},
    )
    metrics.follow_each(
        "kzproxy_posture_provider_answers",
        "What became of questions to providers of posture.",
        ("provider", "outcome"),
        counts.of_providers,
    )
    metrics.follow(
        "kzproxy_posture_changes",
        "Times that what is known of a device changed by a word about it.",
        lambda: counts.changes,
    )
    metrics.follow(
        "kzproxy_posture_disputes",
        "Checks that sources began to contradict each other about.",
        lambda: counts.disputes,
    )
    metrics.follow(
        "kzproxy_posture_drifts",
        "Devices that said that they are another machine than at first.",
        lambda: counts.drifts,
    )
