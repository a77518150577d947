"""Two real providers that kzproxy signs people in at as a confidential client: ours and npm's."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx

from kzproxy.authentication.keys import IssuerKeys
from kzproxy.authentication.provider_authorization import AuthorizationWish, FlowSecrets
from kzproxy.authentication.provider_client import ProviderClient, SignedIn
from kzproxy.authentication.provider_settings import (
    DEFAULT_PROVIDER_LIMITS,
    ProviderLimits,
    ProviderSettings,
    Reverify,
)
from kzproxy.authentication.settings import JwtIssuerSettings, PrefixedClaim
from kzproxy.clock.system import Clock, SystemClock
from kzproxy.demo.identity_provider import running_identity_provider
from kzproxy.demo.idp_clients import Client
from kzproxy.demo.idp_settings import IdentityProviderSettings, Lifetimes, SigningAlgorithm
from kzproxy.demo.page_agent import press_through as press_through_ours
from tests.conformance.test_foreign_provider import press_through as press_through_foreign
from tests.servers.authority import Authority
from tests.servers.foreign_idp.process import (
    CONFIDENTIAL_CLIENT_ID,
    CONFIDENTIAL_CLIENT_SECRET,
    USERS,
    running_foreign_idp,
)

REDIRECT_URI = "http://127.0.0.1:39253/callback"
DEMO_SECRET = "a demo secret: with/odd+characters%"

PressThrough = Callable[[httpx.AsyncClient, str, str], Awaitable[str]]


@dataclass(frozen=True, kw_only=True)
class RunningProvider:
    """A provider with one person who can be moved and disabled.

    Attributes:
        person: Whom to sign in as.
        groups: Theirs at the start.
        move: Puts the person into these groups.
        disable: Disables their account.
        names_sessions: Whether its ID tokens carry ``sid``.
    """

    issuer: str
    ca_pem: str
    client_id: str
    client_secret: str
    person: str
    groups: tuple[str, ...]
    press_through: PressThrough
    move: Callable[[tuple[str, ...]], None]
    disable: Callable[[], None]
    names_sessions: bool

    @property
    def issuer_settings(self) -> JwtIssuerSettings:
        return JwtIssuerSettings(
            url=self.issuer,
            audiences=("kzproxy",),  # of tokens that come with requests: not ours
            certificate_authority_pem=self.ca_pem,
            username=PrefixedClaim(claim="preferred_username", prefix="idp:"),
            groups=PrefixedClaim(claim="groups", prefix="idp:"),
        )

    def settings(
        self, reverify: Reverify = Reverify.REFRESH, **changes: object
    ) -> ProviderSettings:
        members: dict[str, object] = {
            "issuer": self.issuer_settings,
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "reverify": reverify,
        }
        return ProviderSettings(**(members | changes))  # type: ignore[arg-type]


@asynccontextmanager
async def running_demo_provider(
    directory: Path, clock: Clock | None = None
) -> AsyncIterator[RunningProvider]:
    authority = Authority.root()
    certificate_file, private_key_file = authority.server("127.0.0.1").write_to(directory, "idp")
    client = Client(
        client_id="kzproxy-server",
        name="kzproxy",
        redirect_uris=(REDIRECT_URI,),
        secret=DEMO_SECRET,
    )
    settings = IdentityProviderSettings(
        algorithm=SigningAlgorithm.ES256,
        confidential_clients=(client,),
        lifetimes=Lifetimes(access_token=timedelta(minutes=5)),
    )
    async with running_identity_provider(
        settings,
        clock or SystemClock(),
        certificate_file=certificate_file,
        private_key_file=private_key_file,
    ) as idp:
        yield RunningProvider(
            issuer=idp.issuer,
            ca_pem=authority.pem.decode(),
            client_id=client.client_id,
            client_secret=client.secret,
            person="operator",
            groups=("developers", "operators"),
            press_through=press_through_ours,
            move=lambda groups: idp.accounts.move("operator", groups),
            disable=lambda: idp.accounts.disable("operator"),
            names_sessions=True,
        )


@contextmanager
def running_foreign_provider(directory: Path) -> Iterator[RunningProvider]:
    authority = Authority.root()
    certificate_file, private_key_file = authority.server("localhost").write_to(directory, "idp")
    (directory / "ca.crt").write_bytes(authority.pem)
    with running_foreign_idp(
        directory,
        certificate_file=certificate_file,
        private_key_file=private_key_file,
        ca_file=directory / "ca.crt",
    ) as idp:
        person: dict[str, object] = dict(USERS["alice"])

        def move(groups: tuple[str, ...]) -> None:
            idp.change_users({"alice": person | {"groups": list(groups)}})

        yield RunningProvider(
            issuer=idp.issuer,
            ca_pem=authority.pem.decode(),
            client_id=CONFIDENTIAL_CLIENT_ID,
            client_secret=CONFIDENTIAL_CLIENT_SECRET,
            person="alice",
            groups=("developers",),
            press_through=press_through_foreign,
            move=move,
            disable=lambda: idp.change_users({}),
            names_sessions=False,
        )


@dataclass(kw_only=True)
class Talk:
    """A client of a running provider, and a browser that somebody signs in with."""

    provider: RunningProvider
    client: ProviderClient
    browser: httpx.AsyncClient
    flow: FlowSecrets = field(default_factory=FlowSecrets.generate)

    def wish(self, **changes: object) -> AuthorizationWish:
        members: dict[str, object] = {
            "redirect_uri": REDIRECT_URI,
            "state": self.flow.state,
            "nonce": self.flow.nonce,
            "challenge": self.flow.challenge,
        }
        return AuthorizationWish(**(members | changes))  # type: ignore[arg-type]

    async def answer(self, **changes: object) -> dict[str, str]:
        """Sign in in the browser; return what it is sent back with."""
        url = await self.client.authorization_url(self.wish(**changes))
        back = await self.provider.press_through(self.browser, url, self.provider.person)
        assert back.startswith(REDIRECT_URI + "?"), back
        return dict(parse_qsl(urlsplit(back).query, strict_parsing=True))

    async def code(self, **changes: object) -> str:
        return await self.client.code_of_answer(await self.answer(**changes), self.flow.state)

    async def redeemed(self, code: str, **changes: object) -> SignedIn:
        members: dict[str, object] = {
            "redirect_uri": REDIRECT_URI,
            "verifier": self.flow.verifier,
            "nonce": self.flow.nonce,
        }
        return await self.client.redeem_code(code, **(members | changes))  # type: ignore[arg-type]

    async def signed_in(self) -> SignedIn:
        return await self.redeemed(await self.code())


@asynccontextmanager
async def talking(
    provider: RunningProvider,
    settings: ProviderSettings | None = None,
    clock: Clock | None = None,
    limits: ProviderLimits = DEFAULT_PROVIDER_LIMITS,
) -> AsyncIterator[Talk]:
    clock = clock or SystemClock()
    settings = settings or provider.settings()
    keys = IssuerKeys(settings.issuer, clock)
    await keys.fetch()
    client = ProviderClient(settings, keys, clock, limits)
    async with httpx.AsyncClient(verify=False, timeout=20, trust_env=False) as browser:
        try:
            yield Talk(provider=provider, client=client, browser=browser)
        finally:
            await client.close()


class Kept:
    """Remembers the refresh tokens that it was given to keep, in order."""

    def __init__(self) -> None:
        self.tokens: list[str] = []

    async def __call__(self, token: str) -> None:
        await asyncio.sleep(0)
        self.tokens.append(token)
