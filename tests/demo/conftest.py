"""A demo identity provider for each test, with a clock that the test moves."""

import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kzproxy.demo.identity_provider import IdentityProvider, running_identity_provider
from kzproxy.demo.idp_settings import IdentityProviderSettings, SigningAlgorithm
from kzproxy.demo.page_agent import press_through
from tests.conformance.oidc_provider import Conversation, ProviderUnderTest, conversation
from tests.servers.authority import Authority


class MovableClock:
    """Starts at the machine's time, so that verifiers agree with it, and moves only when told."""

    def __init__(self) -> None:
        self._now = dt.datetime.now(dt.UTC)

    def now(self) -> dt.datetime:
        return self._now

    def monotonic(self) -> float:
        return self.now().timestamp()

    def move(self, **by: float) -> None:
        self._now += dt.timedelta(**by)


@dataclass(frozen=True, kw_only=True)
class Certificate:
    certificate_file: Path
    private_key_file: Path
    ca_file: Path


@pytest.fixture(scope="session")
def loopback_certificate(tmp_path_factory) -> Certificate:
    directory = tmp_path_factory.mktemp("idp")
    authority = Authority.root()
    certificate_file, private_key_file = authority.server("127.0.0.1").write_to(directory, "idp")
    ca_file = directory / "ca.crt"
    ca_file.write_bytes(authority.pem)
    return Certificate(
        certificate_file=certificate_file, private_key_file=private_key_file, ca_file=ca_file
    )


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def idp_settings() -> IdentityProviderSettings:
    return IdentityProviderSettings(algorithm=SigningAlgorithm.ES256)


@pytest.fixture
async def idp(
    idp_settings: IdentityProviderSettings, clock: MovableClock, loopback_certificate: Certificate
) -> AsyncIterator[IdentityProvider]:
    async with running_identity_provider(
        idp_settings,
        clock,
        certificate_file=loopback_certificate.certificate_file,
        private_key_file=loopback_certificate.private_key_file,
    ) as provider:
        yield provider


@pytest.fixture
def under_test(idp: IdentityProvider, loopback_certificate: Certificate) -> ProviderUnderTest:
    return ProviderUnderTest(
        issuer=idp.issuer,
        ca_file=loopback_certificate.ca_file,
        client_id="kzproxy",
        user="operator",
        press_through=press_through,
        approve_device=press_through,
        claims={
            "sub": "kzproxy-demo|operator",
            "preferred_username": "operator",
            "groups": ["developers", "operators"],
            "email": "operator@demo.kzproxy.example",
            "email_verified": True,
            "azp": "kzproxy",
        },
    )


@pytest.fixture
async def talk(under_test: ProviderUnderTest) -> AsyncIterator[Conversation]:
    async with conversation(under_test) as begun:
        yield begun
