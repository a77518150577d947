"""The configuration in force: what new connections and new requests are given to."""

import asyncio
import ssl
from collections.abc import Coroutine
from typing import Any

from kzproxy.authentication.oidc import OidcAuthenticator
from kzproxy.enforcement.alongside import alongside
from kzproxy.server.build import Generation, Services
from kzproxy.transport.exchange import Exchange


class InForce:
    """One generation at a time, whole: ``install`` does not wait for anything.

    Attributes:
        generation: The present one.
    """

    def __init__(self, generation: Generation, keys: "KeyRefresh", services: Services) -> None:
        """Put the first generation in force; ``keys`` runs its authenticator."""
        self.generation = generation
        self._services = services
        self._keys = keys
        services.administrator.install(generation.parts.engine, generation.trust)

    def handle(self, exchange: Exchange) -> Coroutine[Any, Any, None]:
        """Have a request served, to its end, by what is in force as it begins."""
        return self.generation.point.handle(exchange)

    def context(self) -> ssl.SSLContext:
        """Return what a new connection's handshake uses."""
        return self.generation.parts.listener_tls

    def install(self, generation: Generation) -> None:
        """Put ``generation`` in force and end what it does not permit."""
        before, self.generation = self.generation, generation
        self._keys.replace(generation.authenticator)
        self._services.administrator.install(generation.parts.engine, generation.trust)
        if before.api_server is not generation.api_server:
            before.api_server.close()

    def close(self) -> None:
        """Close the idle connections to kube-apiserver."""
        self.generation.api_server.close()


class KeyRefresh:
    """Runs one authenticator at a time: two generations may share verifiers.

    Attributes:
        authenticator: The one that is to run.
    """

    def __init__(self, authenticator: OidcAuthenticator) -> None:
        self.authenticator = authenticator
        self._replaced = asyncio.Event()

    def replace(self, authenticator: OidcAuthenticator) -> None:
        """Run this one instead; does nothing where it is the one that runs."""
        if authenticator is not self.authenticator:
            self.authenticator = authenticator
            self._replaced.set()

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            self._replaced.clear()
            async with alongside(self.authenticator.run()):
                await self._replaced.wait()
