"""Make authenticators and tokens for the tests of authentication."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import pytest

from kzproxy.attributes.identity import Identity
from kzproxy.authentication.keys import IssuerKeys
from kzproxy.authentication.oidc import OidcAuthenticator
from kzproxy.authentication.settings import (
    DEFAULT_KEY_LIMITS,
    JwtIssuerSettings,
    KeyLimits,
    PrefixedClaim,
)
from kzproxy.authentication.verifier import TokenVerifier
from kzproxy.errors.kinds import ServiceUnavailable, Unauthenticated
from tests.authentication.manual_clock import ManualClock
from tests.servers.issuer import TestIssuer
from tests.servers.tokens import SigningKey


class Runs(Protocol):
    async def run(self) -> None: ...


def settings_of(issuer: TestIssuer, **changes: object) -> JwtIssuerSettings:
    """Trust an issuer's tokens for ``kubernetes``: named by ``sub``, groups in ``groups``."""
    members: dict[str, object] = {
        "url": issuer.url,
        "audiences": ("kubernetes",),
        "certificate_authority_pem": issuer.certificate_authority_pem,
        "username": PrefixedClaim(claim="sub", prefix=""),
        "groups": PrefixedClaim(claim="groups", prefix=""),
    }
    return JwtIssuerSettings(**(members | changes))  # type: ignore[arg-type]


def authenticator_of(
    *issuers: JwtIssuerSettings, clock: ManualClock, limits: KeyLimits = DEFAULT_KEY_LIMITS
) -> OidcAuthenticator:
    verifiers = [TokenVerifier(s, IssuerKeys(s, clock, limits), clock) for s in issuers]
    return OidcAuthenticator(verifiers, clock)


def good_claims(clock: ManualClock, **changes: object) -> dict[str, object]:
    """Claims that hold for an hour; a change to None removes one."""
    now = int(clock.now().timestamp())
    members: dict[str, object] = {
        "sub": "alice",
        "aud": "kubernetes",
        "iat": now,
        "exp": now + 3600,
    }
    return {name: value for name, value in (members | changes).items() if value is not None}


@asynccontextmanager
async def running(subject: Runs) -> AsyncIterator[None]:
    """Run what fetches keys for as long as the block lasts."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(subject.run())
        try:
            yield
        finally:
            task.cancel()


@asynccontextmanager
async def with_keys(
    authenticator: OidcAuthenticator, *issuers: TestIssuer
) -> AsyncIterator[OidcAuthenticator]:
    """Run an authenticator that has asked each issuer once before the block begins."""
    async with running(authenticator):
        for issuer in issuers:
            nobody = SigningKey.make("nobody").token({"iss": issuer.url})
            with pytest.raises((Unauthenticated, ServiceUnavailable)):
                await authenticator.authenticate(nobody)
        yield authenticator


class Scene:
    """One issuer, one running authenticator and a clock."""

    def __init__(
        self, issuer: TestIssuer, authenticator: OidcAuthenticator, clock: ManualClock
    ) -> None:
        self.issuer = issuer
        self.authenticator = authenticator
        self.clock = clock

    def token(self, **changes: object) -> str:
        return self.issuer.token(good_claims(self.clock, **changes))

    async def judge(self, token: str) -> Identity:
        return await self.authenticator.authenticate(token)

    async def identity(self, **changes: object) -> Identity:
        """Return whose token it is that has these changes."""
        return await self.judge(self.token(**changes))


@asynccontextmanager
async def scene_of(
    issuer: TestIssuer,
    clock: ManualClock,
    limits: KeyLimits = DEFAULT_KEY_LIMITS,
    **changes: object,
) -> AsyncIterator[Scene]:
    """Set a scene whose settings have these changes."""
    settings = settings_of(issuer, **changes)
    authenticator = authenticator_of(settings, clock=clock, limits=limits)
    async with with_keys(authenticator, issuer):
        yield Scene(issuer, authenticator, clock)
