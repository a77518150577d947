"""What takes signals, put together; imported only where the configuration has ``signals``."""

import asyncio
from collections.abc import Callable, Sequence

import msgspec
from aiohttp import web

from kzproxy.administrator.signal_streams import SignalStreams
from kzproxy.administrator.signals import Signals
from kzproxy.authentication.keys import IssuerKeys
from kzproxy.authentication.logout_token import LogoutTokenVerifier
from kzproxy.authentication.security_event import SecurityEventVerifier
from kzproxy.authentication.settings import JwtIssuerSettings
from kzproxy.clock.system import Clock
from kzproxy.config.proxy import ProxySettings
from kzproxy.config.signals import SignalSettings, StreamSettings
from kzproxy.server.generation import Generation
from kzproxy.server.kept import Kept
from kzproxy.server.services import Services
from kzproxy.web.back_channel_logout import LogoutReceiver
from kzproxy.web.refused_signals import RefusedSignals
from kzproxy.web.ssf import EventReceiver, Stream

Present = Callable[[], Generation]


class SignalReceivers(msgspec.Struct, frozen=True, kw_only=True):
    """The endpoints, and what keeps the keys of transmitters fresh.

    Attributes:
        routes: To be served by the sign-in listener.
        keys: Of the transmitters.
        refused: What was refused and is not written down yet.
    """

    routes: Sequence[web.RouteDef]
    keys: tuple[IssuerKeys, ...]
    refused: RefusedSignals

    async def run(self) -> None:
        """Keep the keys of all transmitters fresh, and the log up to date, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.refused.run())
            for keys in self.keys:
                group.create_task(keys.run())


def signal_receivers(
    settings: SignalSettings, kept: Kept, services: Services, present: Present
) -> SignalReceivers:
    """Put them together; ``present`` is the configuration in force."""
    streams = {
        one.source.name: _stream(one, kept.streams, services.clock) for one in settings.streams
    }
    signals = Signals(
        store=kept.store,
        following=kept.following,
        sessions=kept.sessions,
        issuers=lambda: present().settings.issuers,
        decisions=services.decisions,
        clock=services.clock,
    )
    refused = RefusedSignals(services.decisions, services.clock)
    events = EventReceiver(
        streams=streams,
        signals=signals,
        refused=refused,
        decisions=services.decisions,
        metrics=services.metrics,
        clock=services.clock,
    )
    routes = list(events.routes()) if streams else []
    if settings.back_channel_logout:
        logouts = LogoutReceiver(
            verifiers=_Issuers(present, services.clock).verifier,
            signals=signals,
            refused=refused,
            metrics=services.metrics,
            clock=services.clock,
        )
        routes += logouts.routes()
    return SignalReceivers(
        routes=routes,
        keys=tuple(stream.verifier.keys for stream in streams.values()),
        refused=refused,
    )


def _stream(settings: StreamSettings, said: SignalStreams, clock: Clock) -> Stream:
    keys = IssuerKeys(settings.transmitter, clock)
    return Stream(
        source=settings.source,
        verifier=SecurityEventVerifier(settings.transmitter, keys, clock),
        authorization=settings.authorization,
        said=said,
        critical_members=settings.critical_members,
        state=settings.state,
    )


class _Issuers:
    """The identity providers of the configuration in force."""

    def __init__(self, present: Present, clock: Clock) -> None:
        self._present = present
        self._clock = clock

    def verifier(self, issuer: str) -> LogoutTokenVerifier | None:
        """Return what verifies the logout tokens of an issuer; None where it is not known."""
        generation = self._present()
        keys = generation.authenticator.keys_of(issuer)
        settings = next((one for one in generation.settings.issuers if one.url == issuer), None)
        if keys is None or settings is None:
            return None
        audiences = _audiences(settings) | _own_names(generation.settings, issuer)
        return LogoutTokenVerifier(issuer, audiences, keys, self._clock)


def _audiences(issuer: JwtIssuerSettings) -> frozenset[str]:
    """Return the names of the clients that users sign in with by themselves."""
    return frozenset(issuer.audiences)


def _own_names(settings: ProxySettings, issuer: str) -> frozenset[str]:
    """Return what kzproxy is called at an issuer where it signs people in."""
    providers = () if settings.sign_in is None else settings.sign_in.providers
    return frozenset(one.client_id for one in providers if one.issuer.url == issuer)
