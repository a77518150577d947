"""A machine is enrolled by the client's own hand, at the real endpoints."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from kzproxy.client.device_enrolment import DeviceEnrolment, EnrolledDevice, Machine, NotEnrolled
from kzproxy.client.device_key import FileKey, thumbprint
from kzproxy.client.enrolling import Enrolling
from kzproxy.client.failure import ClientFailure
from kzproxy.client.issuer_http import IssuerHttp
from kzproxy.client.plugin_settings import IssuerClient, PluginSettings, Prompting
from kzproxy.client.this_machine import this_machine
from kzproxy.client.token_cache import TokenCache
from kzproxy.clock.system import SystemClock
from tests.devices.kept_devices import KeptDevices
from tests.web.enrolling_server import enrolling_server
from tests.web.test_device_enrolment import TokensOfTests

LAPTOP = Machine(name="a laptop", serial="S1", platform="linux x86_64")


@pytest_asyncio.fixture
async def kept(tmp_path: Path) -> AsyncIterator[KeptDevices]:
    worker = KeptDevices(tmp_path / "kept.db", SystemClock())
    await worker.following.start()
    yield worker
    await worker.close()


class Client:
    """The client's side, on a thread of its own."""

    def __init__(self, url: str, directory: Path, key: FileKey | None = None) -> None:
        self.key = key or FileKey.generate()
        self._url = url
        self._ca_file = str(directory / "ca.crt")

    async def enrol(self, user: str = "", one_time: str = "") -> EnrolledDevice:
        return await self._does(
            lambda enrolment: enrolment.enrol(LAPTOP, session_token=user, one_time=one_time)
        )

    async def certificate(self) -> EnrolledDevice:
        return await self._does(DeviceEnrolment.certificate)

    async def _does(self, ask: Callable[[DeviceEnrolment], EnrolledDevice]) -> EnrolledDevice:
        http = IssuerHttp(self._ca_file, SystemClock())
        try:
            return await asyncio.to_thread(ask, DeviceEnrolment(http, self._url, self.key))
        finally:
            http.close()


@pytest.mark.parametrize("path", ["", "/sign-in"])
async def test_a_machine_is_enrolled_and_waits_for_approval(
    kept: KeptDevices, tmp_path: Path, path: str
) -> None:
    async with enrolling_server(tmp_path, kept, TokensOfTests(), path) as url:
        client = Client(url, tmp_path)
        pending = await client.enrol("alice")
        assert (pending.state, pending.is_approved) == ("pending", False)
        record = kept.registry.find(pending.device_id)
        assert record is not None
        assert (record.name, record.serial, record.platform) == (
            "a laptop",
            "S1",
            "linux x86_64",
        )
        assert record.key_thumbprint == thumbprint(client.key)
        assert not (await client.certificate()).is_approved
        await kept.administration.approve(pending.device_id, kept.doing())
        approved = await client.certificate()
        assert (approved.state, approved.how) == ("approved", "admin")
        assert approved.certificate.startswith("-----BEGIN CERTIFICATE-----")
        assert approved.ends_at is not None


async def test_a_one_time_token_needs_nobody_signed_in(kept: KeptDevices, tmp_path: Path) -> None:
    async with enrolling_server(tmp_path, kept, TokensOfTests()) as url:
        approved = await Client(url, tmp_path).enrol(one_time=await kept.token("alice"))
        assert (approved.how, approved.is_approved) == ("token", True)


async def test_what_kzproxy_says_is_said(kept: KeptDevices, tmp_path: Path) -> None:
    async with enrolling_server(tmp_path, kept, TokensOfTests()) as url:
        client = Client(url, tmp_path)
        with pytest.raises(NotEnrolled, match="`kzproxy device enroll`"):
            await client.certificate()
        with pytest.raises(ClientFailure, match="sign in with `kzproxy login` first"):
            await client.enrol()
        with pytest.raises(ClientFailure, match="one-time token is not good"):
            await client.enrol(one_time="kze_x")
        device = await client.enrol("alice/trusted")
        await kept.administration.block(device.device_id, "stolen", kept.doing())
        with pytest.raises(ClientFailure, match="stolen"):
            await client.certificate()


async def test_a_sign_in_without_enrolment_is_said(kept: KeptDevices, tmp_path: Path) -> None:
    async with enrolling_server(tmp_path, kept, TokensOfTests(), "/elsewhere") as url:
        client = Client(url.removesuffix("/elsewhere"), tmp_path)
        with pytest.raises(ClientFailure, match="enrols no devices"):
            await client.enrol("alice")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "--sign-in-url"),
        (
            {"device_certificate": "mdm.crt", "device_key": "mdm.key", "keeps_session": True},
            r"already \(mdm\.crt\)",
        ),
    ],
)
def test_a_context_that_cannot_enroll_is_said(
    tmp_path: Path, settings: dict[str, Any], said: str
) -> None:
    client = IssuerClient(
        issuer="https://idp.example.com",
        client_id="kubectl",
        keeps_session=settings.pop("keeps_session", False),
    )
    context = PluginSettings(
        client=client, prompting=Prompting(), server="https://kz.example.com", **settings
    )
    with pytest.raises(ClientFailure, match=said):
        Enrolling(context, TokenCache(str(tmp_path)), {}, SystemClock(), interactive=False)


def test_a_machine_says_what_it_is_called(tmp_path: Path) -> None:
    board = tmp_path / "sys/class/dmi/id/product_serial"
    board.parent.mkdir(parents=True)
    board.write_text("C02XL0\n")
    found = this_machine(root=tmp_path)
    assert found.serial == "C02XL0"
    assert found.name
    assert found.platform
    chosen = this_machine("mine\x1b[2J", "S" * 200, root=tmp_path)
    assert (chosen.name, chosen.serial) == ("mine[2J", "S" * 128)


def test_the_installations_id_is_not_told_and_stays_the_same(tmp_path: Path) -> None:
    assert this_machine(root=tmp_path).serial == ""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/machine-id").write_text("08b9ed96f8d44e0f8c4b34f1f4c8b0c5\n")
    serial = this_machine(root=tmp_path).serial
    assert serial.startswith("installation-")
    assert "08b9ed96" not in serial
    assert this_machine(root=tmp_path).serial == serial
