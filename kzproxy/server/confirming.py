"""What keeps asking identity providers about sessions, put together.

Imported only where the configuration has ``signIn``.
"""

import asyncio
import secrets

import msgspec

from kzproxy.administrator.giving_back import GivingBack
from kzproxy.administrator.reverification import Reverification, Shared
from kzproxy.audit.events import EventLog
from kzproxy.clock.system import Clock
from kzproxy.config.proxy import ProxySettings
from kzproxy.metrics.registry import Metrics
from kzproxy.server.kept import Kept
from kzproxy.server.providers import KeysOf, Providers


class Confirming(msgspec.Struct, frozen=True, kw_only=True):
    """The providers, and what is asked of them beside the requests."""

    providers: Providers
    reverification: Reverification
    giving_back: GivingBack

    def install(self, settings: ProxySettings, keys_of: KeysOf) -> None:
        """Ask the providers of ``settings`` from now on."""
        sign_in = settings.sign_in
        self.providers.install(() if sign_in is None else sign_in.providers, keys_of)
        self.reverification.providers_changed()

    async def run(self) -> None:
        """Ask until cancelled; ends when what is under way has ended."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.providers.run())
                group.create_task(self.reverification.run())
                group.create_task(self.giving_back.run())
        finally:
            await self.providers.close()


def confirming(kept: Kept, events: EventLog, clock: Clock, metrics: Metrics) -> Confirming:
    """Put it together; before ``kept`` is started."""
    providers = Providers(clock)
    shared = Shared(
        store=kept.store,
        following=kept.following,
        directory=kept.sessions,
        sealer=kept.sealer,
        providers=providers.find,
        events=events,
        clock=clock,
        metrics=metrics,
    )
    return Confirming(
        providers=providers,
        # No other worker, and no earlier life of this one, has the same name.
        reverification=Reverification(shared, secrets.token_hex(16)),
        giving_back=GivingBack(kept.sessions, kept.sealer, providers.find),
    )
