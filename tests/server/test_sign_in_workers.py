"""Two workers and two identity providers: whichever worker is asked, a sign-in goes on."""

import contextlib
import re
import ssl
import time
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import yaml

from kzproxy.demo.loopback_ports import free_ports
from tests.proxy.process import running_proxy
from tests.proxy.raw_client import RawClient
from tests.proxy.sign_in_world import (
    DEVICE_CODE_GRANT,
    Machine,
    SignInWorld,
    error_of,
    identity_provider_in_thread,
    sign_in_configuration,
)
from tests.servers.authority import Authority
from tests.servers.scripted_api_server import scripted_api_server


def add_provider(directory: Path, settings: dict[str, Any], issuer: str) -> None:
    """Let people sign in at another provider, too, under another prefix."""
    file = directory / "authentication.yaml"
    document = yaml.safe_load(file.read_text())
    another = yaml.safe_load(yaml.safe_dump(document["jwt"][0]))
    another["issuer"]["url"] = issuer
    another["claimMappings"]["username"]["prefix"] = "partner:"
    document["jwt"].append(another)
    file.write_text(yaml.safe_dump(document))
    provider = settings["signIn"]["providers"][0]
    settings["signIn"]["providers"].append({**provider, "issuer": issuer, "callback": "partner"})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignInWorld]:
    directory, authority = tmp_path_factory.mktemp("workers"), Authority.root()
    url = f"https://localhost:{free_ports(1)[0]}"
    with (
        scripted_api_server(directory, authority) as server,
        identity_provider_in_thread(directory, authority, f"{url}/callback") as idp,
        identity_provider_in_thread(directory, authority, f"{url}/callback/partner") as partner,
    ):
        devices = Authority.root("device CA")
        settings = sign_in_configuration(directory, authority, devices, idp, url, server.upstream())
        add_provider(directory, settings, partner.issuer)
        authority.server("localhost").write_to(directory, "sign-in")
        settings["signIn"] |= {"certificateFile": "sign-in.crt", "privateKeyFile": "sign-in.key"}
        with running_proxy(directory, settings, "--workers", "2") as proxy:
            yield SignInWorld(directory, authority, devices, idp, proxy, url, partner.issuer)


def until_refused(machine: Machine) -> None:
    """Wait until both workers know that the session is over."""
    deadline = time.monotonic() + 10
    while {machine.ask().status for _ in range(6)} != {401}:
        assert time.monotonic() < deadline


def test_every_step_of_a_sign_in_may_meet_another_worker(world: SignInWorld):
    """Each request is a connection of its own, and the kernel picks a worker for each."""
    for _ in range(6):
        machine = world.machine().signed_in(provider=world.idp.issuer)
        for _ in range(4):
            assert machine.ask().status == 200
        for _ in range(4):
            machine.take(machine.renew())
        assert machine.post("/revoke", {"token": machine.renewal}).status_code == 200
        # The other worker sees it within a moment.
        until_refused(machine)


def test_where_there_are_several_providers_the_person_picks_one(world: SignInWorld):
    machine = world.machine()
    with world.browser() as browser:
        page = browser.get(machine.authorization())
        assert page.status_code == 200
        assert world.idp.issuer in page.text
        assert world.partner in page.text
        links = re.findall(r'class="choice" href="([^"]+)"', page.text)
        end = browser.walk(unescape(links[1]))
    assert isinstance(end, str)
    code = dict(httpx.QueryParams(urlsplit(end).query))["code"]
    machine.take(machine.redeem(code))
    assert machine.answer["username"] == "partner:operator"


def test_a_terminal_is_let_in_by_either(world: SignInWorld):
    machine = world.machine()
    begun = machine.post("/device_authorization", {}).json()
    with world.browser() as browser:
        page = browser.get(f"/device?user_code={begun['user_code']}")
        confirm = browser.submit(page)
        assert f"Yes, sign in at {world.partner}" in confirm.text
        end = browser.onward(browser.submit(confirm, provider=world.partner))
        assert isinstance(end, httpx.Response)
        assert "partner:operator" in end.text
    form = {"grant_type": DEVICE_CODE_GRANT, "device_code": begun["device_code"]}
    machine.take(machine.post("/token", form | {"csr": machine.csr}))
    assert machine.answer["username"] == "partner:operator"


def test_a_code_that_two_clients_send_at_once_gives_no_session(world: SignInWorld):
    machine = world.machine()
    code = machine.code(provider=world.idp.issuer)
    machine.take(machine.redeem(code))
    assert error_of(machine.redeem(code))[0] == "invalid_grant"
    until_refused(machine)


def shown(world: SignInWorld) -> set[bytes]:
    """What certificates those who sign in are shown, by either worker."""
    found = set()
    for _ in range(12):
        with contextlib.closing(world.http()) as http:
            response = http.get(world.url)
            stream = response.extensions["network_stream"]
            found.add(stream.get_extra_info("ssl_object").getpeercert(True))
    return found


def test_each_listener_shows_the_certificate_that_is_named_for_it(world: SignInWorld):
    def named(file: str) -> bytes:
        return ssl.PEM_cert_to_DER_cert((world.directory / file).read_text())

    assert shown(world) == {named("sign-in.crt")}
    with RawClient(world.proxy.port, world.ca_file) as client:
        assert client.tls.getpeercert(True) == named("tls.crt")


def test_a_renewed_certificate_of_the_listener_is_shown(world: SignInWorld):
    [first] = shown(world)
    world.authority.server("localhost").write_to(world.directory, "sign-in")
    deadline = time.monotonic() + 20
    while first in (now := shown(world)) or len(now) > 1:
        assert time.monotonic() < deadline
        time.sleep(0.2)
