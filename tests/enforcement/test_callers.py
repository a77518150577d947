"""Who calls, and with what device: as both are once it is known."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from kzproxy.attributes.device import Fact
from kzproxy.attributes.identity import Identity
from kzproxy.authentication.oidc import OidcAuthenticator
from kzproxy.devices.device_certificate import DeviceAuthority
from kzproxy.devices.names import DeviceName
from kzproxy.enforcement.callers import Callers
from kzproxy.enforcement.case import Case
from kzproxy.errors.kinds import Forbidden
from kzproxy.http.messages import RequestHead
from kzproxy.http.request_head import parse_request_head
from kzproxy.transport.peer import Peer
from kzproxy.upstream.api_server import ApiServer
from tests.authentication.manual_clock import ManualClock
from tests.authentication.scene import authenticator_of, good_claims, settings_of, with_keys
from tests.devices.kept_devices import AUTHORITY, KeptDevices
from tests.devices.machine import Machine
from tests.proxy.world import request
from tests.servers.authority import Authority
from tests.servers.issuer import TestIssuer, serving_issuer


class Waiting(OidcAuthenticator):
    """Judges a token, and something happens while it is waited for."""

    meanwhile: Callable[[], Awaitable[None]]

    async def authenticate(self, token: str) -> Identity:
        identity = await super().authenticate(token)
        await self.meanwhile()
        return identity


@pytest.fixture
async def workers(tmp_path: Path, clock: ManualClock) -> AsyncIterator[list[KeptDevices]]:
    made = [KeptDevices(tmp_path / "kept.db", clock, name) for name in ("1", "2")]
    for one in made:
        await one.following.start()
    yield made
    for one in made:
        await one.close()


@pytest.fixture
async def issuer(tmp_path: Path) -> AsyncIterator[TestIssuer]:
    async with serving_issuer(tmp_path, Authority.root("issuer root")) as served:
        yield served


def certificates(kept: KeptDevices, machine: Machine, device_id: str) -> tuple[bytes, ...]:
    name = DeviceName(device_id=device_id)
    issued = kept.enrolment.issuer.issue(machine.key.public_key(), name, now=kept.clock.now())
    chain = x509.load_pem_x509_certificates(issued.pem.encode())
    return tuple(certificate.public_bytes(Encoding.DER) for certificate in chain)


@asynccontextmanager
async def asking(
    api_server: ApiServer,
    kept: KeptDevices,
    issuer: TestIssuer,
    chain: tuple[bytes, ...],
    meanwhile: Callable[[], Awaitable[None]],
) -> AsyncIterator[tuple[Callers, RequestHead, Case]]:
    """Have a request be there whose sender is not known; something happens while that is asked."""
    authenticator = authenticator_of(settings_of(issuer), clock=kept.clock)
    waiting = Waiting(list(authenticator._verifiers.values()), kept.clock)
    waiting.meanwhile = meanwhile
    callers = Callers(
        authenticator=waiting,
        devices=DeviceAuthority(AUTHORITY.pem),
        device_facts=(kept.registry,),
        api_server=api_server,
        send_uid=False,
    )
    peer = Peer(address=ip_address("192.0.2.7"), port=1, certificates=chain)
    case = Case(audit_id="a-1", peer=peer, received_at=kept.clock.now(), started=0.0)
    token = issuer.token(good_claims(kept.clock))
    head = parse_request_head(request("GET", "/api/v1/pods", token))
    async with with_keys(authenticator, issuer):
        assert callers.known(head, case) is None
        yield callers, head, case


async def test_what_is_heard_of_the_device_while_its_user_is_found_out_counts(
    api_server: ApiServer, workers: list[KeptDevices], issuer: TestIssuer
) -> None:
    """Enrolled at another worker just now, as its user was signed in there."""
    here, elsewhere = workers
    machine = Machine()
    record = await elsewhere.approved(machine)
    chain = certificates(elsewhere, machine, record.id)
    caught_up = here.following.catch_up
    async with asking(api_server, here, issuer, chain, caught_up) as (callers, head, case):
        standing = await callers.unknown(head, case)
        assert case.device == standing.device
        assert (standing.device.enrolled, standing.device.device_id) == (Fact.PASSED, record.id)
        assert callers.known(head, case) is standing


async def test_a_device_that_is_blocked_while_its_user_is_found_out_lets_nobody_in(
    api_server: ApiServer, workers: list[KeptDevices], issuer: TestIssuer
) -> None:
    here, _ = workers
    machine = Machine()
    record = await here.approved(machine)

    async def blocked() -> None:
        await here.administration.block(record.id, "stolen", here.doing())

    chain = certificates(here, machine, record.id)
    async with asking(api_server, here, issuer, chain, blocked) as (callers, head, case):
        with pytest.raises(Forbidden, match="stolen"):
            await callers.unknown(head, case)
