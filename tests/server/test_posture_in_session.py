"""A client's collectors, its signature, the token endpoint and what follows for its streams."""

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from kzproxy.client.device_key import FileKey
from kzproxy.client.posture.linux import LinuxCollector
from kzproxy.client.posture.report import signed_report
from kzproxy.clock.system import SystemClock
from kzproxy.demo.certificate_parts import key_pem
from kzproxy.devices.device_record import ApprovedBy, DeviceRecord, DeviceState, Owner, device_put
from kzproxy.store.sqlite import SqliteStore
from tests.authentication.manual_clock import ManualClock
from tests.client.posture.machines import FixtureTree, Systemd, mounted
from tests.proxy.raw_client import RawClient
from tests.proxy.sign_in_world import POLICY, Machine, SignInWorld, running_sign_in_world
from tests.proxy.world import request
from tests.server.test_devices import endless_watches
from tests.servers.authority import Authority
from tests.servers.scripted_api_server import scripted_api_server

PODS = "/api/v1/namespaces/dev/pods"
LUKS = "CRYPT-LUKS2-x"
RULE = {
    "id": "good-laptops",
    "effect": "allow",
    "subjects": {"groups": ["idp:operators"]},
    "match": [{"verbs": ["list", "watch"], "apiGroups": [""], "resources": ["pods"]}],
    "conditions": {"device": {"checks": {"passed": ["disk_encrypted", "firewall"]}}},
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignInWorld]:
    directory, authority = tmp_path_factory.mktemp("posture"), Authority.root()
    urls = POLICY["rules"][1]
    (directory / "guarded.yaml").write_text(json.dumps(POLICY | {"rules": [urls, RULE]}))
    with scripted_api_server(directory, authority) as api_server:
        api_server.script = endless_watches
        upstream, files = api_server.upstream(), ["guarded.yaml"]
        with running_sign_in_world(directory, authority, upstream, policyFiles=files) as world:
            yield world


class Laptop:
    """A machine with files and programs, a key and a session."""

    def __init__(self, world: SignInWorld, tree: FixtureTree, device_id: str) -> None:
        self.world, self.tree, self.device_id = world, tree, device_id
        self.machine: Machine = world.machine().signed_in()
        part = tree.partition(tree.disk("sda", "8:0"), "sda2", "8:2")
        tree.mapped("dm-0", "253:0", LUKS, part)
        tree.mounts(mounted("/", "253:0"))
        tree.write("/etc/os-release", "ID=ubuntu\nVERSION_ID=24.04\n")
        tree.write("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")

    def enrolled(self) -> "Laptop":
        """Have it approved, as by an administrator, and get the certificate of a device."""
        record = DeviceRecord(
            id=self.device_id,
            key_thumbprint=self.machine.key_thumbprint,
            state=DeviceState.APPROVED,
            approved_how=ApprovedBy.ADMINISTRATOR,
            owner=Owner(username="idp:operator"),
            enrolled_at=datetime.now(UTC),
        )

        async def written() -> None:
            store = SqliteStore.open(self.world.directory / "kept.db", SystemClock())
            await store.write(device_put(record))
            await store.close()

        asyncio.run(written())
        deadline = time.monotonic() + 10
        while "device" not in self.names():
            assert time.monotonic() < deadline
            self.machine.take(self.machine.renew(csr=self.machine.csr))
        return self

    def names(self) -> str:
        """Return what the certificate says, as text."""
        certificate = x509.load_pem_x509_certificate(self.machine.certificate.encode())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        return str(names.value.get_values_for_type(x509.UniformResourceIdentifier))

    def report(self, *active: str, nonce: str = "") -> str:
        collector = LinuxCollector(self.tree.machine(Systemd(*active)), ManualClock())
        key = FileKey(key_pem(self.machine.key).decode())
        given = nonce or self.machine.answer["nonce"]
        return signed_report(key, self.world.url, given, source=collector)

    def renew(self, *active: str) -> str:
        """Renew the session with a report; return what was wrong with it."""
        self.machine.take(self.machine.renew(posture=self.report(*active)))
        return str(self.machine.answer.get("posture_error", ""))


@pytest.fixture
def laptop(world: SignInWorld, tmp_path: Path, request: pytest.FixtureRequest) -> Laptop:
    (tmp_path / "root").mkdir()
    return Laptop(world, FixtureTree(tmp_path / "root"), request.node.name.replace("_", "-"))


def test_what_the_client_finds_out_is_what_it_is_judged_by(laptop: Laptop) -> None:
    laptop.enrolled()
    assert laptop.machine.ask(PODS).status == 403

    assert laptop.renew("nftables") == ""
    assert laptop.machine.ask(PODS).status == 200

    assert laptop.renew() == ""
    refused = laptop.machine.ask(PODS)
    assert refused.status == 403
    assert "firewall failed" in refused.message


def test_a_fact_that_turns_ends_the_watch_of_the_session(laptop: Laptop) -> None:
    laptop.enrolled().renew("nftables")
    world, machine = laptop.world, laptop.machine
    with RawClient(world.proxy.port, world.ca_file, certificate=machine.files()) as client:
        client.send(request("GET", f"{PODS}?watch=true", machine.token))
        assert client.head()[0] == 200

        laptop.renew()

        assert b"passed disk_encrypted and firewall" in client.to_end()
    changes = [one["details"].get("changed", "") for one in world.events("device.posture")]
    assert "firewall passed -> failed" in changes
    [event] = [one for one in world.events("device.posture") if "firewall passed" in str(one)][-1:]
    assert (event["by"], event["session"]) == ("self+key", machine.session)


def test_a_report_of_no_device_changes_nothing(laptop: Laptop) -> None:
    assert laptop.renew("nftables") == ""

    refused = laptop.machine.ask(PODS)
    assert refused.status == 403
    assert "enroll" in refused.message


def test_a_bad_report_costs_no_session_and_is_said(laptop: Laptop) -> None:
    laptop.enrolled()
    machine = laptop.machine
    used = machine.answer["nonce"]
    laptop.renew("nftables")

    again = laptop.report("nftables", nonce=used)
    machine.take(machine.renew(posture=again))
    assert "used before" in machine.answer["posture_error"]
    machine.take(machine.renew(posture="nonsense"))
    assert "not a signed JWT" in machine.answer["posture_error"]
    assert machine.ask(PODS).status == 200


def test_another_machine_with_the_same_key_is_an_alarm(laptop: Laptop) -> None:
    laptop.enrolled().renew("nftables")
    laptop.tree.write("/etc/machine-id", "f" * 32)

    laptop.renew("nftables")

    refused = laptop.machine.ask(PODS)
    assert refused.status == 403
    assert "is not known" in refused.message
    drifts = [one["details"].get("drift") for one in laptop.world.events("device.posture")]
    assert drifts[-1] == "machine"
    assert "kzproxy_posture_drifts_total 1.0" in laptop.world.proxy.ops("/metrics")[1]
