"""The identity providers of the configuration in force, as kzproxy talks to them.

Imported only where the configuration has ``signIn``.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta

from kzproxy.authentication.keys import IssuerKeys
from kzproxy.authentication.provider_client import ProviderClient
from kzproxy.authentication.provider_settings import ProviderSettings
from kzproxy.clock.system import Clock

# Longer than any question takes, so that one under way is answered.
_CLOSED_AFTER = timedelta(minutes=1)

KeysOf = Callable[[str], IssuerKeys | None]


class Providers:
    """One client for each provider; those that have not changed go over to the next settings."""

    def __init__(self, clock: Clock) -> None:
        """Know none yet."""
        self._clock = clock
        self._clients: dict[str, tuple[ProviderClient, IssuerKeys]] = {}
        self._retired: list[ProviderClient] = []
        self._has_retired = asyncio.Event()

    def install(self, settings: Sequence[ProviderSettings], keys_of: KeysOf) -> None:
        """Talk to these from now on; ``keys_of`` finds the keys that an issuer's tokens have."""
        before, self._clients = self._clients, {}
        for one in settings:
            keys = keys_of(one.issuer.url)
            if keys is not None:
                self._clients[one.issuer.url] = self._kept(before, one, keys), keys
        kept = {id(client) for client, _ in self._clients.values()}
        self._retired += [client for client, _ in before.values() if id(client) not in kept]
        if self._retired:
            self._has_retired.set()

    def find(self, issuer: str) -> ProviderClient | None:
        """Return the provider of an issuer; None where nobody signs in there (any more)."""
        found = self._clients.get(issuer)
        return None if found is None else found[0]

    def all(self) -> tuple[ProviderClient, ...]:
        """Return every provider, in the order of the configuration."""
        return tuple(client for client, _ in self._clients.values())

    async def run(self) -> None:
        """Close what has been out of use for long enough, until cancelled."""
        while True:
            await self._has_retired.wait()
            self._has_retired.clear()
            retired = tuple(self._retired)
            await asyncio.sleep(_CLOSED_AFTER.total_seconds())
            for client in retired:
                await client.close()
                self._retired.remove(client)

    async def close(self) -> None:
        """Close all connections; what is still asked over one comes to nothing."""
        for client in (*self.all(), *self._retired):
            await client.close()

    def _kept(
        self,
        before: dict[str, tuple[ProviderClient, IssuerKeys]],
        settings: ProviderSettings,
        keys: IssuerKeys,
    ) -> ProviderClient:
        known = before.get(settings.issuer.url)
        if known is not None and known[0].settings == settings and known[1] is keys:
            return known[0]
        return ProviderClient(settings, keys, self._clock)
