"""The configuration in force: what new connections and new requests are given to."""

import asyncio
import ssl
from collections.abc import Coroutine
from typing import Any, Generic, Protocol, TypeVar

from kzproxy.authentication.oidc import Authenticates
from kzproxy.policy.network import Addresses
from kzproxy.server.generation import Generation
from kzproxy.server.services import Services
from kzproxy.transport.alongside import alongside
from kzproxy.transport.client_connection import Begun, Over
from kzproxy.transport.exchange import Exchange
from kzproxy.upstream.namespaces import NamespaceLabels


class InForce:
    """One generation at a time, whole: ``install`` does not wait for anything.

    Attributes:
        generation: The present one.
    """

    def __init__(
        self,
        generation: Generation,
        keys: "Running[Authenticates]",
        namespaces: "Running[NamespaceLabels | None]",
        services: Services,
    ) -> None:
        """Put the first generation in force; ``keys`` and ``namespaces`` run its parts."""
        self.generation = generation
        self._services = services
        self._keys = keys
        self._namespaces = namespaces
        self._tell_administrator()
        self._tell_providers()

    def handle(self, exchange: Exchange) -> Coroutine[Any, Any, None]:
        """Have a request served, to its end, by what is in force as it begins."""
        return self.generation.point.handle(exchange)

    def begin(self, exchange: Exchange, over: Over) -> Begun | None:
        """Begin to serve a request without a task, by the same, where that can be."""
        return self.generation.point.begin(exchange, over)

    def context(self) -> ssl.SSLContext:
        """Return what a new connection's handshake uses."""
        return self.generation.parts.listener_tls

    def proxies(self) -> Addresses | None:
        """Return who alone may connect, with PROXY headers; None where clients do themselves."""
        return self.generation.parts.proxies

    def install(self, generation: Generation) -> None:
        """Put ``generation`` in force and end what it does not permit."""
        before, self.generation = self.generation, generation
        self._keys.replace(generation.authenticator)
        self._namespaces.replace(generation.namespaces)
        self._tell_administrator()
        self._tell_providers()
        if before.api_server is not generation.api_server:
            before.api_server.close()

    def notices(self) -> dict[str, str]:
        """Say for operators whether what kzproxy follows elsewhere can be."""
        followed, services = self.generation.namespaces, self._services
        notices = {} if followed is None else {"namespaces": followed.problem or "ok"}
        if services.confirming is not None:
            problem = services.confirming.reverification.problem()
            notices["identity-providers"] = problem or "ok"
        return notices if services.kept is None else notices | services.kept.notices()

    def policies(self) -> dict[str, str]:
        """Say for operators by which policies requests are judged: the content hash of each."""
        parts = self.generation.parts
        shadow = {} if parts.shadow is None else {"shadow": parts.shadow.revision}
        return {"policy": parts.engine.revision} | shadow

    def _tell_administrator(self) -> None:
        present, services = self.generation, self._services
        if services.kept is not None:
            parts, enrolment = present.parts, present.settings.devices.enrolment
            services.kept.devices.install(parts.devices, parts.issuer, enrolment)
            services.kept.posture.install(present.settings.posture)
        if services.whereabouts.is_first(present.parts.locations):
            # After sessions, which say where they were seen.
            services.administrator.consult(services.whereabouts)
        is_elsewhere = services.whereabouts.install(present.parts.locations)
        services.administrator.install(present.parts.engine, present.trust, present.namespaces)
        if is_elsewhere:
            services.administrator.judge_all_again()

    def _tell_providers(self) -> None:
        if self._services.confirming is not None:
            present = self.generation
            self._services.confirming.install(present.settings, present.authenticator.keys_of)

    def close(self) -> None:
        """Close the idle connections to kube-apiserver."""
        self.generation.api_server.close()


class Runs(Protocol):
    """What keeps itself up to date."""

    async def run(self) -> None:
        """Do so until cancelled."""


_Running = TypeVar("_Running", bound=Runs | None)


class Running(Generic[_Running]):
    """Runs one of a kind at a time, or none: two generations may share it.

    Attributes:
        present: The one that is to run.
    """

    def __init__(self, present: _Running) -> None:
        self.present = present
        self._replaced = asyncio.Event()

    def replace(self, successor: _Running) -> None:
        """Run this one instead; does nothing where it is the one that runs."""
        if successor is not self.present:
            self.present = successor
            self._replaced.set()

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            self._replaced.clear()
            works = () if self.present is None else (self.present.run(),)
            async with alongside(*works):
                await self._replaced.wait()
