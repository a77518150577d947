"""A demo identity provider for each test, with a clock that the test moves."""

import datetime as dt
import ipaddress
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kzproxy.demo.identity_provider import IdentityProvider, running_identity_provider
from kzproxy.demo.idp_settings import IdentityProviderSettings, SigningAlgorithm
from kzproxy.demo.page_agent import press_through
from tests.conformance.oidc_provider import Conversation, ProviderUnderTest, conversation


class MovableClock:
    """Starts at the machine's time, so that verifiers agree with it, and moves when told."""

    def __init__(self) -> None:
        self.ahead = dt.timedelta()

    def now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC) + self.ahead

    def monotonic(self) -> float:
        return self.now().timestamp()

    def move(self, **by: float) -> None:
        self.ahead += dt.timedelta(**by)


@dataclass(frozen=True, kw_only=True)
class Certificate:
    certificate_file: Path
    private_key_file: Path


@pytest.fixture(scope="session")
def loopback_certificate(tmp_path_factory) -> Certificate:
    directory = tmp_path_factory.mktemp("idp")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "demo")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    (directory / "tls.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (directory / "tls.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return Certificate(
        certificate_file=directory / "tls.crt", private_key_file=directory / "tls.key"
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
        ca_file=loopback_certificate.certificate_file,
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
