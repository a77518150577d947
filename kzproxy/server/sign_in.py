"""The sign-in listener, and what session tokens are judged with, put together.

Imported only where the configuration has ``signIn``.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from kzproxy.administrator.wanted_step_ups import WantedStepUps
from kzproxy.attributes.device import NO_DEVICE
from kzproxy.authentication.authenticator import Authenticator
from kzproxy.authentication.oidc import OidcAuthenticator
from kzproxy.authentication.session_authenticator import SessionAuthenticator, SessionSource
from kzproxy.authentication.session_key_keeper import SigningKeyKeeper
from kzproxy.authentication.session_keys import SigningKeys
from kzproxy.authentication.session_token import SessionTokens
from kzproxy.authentication.settings import JwtIssuerSettings
from kzproxy.clock.system import Clock
from kzproxy.config.sign_in import SignInSettings
from kzproxy.errors.kinds import ServiceUnavailable
from kzproxy.server.addresses import listening
from kzproxy.server.confirming import Confirming
from kzproxy.server.generation import Generation
from kzproxy.server.kept import Kept, unusable_store
from kzproxy.server.services import Services
from kzproxy.store.nonces import Nonces
from kzproxy.web.bounded_server import serving_bounded
from kzproxy.web.client_certificates import CertificateSources, ClientCertificates
from kzproxy.web.enrolling_callers import EnrollingCallers
from kzproxy.web.granted import GrantSources
from kzproxy.web.session_grants import SessionGrants
from kzproxy.web.sign_in import SignInApplication
from kzproxy.web.sign_in_desk import SignInDesk, SignInLimits
from kzproxy.web.sign_in_flows import SignInFlows
from kzproxy.web.sign_in_pages import Pages

Present = Callable[[], Generation]


class SignIn(msgspec.Struct, frozen=True, kw_only=True):
    """What lives as long as kzproxy runs.

    Attributes:
        url: Of the listener.
        tokens: Issues and verifies session tokens.
        keeper: Keeps the keys that they are signed with.
        source: What they are judged by.
        clock: Tells the time.
        step_ups: Notes what sign-ins are wanted.
    """

    url: str
    tokens: SessionTokens
    keeper: SigningKeyKeeper
    source: SessionSource
    clock: Clock
    step_ups: WantedStepUps

    def authenticator(
        self, oidc: OidcAuthenticator, issuers: Sequence[JwtIssuerSettings]
    ) -> Authenticator:
        """Return what judges tokens of both kinds."""
        return Authenticator(oidc, SessionAuthenticator(self.source, issuers, self.clock))

    async def start(self) -> None:
        """Have a key to sign with; the store has been read.

        Raises:
            ConfigurationError: The store, which could be read, cannot be written.
        """
        try:
            await self.keeper.look()
        except ServiceUnavailable as error:
            raise unusable_store("cannot be written", error) from error

    async def run(self) -> None:
        """Keep the keys, and write down what is wanted, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.keeper.run())
            group.create_task(self.step_ups.run())


def sign_in(settings: SignInSettings, kept: Kept, clock: Clock) -> SignIn:
    """Put it together; before ``kept`` is started."""
    keys = SigningKeys(kept.sealer, kept.following.unreadable)
    kept.following.follow(keys)
    tokens = SessionTokens(keys, clock, issuer=settings.url)
    return SignIn(
        url=settings.url,
        tokens=tokens,
        keeper=SigningKeyKeeper(keys, kept.store, kept.following, clock),
        source=SessionSource(
            tokens=tokens, sessions=kept.sessions, catch_up=kept.following.catch_up
        ),
        clock=clock,
        step_ups=WantedStepUps(kept.sessions),
    )


@asynccontextmanager
async def serving_sign_in(
    services: Services,
    settings: SignInSettings,
    present: Present,
    *,
    shared: bool,
    further: Sequence[web.RouteDef] = (),
) -> AsyncIterator[None]:
    """Serve people who sign in, while the body runs.

    Args:
        services: With sessions, providers and keys.
        settings: Where to listen.
        present: Returns the configuration in force.
        shared: Whether other workers listen there too.
        further: What else is served there.

    Raises:
        ConfigurationError: The address cannot be had.
    """
    kept, confirming, parts = services.kept, services.confirming, services.sign_in
    if kept is None or confirming is None or parts is None:
        raise ValueError("people sign in only where sessions are kept")
    application = _application(services, kept, confirming, parts, present)
    application.add_routes(further)
    sock = listening(settings.address, shared=shared, field="signIn")
    async with serving_bounded(
        application,
        sock,
        # The latter where the section has gone, which takes a restart.
        lambda: present().parts.sign_in_tls or present().parts.listener_tls,
        proxies=settings.client_address.proxy_addresses,
    ):
        yield


def _application(
    services: Services, kept: Kept, confirming: Confirming, parts: SignIn, present: Present
) -> web.Application:
    clock = services.clock
    desk = SignInDesk(
        url=parts.url,
        clock=clock,
        flows=SignInFlows(kept.store, kept.sealer, clock),
        providers=confirming.providers.all,
        pages=Pages(host=urlsplit(parts.url).netloc),
        limits=SignInLimits.usual(clock),
        events=services.decisions,
        metrics=services.metrics,
    )
    certificates = ClientCertificates(
        lambda: CertificateSources(
            authority=present().parts.devices, issuer=present().parts.issuer
        ),
        kept.devices.registry,
        clock,
    )
    nonces = Nonces(kept.store, kept.sealer, clock)
    grants = SessionGrants(
        desk,
        GrantSources(
            directory=kept.sessions,
            tokens=parts.tokens,
            sealer=kept.sealer,
            certificates=certificates,
            nonces=nonces,
            posture=kept.posture.intake(parts.url, nonces),
            catch_up=kept.following.catch_up,
            check_sign_in=kept.signals.check_sign_in,
        ),
    )
    application = SignInApplication(desk, grants, parts.tokens.keys).build()
    enrolling = EnrollingCallers(
        lambda: present().authenticator, lambda caller: kept.signals.check(caller, NO_DEVICE)
    )
    endpoints = kept.devices.endpoints(nonces, enrolling, parts.url, desk.limits.refused)
    endpoints.add_to(application)
    return application
