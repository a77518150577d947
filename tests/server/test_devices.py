"""Devices as administrators and their users see them, on a running kzproxy."""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from kzproxy.clock.system import SystemClock
from kzproxy.devices.device_record import ApprovedBy, DeviceRecord, DeviceState, Owner, device_put
from kzproxy.devices.names import key_thumbprint
from kzproxy.store.sqlite import SqliteStore
from kzproxy.store.store import Put
from tests.proxy.issuer_thread import issuer_in_thread
from tests.proxy.process import running_proxy
from tests.proxy.raw_client import Answer, RawClient
from tests.proxy.shell import Shell
from tests.proxy.world import World, configuration, request
from tests.servers.authority import Authority, Issued
from tests.servers.scripted_api_server import Connection, json_answer, scripted_api_server

DEVICE, DEVICES = "/kzproxy.dev/v1/device", "/kzproxy.dev/v1/devices"
CONFIGMAPS = "/api/v1/namespaces/dev/configmaps"
MDM = Authority.root("MDM root")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("devices")
    authority = Authority.root()
    with (
        issuer_in_thread(directory, authority) as issuer,
        scripted_api_server(directory, authority) as api_server,
    ):
        api_server.script = endless_watches
        settings = configuration(directory, authority, issuer, api_server.upstream())
        with running_proxy(directory, with_devices(settings, directory, authority)) as proxy:
            yield World(directory, authority, issuer, proxy)


def endless_watches(connection: Connection, head: bytes) -> None:
    """Answer a watch with a head and no event; the client has to end it."""
    if b"watch=true" not in head:
        connection.send(json_answer(200, {"ok": True}))
        return
    head_of_many = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
    connection.send(head_of_many + b"transfer-encoding: chunked\r\n\r\n")


def with_devices(settings: dict[str, Any], directory: Path, authority: Authority) -> dict[str, Any]:
    made = subprocess.run(
        [sys.executable, "-m", "kzproxy", "store", "new-key"], capture_output=True, check=True
    )
    (directory / "store.keys").write_bytes(made.stdout)
    authority.issued.write_to(directory, "device-ca")
    (directory / "mdm.crt").write_bytes(MDM.pem)
    (directory / "idp.secret").write_text("a secret")
    authentication = yaml.safe_load((directory / "authentication.yaml").read_text())
    issuer = authentication["jwt"][0]["issuer"]["url"]
    provider = {"issuer": issuer, "clientID": "kz", "clientSecretFile": "idp.secret"}
    settings["signIn"] = {
        "address": "127.0.0.1:0",
        "url": "https://localhost:8444",
        "providers": [provider],
    }
    settings["store"] = {"file": "kept.db", "keysFile": "store.keys"}
    settings["devices"] = {
        "certificateAuthorityFile": "ca.crt",
        "managedAuthorityFile": "mdm.crt",
        "issuing": {"certificateFile": "ca.crt", "privateKeyFile": "device-ca.key"},
    }
    return settings


def record(issued: Issued, device_id: str, user: str, **fields: Any) -> DeviceRecord:
    now = datetime.now(UTC)
    known: dict[str, Any] = {
        "state": DeviceState.APPROVED,
        "approved_how": ApprovedBy.ADMINISTRATOR,
    }
    return DeviceRecord(
        id=device_id,
        key_thumbprint=key_thumbprint(issued.key.public_key()),
        owner=Owner(issuer="i", subject=user, username=f"t:{user}"),
        name="a laptop",
        enrolled_at=now,
        **known | fields,
    )


def write(world: World, *writes: Put) -> None:
    """Write to the store as another worker does."""

    async def written() -> None:
        store = SqliteStore.open(world.directory / "kept.db", SystemClock())
        await store.write(*writes)
        await store.close()

    asyncio.run(written())


def keep(world: World, *records: DeviceRecord) -> None:
    write(world, *(device_put(one) for one in records))
    deadline = time.monotonic() + 10
    while ask(world, "GET", f"{DEVICES}/{records[-1].id}").status != 200:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def enrolled(world: World, device_id: str, user: str) -> tuple[Path, Path]:
    """Enrol a device; return its certificate and key."""
    issued = world.authority.device(device_id)
    keep(world, record(issued, device_id, user))
    return issued.write_to(world.directory, f"device-{device_id}")


def ask(world: World, method: str, target: str, *groups: str, body: Any = None) -> Answer:
    with world.client() as client:
        content = b"" if body is None else json.dumps(body).encode()
        headers = ("Content-Type: application/json",) if method == "POST" else ()
        if method == "POST" and not content:
            headers += ("Content-Length: 0",)
        token = world.token("root", *(groups or ("testers",)))
        return client.ask(request(method, target, token, *headers, body=content))


def configmaps(world: World, files: tuple[Path, Path], user: str) -> Answer:
    with world.client(certificate=files) as client:
        return client.ask(request("GET", CONFIGMAPS, world.token(user, "enrolled")))


def test_devices_are_shown_to_whom_policy_permits_alone(world: World) -> None:
    enrolled(world, "d1", "alice")
    assert ask(world, "GET", DEVICES, "readers").status == 403
    shown = {one["id"]: one for one in ask(world, "GET", DEVICES).json["devices"]}
    assert (shown["d1"]["user"], shown["d1"]["state"]) == ("t:alice", "approved")
    assert ask(world, "GET", f"{DEVICES}?user=t%3Anobody").json == {"devices": []}
    assert "d1" in {
        one["id"] for one in ask(world, "GET", f"{DEVICES}?state=approved").json["devices"]
    }


def test_a_device_is_approved_and_is_one(world: World) -> None:
    issued = world.authority.device("d2")
    keep(world, record(issued, "d2", "bob", state=DeviceState.PENDING, approved_how=None))
    files = issued.write_to(world.directory, "device-d2")
    refused = configmaps(world, files, "bob")
    assert refused.status == 403
    assert "kzproxy device approve d2" in refused.message
    approved = ask(world, "POST", f"{DEVICES}/d2/approve")
    assert (approved.status, approved.json["approvedBy"]) == (200, "t:root")
    assert configmaps(world, files, "bob").status == 200


def test_a_certificate_of_a_device_that_nobody_enrolled_is_none(world: World) -> None:
    refused = configmaps(world, world.device("stranger"), "carol")
    assert refused.status == 403
    assert "not enrolled" in refused.message


def test_a_forgotten_device_is_none(world: World) -> None:
    files = enrolled(world, "d3", "dora")
    assert configmaps(world, files, "dora").status == 200
    assert ask(world, "DELETE", f"{DEVICES}/d3").status == 200
    assert ask(world, "GET", f"{DEVICES}/d3").status == 404
    assert configmaps(world, files, "dora").status == 403


def test_a_device_of_the_mdm_is_one_until_it_is_blocked(world: World) -> None:
    files = MDM.issue(common_names=["C02XL0"]).write_to(world.directory, "managed")
    assert configmaps(world, files, "emil").status == 200
    assert ask(world, "POST", f"{DEVICES}/C02XL0/block", body={"reason": "lost"}).status == 200
    refused = configmaps(world, files, "emil")
    assert refused.status == 403
    assert "was blocked by t:root: lost" in refused.message
    assert ask(world, "POST", f"{DEVICES}/C02XL0/unblock").status == 200
    assert configmaps(world, files, "emil").status == 200


@contextlib.contextmanager
def watching(world: World, files: tuple[Path, Path] | None, user: str) -> Iterator[RawClient]:
    """Open a watch of somebody whom policy permits it with or without a device."""
    with world.client(certificate=files) as client:
        target = "/api/v1/namespaces/dev/pods?watch=true"
        client.send(request("GET", target, world.token(user, "readers")))
        assert client.head()[0] == 200
        yield client


def test_a_blocked_devices_watch_ends_at_once_and_no_others(world: World) -> None:
    mine, other = enrolled(world, "d4", "fay"), enrolled(world, "d5", "gus")
    with watching(world, mine, "fay") as cut, watching(world, other, "gus") as neighbour:
        answered = ask(world, "POST", f"{DEVICES}/d4/block", body={"reason": "stolen"})
        assert answered.status == 200
        assert b"stolen" in cut.to_end()
        assert neighbour.is_quiet()
    with world.client(certificate=mine) as client:
        refused = client.ask(request("GET", "/api/v1/pods", world.token("fay", "testers")))
    assert refused.status == 403
    assert "stolen" in refused.message
    events = [one for one in world.proxy.records() if one.get("event") == "device.blocked"]
    blocked = next(one for one in events if one["device"]["id"] == "d4")
    assert (blocked["by"], blocked["audit_id"]) == ("t:root", answered.audit_id)


def test_a_block_reaches_every_worker(world: World, tmp_path: Path) -> None:
    with scripted_api_server(tmp_path, world.authority) as api_server:
        api_server.script = endless_watches
        settings = configuration(tmp_path, world.authority, world.issuer, api_server.upstream())
        with_devices(settings, tmp_path, world.authority)
        with running_proxy(tmp_path, settings, "--workers", "2") as proxy:
            workers = World(tmp_path, world.authority, world.issuer, proxy)
            files = enrolled(workers, "d9", "zoe")
            with contextlib.ExitStack() as stack:
                # The kernel gives each connection to one of the two: all to one, once in 512 times.
                watches = [stack.enter_context(watching(workers, files, "zoe")) for _ in range(10)]
                assert ask(workers, "POST", f"{DEVICES}/d9/block", body={}).status == 200
                assert all(b"was blocked" in watch.to_end() for watch in watches)


def test_who_asks_is_shown_their_own_devices(world: World) -> None:
    files = enrolled(world, "d6", "hal")
    with world.client(certificate=files) as client:
        shown = client.ask(request("GET", DEVICE, world.token("hal", "nobody"))).json
    assert shown["presented"]["id"] == "d6"
    assert shown["presented"]["enrolled"] == "passed"
    assert shown["devices"] == []  # the registry has it of another issuer's hal
    refused = ask(world, "GET", f"{DEVICE}/d6")
    assert refused.status == 404


def test_a_token_is_made_for_whom_policy_permits(world: World) -> None:
    made = ask(world, "POST", f"{DEVICES}/tokens", body={"forUser": "t:ida", "seconds": 60})
    assert made.json["token"].startswith("kze_")
    assert made.json["forUser"] == "t:ida"
    assert ask(world, "POST", f"{DEVICES}/tokens", "readers", body={}).status == 403
    log = world.proxy.decision_log.read_text()
    assert made.json["token"] not in log
    assert "device.token-made" in log


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("DELETE", "", None, 404),
        ("GET", "/none", None, 404),
        ("GET", "?colour=red", None, 400),
        ("GET", "?state=odd", None, 400),
        ("GET", "?user=a&user=b", None, 400),
        ("GET", "/a%20b", None, 404),
        ("POST", "", {}, 404),
        ("POST", "/none/approve", {}, 404),
        ("POST", "/none/promote", {}, 404),
        ("POST", "/d1/approve", {"by": "me"}, 400),
        ("POST", "/d1/approve?x=y", {}, 400),
        ("POST", "/d1/block", {"reason": "\x1b[2J"}, 400),
        ("POST", "/d1/block", {"reason": "x" * 201}, 400),
        ("POST", "/tokens", {"seconds": 0}, 400),
        ("POST", "/tokens", {"seconds": 10**9}, 400),
        ("PUT", "/d1", None, 405),
    ],
)
def test_what_is_not_clear_changes_nothing(
    world: World, method: str, path: str, body: Any, status: int
) -> None:
    enrolled(world, "d1", "alice")
    assert ask(world, method, DEVICES + path, body=body).status == status
    assert ask(world, "GET", f"{DEVICES}/d1").json["state"] == "approved"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"issuing": {"certificateFile": "tls.crt", "privateKeyFile": "tls.key"}}, "CA:TRUE"),
        ({"issuing": {"certificateFile": "mdm.crt", "privateKeyFile": "mdm.key"}}, "must lead to"),
        ({"issuing": {"certificateFile": "ca.crt", "privateKeyFile": "tls.key"}}, "not that of"),
        ({"managedAuthorityFile": "ca.crt"}, "in both"),
    ],
)
def test_an_authority_that_cannot_issue_is_said(
    world: World, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    settings = configuration(tmp_path, world.authority, world.issuer, {"inCluster": {}})
    with_devices(settings, tmp_path, world.authority)
    MDM.issued.write_to(tmp_path, "mdm-ca")
    (tmp_path / "mdm.key").write_bytes(MDM.issued.key_pem)
    settings["devices"] |= change
    settings["listen"]["address"] = "127.0.0.1:0"
    settings["upstream"] = {"server": {"url": "https://127.0.0.1:1", "tokenFile": "store.keys"}}
    file = tmp_path / "kzproxy.yaml"
    file.write_text(json.dumps(settings))
    command = [sys.executable, "-m", "kzproxy", "serve", "--config", str(file)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert ended.returncode == 2
    assert said in ended.stderr


@pytest.fixture
def shell(world: World, tmp_path: Path) -> Shell:
    return Shell(world, tmp_path, world.token("root", "testers"))


def ran(shell: Shell, *arguments: str) -> str:
    done = shell.runs("device", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_administrators_have_commands(world: World, shell: Shell) -> None:
    issued = world.authority.device("d7")
    pending = {"state": DeviceState.PENDING, "approved_how": None}
    keep(world, record(issued, "d7", "jo", platform="linux", **pending))
    listed = ran(shell, "list", "--state", "pending")
    assert listed.split("\n")[0].split()[:4] == ["ID", "NAME", "USER", "STATE"]
    assert "d7" in listed
    assert "t:jo" in listed
    assert (
        json.loads(ran(shell, "list", "-o", "json", "--user", "t:jo"))["devices"][0]["id"] == "d7"
    )
    assert ran(shell, "approve", "d7").startswith("d7: approved\n")
    assert "by t:root: lost" in ran(shell, "block", "d7", "--reason", "lost")
    assert ran(shell, "show", "d7").startswith("d7: blocked\n")
    assert ran(shell, "unblock", "d7").startswith("d7: approved\n")
    assert json.loads(ran(shell, "show", "d7", "-o", "json"))["approvedBy"] == "t:root"
    assert ran(shell, "forget", "d7", "--yes") == "forgot d7\n"
    assert ran(shell, "list", "--user", "t:jo") == "There is no such device.\n"
    gone = shell.runs("device", "show", "d7")
    assert gone.returncode == 1
    assert "there is no device d7" in gone.stderr


def test_a_devices_id_is_completed(world: World, shell: Shell, tmp_path: Path) -> None:
    enrolled(world, "completed-1", "ole")
    words = {"_KZPROXY_COMPLETE": "bash_complete", "COMP_CWORD": "3"}
    done = shell.runs(**words, COMP_WORDS="kzproxy device show comp")
    assert done.stdout == "plain,completed-1\n"
    stranger = Shell(world, tmp_path, world.token("pat", "readers"))
    nothing = stranger.runs(**words, COMP_WORDS="kzproxy device show comp")
    assert (nothing.stdout.strip(), nothing.stderr) == ("", "")


def test_nothing_is_forgotten_unasked(world: World, shell: Shell) -> None:
    enrolled(world, "d8", "kim")
    refused = shell.runs("device", "forget", "d8")  # nobody answers
    assert refused.returncode == 1
    assert "Forget this device?" in refused.stderr
    assert ran(shell, "show", "d8").startswith("d8: approved\n")


def test_a_token_is_the_only_line_on_standard_output(shell: Shell) -> None:
    done = shell.runs("device", "token", "--user", "t:lea", "--for", "2h")
    assert done.stdout.startswith("kze_")
    assert len(done.stdout.splitlines()) == 1
    assert "good until" in done.stderr
    refused = shell.runs("device", "token", "--for", "31d")
    assert refused.returncode == 1
    assert "a one-time token is good for" in refused.stderr


def test_a_machine_without_a_certificate_is_told_so(shell: Shell) -> None:
    done = shell.runs("device", "status")
    assert done.returncode == 1
    assert done.stdout.startswith("This machine is no device: no device certificate was presented")


def test_a_context_of_an_issuer_cannot_enroll(shell: Shell) -> None:
    done = shell.runs("device", "enroll")
    assert done.returncode == 1
    assert "`kzproxy kubeconfig --sign-in-url`" in done.stderr
