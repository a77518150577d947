"""Enrolment as a device sees it, over HTTP."""

import ssl
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestClient
from pytest_aiohttp import AiohttpClient

from kzproxy.devices.enrolment import Enrolment
from kzproxy.devices.enrolment_request import Enroller
from kzproxy.errors.kinds import ServiceUnavailable, Unauthenticated
from kzproxy.web.device_enrolment import (
    MAX_BODY_BYTES,
    DeviceEnrolment,
    EnrolmentBody,
    EnrolmentParts,
)
from tests.authentication.manual_clock import ManualClock
from tests.devices.kept_devices import ALICE, BOB, KeptDevices
from tests.devices.machine import URL, Machine
from tests.servers.authority import Authority
from tests.web.enrolling_server import enrolling_server, refusals

FORM = "application/x-www-form-urlencoded"
USERS = {"alice": ALICE, "bob": BOB}


class TokensOfTests:
    """Stands in for the sign-in, which knows people by session tokens: here by their names."""

    async def enroller(self, request: web.Request) -> Enroller | None:
        header = request.headers.get("Authorization", "")
        if not header:
            return None
        name, _, groups = header.removeprefix("Bearer ").partition("/")
        if name not in USERS:
            raise Unauthenticated("the token does not hold")
        return Enroller(owner=USERS[name], groups=tuple(groups.split(",")), session="s")


class Enrolling:
    """A device that enrols."""

    def __init__(self, client: TestClient, machine: Machine) -> None:
        self.client = client
        self.machine = machine

    async def nonce(self) -> str:
        answer = await self.client.post("/sign-in/nonce")
        assert answer.status == 200
        return str((await answer.json())["nonce"])

    async def enrol(
        self, user: str = "", nonce: str = "", *, token: str = "", **claims: Any
    ) -> tuple[int, dict[str, Any]]:
        proof = self.machine.proof(nonce or await self.nonce(), **claims)
        body = {"csr": self.machine.csr(), "proof": proof} | ({"token": token} if token else {})
        return await self.post("devices", body, user)

    async def certificate(self, nonce: str = "") -> tuple[int, dict[str, Any]]:
        proof = self.machine.proof(nonce or await self.nonce(), "certificate")
        return await self.post("devices/certificate", {"csr": self.machine.csr(), "proof": proof})

    async def post(
        self, path: str, body: dict[str, Any], user: str = ""
    ) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {user}"} if user else {}
        answer = await self.client.post(f"/sign-in/{path}", data=body, headers=headers)
        assert answer.headers["Cache-Control"] == "no-store"
        return answer.status, await answer.json()


@pytest_asyncio.fixture
async def kept(tmp_path: Path) -> AsyncIterator[KeptDevices]:
    worker = KeptDevices(tmp_path / "kept.db", ManualClock())
    await worker.following.start()
    yield worker
    await worker.close()


def application(kept: KeptDevices, enrolment: Callable[[], Enrolment]) -> web.Application:
    parts = EnrolmentParts(
        enrolment=enrolment,
        nonces=kept.nonces,
        callers=TokensOfTests(),
        changed=kept.administration.settle,
        refused=refusals(kept),
    )
    served = web.Application()
    DeviceEnrolment(parts, url=URL).add_to(served, "/sign-in")
    return served


@pytest_asyncio.fixture
async def client(kept: KeptDevices, aiohttp_client: AiohttpClient) -> TestClient:
    return await aiohttp_client(application(kept, lambda: kept.enrolment))


@pytest.fixture
def machine(client: TestClient) -> Enrolling:
    return Enrolling(client, Machine())


async def test_a_device_is_enrolled_and_polls_for_its_certificate(
    machine: Enrolling, kept: KeptDevices
) -> None:
    status, told = await machine.enrol("alice", name="a laptop", serial="S1", platform="linux")
    assert (status, told["state"], told["name"]) == (202, "pending", "a laptop")
    assert (await machine.certificate())[0] == 202
    await kept.administration.approve(told["id"], kept.doing())
    status, approved = await machine.certificate()
    assert (status, approved["state"], approved["how"]) == (200, "approved", "admin")
    assert approved["certificate"].startswith("-----BEGIN CERTIFICATE-----")
    assert kept.registry.find(told["id"]).serial == "S1"


async def test_a_nonce_that_comes_with_an_answer_serves_for_the_next_proof(
    machine: Enrolling,
) -> None:
    _, told = await machine.enrol("alice/trusted")
    status, _ = await machine.certificate(told["nonce"])
    assert status == 200


async def test_a_token_enrols_without_a_sign_in(machine: Enrolling, kept: KeptDevices) -> None:
    token = await kept.token("alice")
    status, told = await machine.enrol(token=token)
    assert (status, told["how"]) == (200, "token")
    status, refused = await Enrolling(machine.client, Machine()).enrol(token=token)
    assert (status, refused["error"]) == (403, "access_denied")


async def test_a_nonce_is_good_for_one_proof(machine: Enrolling) -> None:
    nonce = await machine.nonce()
    assert (await machine.enrol("alice", nonce))[0] == 202
    status, refused = await machine.enrol("alice", nonce)
    assert status == 400
    assert "nonce was used" in refused["error_description"]
    assert (await machine.certificate(nonce))[0] == 400


async def test_a_proof_for_enrolment_brings_no_certificate(machine: Enrolling) -> None:
    await machine.enrol("alice/trusted")
    proof = machine.machine.proof(await machine.nonce(), "enrol")
    body = {"csr": machine.machine.csr(), "proof": proof}
    status, refused = await machine.post("devices/certificate", body)
    assert status == 400
    assert "to enrol, not to certificate" in refused["error_description"]


async def test_a_proof_by_another_key_enrols_nobody(machine: Enrolling, kept: KeptDevices) -> None:
    proof = Machine().proof(await machine.nonce())
    body = {"csr": machine.machine.csr(), "proof": proof}
    status, _ = await machine.post("devices", body, "alice")
    assert status == 400
    assert kept.registry.all() == ()


async def test_anothers_request_and_own_proof_bring_no_certificate(
    machine: Enrolling, kept: KeptDevices
) -> None:
    """Who sees a device's request has no key to prove it with."""
    await machine.enrol("alice/trusted")
    thief = Machine()
    proof = thief.proof(await machine.nonce(), "certificate")
    body = {"csr": machine.machine.csr(), "proof": proof}
    assert (await machine.post("devices/certificate", body))[0] == 400
    unknown = Enrolling(machine.client, thief)
    assert (await unknown.certificate())[0] == 404


async def test_nothing_is_written_for_whom_nobody_knows(
    machine: Enrolling, kept: KeptDevices
) -> None:
    assert (await machine.enrol())[0] == 401
    assert (await machine.enrol("mallory"))[0] == 401
    assert (await machine.enrol(token="kze_" + "A" * 43))[0] == 403
    assert (await machine.certificate())[0] == 404
    assert await kept.store.entries("nonce") == ()
    assert kept.events() == []


async def test_a_blocked_device_is_told_so(machine: Enrolling, kept: KeptDevices) -> None:
    _, told = await machine.enrol("alice/trusted")
    await kept.administration.block(told["id"], "stolen", kept.doing())
    for status, refused in (await machine.certificate(), await machine.enrol("alice/trusted")):
        assert (status, refused["error"]) == (403, "access_denied")
        assert "stolen" in refused["error_description"]


async def test_a_session_of_the_key_is_one_on_the_device(
    machine: Enrolling, kept: KeptDevices
) -> None:
    session = kept.record(1, key_thumbprint=machine.machine.thumbprint)
    await kept.directory.begin(session)
    _, told = await machine.enrol("alice/trusted")
    assert kept.directory.find(session.id).device_id == told["id"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"csr",
        b"csr=x",
        b"csr=x&csr=x&proof=y",
        b"csr=x&proof=y&id=mine",
        b"csr=x&proof=y",
        b"csr=%ff&proof=y",
        b"\xff=x",
        b"&" * 5000,
    ],
)
async def test_what_is_not_a_request_is_refused(client: TestClient, body: bytes) -> None:
    for path in ("devices", "devices/certificate"):
        answer = await client.post(f"/sign-in/{path}", data=body, headers={"Content-Type": FORM})
        assert answer.status == 400
        assert (await answer.json())["error"] == "invalid_request"


async def test_a_body_is_a_form_and_bounded(client: TestClient) -> None:
    large = await client.post(
        "/sign-in/devices",
        data=b"x" * (MAX_BODY_BYTES + 1),
        headers={"Content-Type": FORM},
    )
    assert large.status == 413
    other = await client.post("/sign-in/devices", json={"csr": "x"})
    assert other.status == 415


async def test_where_nothing_is_issued_it_is_said(
    kept: KeptDevices, aiohttp_client: AiohttpClient
) -> None:
    def nothing() -> Any:
        raise ServiceUnavailable("this kzproxy issues no device certificates")

    machine = Enrolling(await aiohttp_client(application(kept, nothing)), Machine())
    status, refused = await machine.enrol("alice")
    assert (status, refused["error"]) == (503, "server_error")
    assert "issues no device certificates" in refused["error_description"]


async def test_an_address_that_asks_in_vain_too_often_has_to_wait(
    machine: Enrolling, kept: KeptDevices
) -> None:
    nonce = await machine.nonce()
    for _ in range(20):
        assert (await machine.certificate(nonce))[0] == 404
    status, refused = await machine.certificate(nonce)
    assert status == 429
    assert "wait a minute" in refused["error_description"]


async def test_who_is_told_to_wait_is_not_told_so_for_asking_again(
    machine: Enrolling, kept: KeptDevices
) -> None:
    nonce = await machine.nonce()
    while (await machine.certificate(nonce))[0] != 429:
        pass
    told = []
    for _ in range(60):
        kept.clock.advance(timedelta(milliseconds=500))
        told.append((await machine.client.post("/sign-in/nonce")).status)
    assert told == [429] * 5 + [200] * 55


async def test_strangers_keep_nobody_out_who_shows_a_certificate(
    kept: KeptDevices, tmp_path: Path
) -> None:
    authority, refused = Authority.root(), refusals(kept)
    for address in ["127.0.0.1", "::1"] * 2 + ["198.51.100.1"] * 95:
        refused.count(address)
    stranger = ssl.create_default_context(cadata=authority.pem.decode())
    known = ssl.create_default_context(cadata=authority.pem.decode())
    known.load_cert_chain(*authority.device("laptop-1").write_to(tmp_path, "device"))

    async with (
        enrolling_server(
            tmp_path, kept, TokensOfTests(), authority=authority, refused=refused
        ) as url,
        aiohttp.ClientSession() as session,
    ):
        statuses = []
        for shown in (stranger, known):
            async with session.post(f"{url}/nonce", ssl=shown) as answer:
                statuses.append(answer.status)
    assert statuses == [429, 200]


async def test_what_kzproxy_cannot_do_is_not_counted_against_who_asks(
    kept: KeptDevices, aiohttp_client: AiohttpClient
) -> None:
    def nothing() -> Any:
        raise ServiceUnavailable("the store cannot be reached")

    machine = Enrolling(await aiohttp_client(application(kept, nothing)), Machine())
    nonce = await machine.nonce()
    assert [(await machine.enrol("alice", nonce))[0] for _ in range(25)] == [503] * 25


def test_a_body_does_not_print_its_token() -> None:
    body = EnrolmentBody(csr="csr", proof="proof", token="kze_secret")
    assert "kze_" not in repr(body)
