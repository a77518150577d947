"""A renewal that fails has used nothing up: the client comes back with the token that it has."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from kzproxy.administrator.session import SessionRecord
from kzproxy.audit.events import EventLog
from kzproxy.authentication.session_keys import SigningKeys
from kzproxy.authentication.session_token import SessionTokens
from kzproxy.demo.certificate_parts import new_key, signed, subject, unsigned
from kzproxy.devices.device_certificate import DeviceAuthority
from kzproxy.devices.issuing import CertificateIssuer
from kzproxy.devices.names import ClientName, key_thumbprint
from kzproxy.errors.kinds import ServiceUnavailable
from kzproxy.metrics.registry import Metrics
from kzproxy.store.sealing import KEY_BYTES, Sealer
from kzproxy.web.client_certificates import CertificateSources, ClientCertificates
from kzproxy.web.granted import GrantSources
from kzproxy.web.oauth_errors import OAuthError
from kzproxy.web.renewal_token import LOST_ANSWER, RenewalToken, Replayed
from kzproxy.web.session_renewal import SessionRenewal
from kzproxy.web.sign_in_desk import SignInDesk, SignInLimits
from kzproxy.web.sign_in_flows import SignInFlows
from kzproxy.web.sign_in_pages import Pages
from tests.audit.full_log import full_log
from tests.authentication.manual_clock import ManualClock
from tests.devices.kept_devices import KeptDevices
from tests.servers.authority import NOT_AFTER, NOT_BEFORE, Authority, Issued
from tests.web.interrupted_log import InterruptedLog

CLIENT_AUTH = x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH
URL = "https://kzproxy.example.com:8444"
SEALER = Sealer([b"k" * KEY_BYTES])
DEVICES = Authority.root("device root")
ENDED = Authority.root("ended root", not_after=datetime(2021, 1, 1, tzinfo=UTC))
GOOD_ISSUER = CertificateIssuer(DEVICES.pem, DEVICES.issued.key_pem)
ENDED_ISSUER = CertificateIssuer(ENDED.pem, ENDED.issued.key_pem)


def certified(key: ec.EllipticCurvePrivateKey) -> Issued:
    """Give a client that is no device a certificate of its key."""
    name = ClientName.of_key(key_thumbprint(key.public_key())).uri
    builder = (
        unsigned(subject([]), key, NOT_BEFORE, NOT_AFTER)
        .add_extension(x509.ExtendedKeyUsage([CLIENT_AUTH]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(name)]), critical=True
        )
    )
    root = DEVICES.issued
    made = signed(builder, issuer_name=root.certificate.subject, issuer_key=root.key)
    return Issued(certificate=made, key=key, chain=(root.certificate,))


class NoPosture:
    """Takes no report; none is sent."""

    async def take(
        self, report: str, key: ec.EllipticCurvePublicKey, *, device_id: str, session: str
    ) -> str:
        return "none is taken"


@dataclass
class Renewals:
    """A kzproxy that renews alone, and its client.

    Attributes:
        log: Where renewals are written down.
        issuer: Of certificates.
    """

    directory: Path
    kept: KeptDevices
    clock: ManualClock
    log: EventLog
    issuer: CertificateIssuer = GOOD_ISSUER
    client: Issued = field(default_factory=lambda: certified(new_key()))
    token: RenewalToken = field(default_factory=lambda: RenewalToken.new("a" * 32))
    url: str = ""

    @property
    def key(self) -> ec.EllipticCurvePublicKey:
        return self.client.key.public_key()

    def record(self, step_up: str = "") -> SessionRecord:
        return self.kept.record(
            id=self.token.session_id,
            key_thumbprint=key_thumbprint(self.key),
            renewal_digest=self.token.digest,
            step_up=step_up,
        )

    def renewal(self) -> SessionRenewal:
        return SessionRenewal(self.desk(), self.sources(SigningKeys(SEALER)))

    def sources(self, keys: SigningKeys) -> GrantSources:
        authority = DeviceAuthority(DEVICES.pem)
        certificates = ClientCertificates(
            lambda: CertificateSources(authority=authority, issuer=self.issuer),
            self.kept.registry,
            self.clock,
        )
        return GrantSources(
            directory=self.kept.directory,
            tokens=SessionTokens(keys, self.clock, issuer=URL),
            sealer=SEALER,
            certificates=certificates,
            nonces=self.kept.nonces,
            posture=NoPosture(),
            catch_up=self.kept.following.catch_up,
            check_sign_in=lambda _record, _begun: None,
        )

    def desk(self) -> SignInDesk:
        return SignInDesk(
            url=URL,
            clock=self.clock,
            flows=SignInFlows(self.kept.store, SEALER, self.clock),
            providers=lambda: (),
            pages=Pages(host="kzproxy.example.com"),
            limits=SignInLimits.usual(self.clock),
            events=self.log,
            metrics=Metrics("test"),
        )

    async def answer(self, request: web.Request) -> web.Response:
        key = self.key if request.query_string else None
        try:
            granted = await self.renewal().renew(request, self.token, key)
        except ServiceUnavailable as error:
            return web.Response(status=503, text=error.detail)
        except Replayed:
            return web.Response(status=400, text="replayed")
        except OAuthError as error:
            return web.Response(status=400, text=error.description)
        return web.Response(text=granted.renewal.text)

    async def ask(self, query: str = "") -> httpx.Response:
        """Renew with the token that is had; with a new certificate where there is a query."""
        context = ssl.create_default_context(cafile=self.directory / "ca.crt")
        context.load_cert_chain(*self.client.write_to(self.directory, "client"))
        async with httpx.AsyncClient(verify=context) as http:
            return await http.get(f"{self.url}/?{query}")

    def written(self) -> list[str]:
        return [event["event"] for event in self.kept.events()]


@asynccontextmanager
async def serving(renewals: Renewals) -> AsyncIterator[None]:
    authority = Authority.root("server root")
    (renewals.directory / "ca.crt").write_bytes(authority.pem)
    (renewals.directory / "devices.crt").write_bytes(DEVICES.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.server("localhost").write_to(renewals.directory, "server"))
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(renewals.directory / "devices.crt")
    application = web.Application()
    application.router.add_get("/", renewals.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "localhost", 0, ssl_context=context)
        await site.start()
        renewals.url = f"https://localhost:{runner.addresses[0][1]}"
        yield
    finally:
        await runner.cleanup()


@pytest.fixture
async def renewals(tmp_path: Path) -> AsyncIterator[Renewals]:
    clock = ManualClock()
    kept = KeptDevices(tmp_path / "kept.db", clock)
    await kept.following.start()
    made = Renewals(tmp_path, kept, clock, kept.log)
    try:
        async with serving(made):
            yield made
    finally:
        await kept.close()


async def a_while_later(renewals: Renewals) -> None:
    """Let more time pass than an answer may be lost for."""
    renewals.clock.advance(LOST_ANSWER + timedelta(seconds=1))
    await renewals.kept.following.catch_up()


async def comes_back(renewals: Renewals) -> None:
    """Renew with the same token, a while later."""
    await a_while_later(renewals)
    again = await renewals.ask()
    assert (again.status_code, again.text[:33]) == (200, f"{renewals.token.session_id}.")
    assert renewals.written().count("auth.renewal") == 1


async def test_where_no_certificate_can_be_issued_the_token_stays_good(renewals: Renewals):
    await renewals.kept.directory.begin(renewals.record())
    renewals.issuer = ENDED_ISSUER
    assert (await renewals.ask("csr")).status_code == 503
    assert "auth.renewal" not in renewals.written()
    await comes_back(renewals)


async def test_where_the_renewal_cannot_be_written_the_token_stays_good(renewals: Renewals):
    await renewals.kept.directory.begin(renewals.record())
    async with full_log(renewals.clock) as renewals.log:
        assert (await renewals.ask()).status_code == 503
    renewals.log = renewals.kept.log
    await comes_back(renewals)


async def test_a_stronger_sign_in_is_asked_for_once_and_uses_nothing_up(renewals: Renewals):
    await renewals.kept.directory.begin(renewals.record(step_up='{"error_description":"more"}'))
    told = await renewals.ask("csr")
    assert (told.status_code, told.text) == (400, "more")
    assert "auth.renewal" not in renewals.written()
    await comes_back(renewals)


async def test_a_token_that_was_used_is_a_replay_before_anything_is_done(renewals: Renewals):
    await renewals.kept.directory.begin(renewals.record())
    assert (await renewals.ask("csr")).status_code == 200
    await a_while_later(renewals)
    renewals.issuer = ENDED_ISSUER
    assert (await renewals.ask("csr")).text == "replayed"
    assert renewals.written().count("auth.renewal") == 1


@pytest.mark.parametrize("renewals_meanwhile", [1, 2])
async def test_a_renewal_that_its_client_has_given_up_takes_nothing_from_the_next_one(
    renewals: Renewals, renewals_meanwhile: int
):
    """The client waits ten seconds, and sends it anew; the first one is done after the second."""
    await renewals.kept.directory.begin(renewals.record())
    renewals.log = log = InterruptedLog(renewals.kept.log)

    async def given_up() -> None:
        renewals.clock.advance(timedelta(seconds=10))
        for _ in range(renewals_meanwhile):
            answer = await renewals.ask()
            token = RenewalToken.read(answer.text)
            assert token is not None
            renewals.token = token

    log.meanwhile = given_up
    late = await renewals.ask()
    assert (late.status_code, late.text) == (503, "")
    await a_while_later(renewals)
    assert (await renewals.ask()).status_code == 200
