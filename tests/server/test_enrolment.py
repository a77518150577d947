"""A machine becomes a device by the user's own commands: sign-in, enrolment, approval, block."""

import concurrent.futures
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.proxy.demo_shell import DemoShell
from tests.proxy.sign_in_world import SignInWorld, running_sign_in_world
from tests.servers.authority import Authority
from tests.servers.scripted_api_server import scripted_api_server

PREFIX = "idp:"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignInWorld]:
    directory, authority = tmp_path_factory.mktemp("enrolment"), Authority.root()
    devices = {
        "certificateAuthorityFile": "device-ca.crt",
        "issuing": {"certificateFile": "issuing.crt", "privateKeyFile": "issuing.key"},
        "enrolment": {"approveGroups": [f"{PREFIX}guests"], "perUser": 2},
    }
    with (
        scripted_api_server(directory, authority) as api_server,
        running_sign_in_world(
            directory, authority, api_server.upstream(), devices=devices
        ) as world,
    ):
        yield world


def at(world: SignInWorld, name: str, place: Path) -> DemoShell:
    """Return somebody at a machine of their own."""
    return DemoShell(world, name, place).set_up()


@pytest.fixture
def admin(world: SignInWorld, tmp_path: Path) -> DemoShell:
    return at(world, "operator", tmp_path / "admin")


def told(done: "subprocess.CompletedProcess[str]", code: int = 0) -> str:
    assert done.returncode == code, done.stderr
    return done.stdout


def as_json(done: "subprocess.CompletedProcess[str]", code: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(told(done, code))
    return found


def forget(admin: DemoShell, device_id: str) -> None:
    told(admin.runs("device", "forget", device_id, "--yes"))


def test_a_user_enrolls_and_an_administrator_approves(
    world: SignInWorld, tmp_path: Path, admin: DemoShell
) -> None:
    user = at(world, "developer", tmp_path / "dev")
    first = user.runs("device", "enroll", "--name", "a laptop", "--serial", "S1")
    assert "awaits approval" in told(first, 1)
    pending = as_json(user.runs("device", "status", "-o", "json"), 1)
    assert pending["presented"]["enrolled"] == "unknown"
    (device,) = pending["devices"]
    assert f"kzproxy device approve {device['id']}" in pending["presented"]["reason"]
    assert device["id"] in told(admin.runs("device", "list", "--state", "pending"))
    assert "approved" in told(admin.runs("device", "approve", device["id"]))
    again = told(user.runs("device", "enroll"))
    assert f"This machine is device {device['id']}: an administrator approved it." in again
    status = as_json(user.runs("device", "status", "-o", "json"))
    assert status["presented"] | {"expiresAt": ""} == {
        "enrolled": "passed",
        "id": device["id"],
        "state": "approved",
        "managed": "unknown",
        "expiresAt": "",
    }
    (session,) = as_json(admin.runs("sessions", "list", "--device", device["id"], "-o", "json"))[
        "sessions"
    ]
    assert session["user"] == f"{PREFIX}developer"
    forget(admin, device["id"])


def test_policy_approves_at_once_and_a_block_ends_it(
    world: SignInWorld, tmp_path: Path, admin: DemoShell
) -> None:
    user = at(world, "guest", tmp_path / "guest")
    device = as_json(user.runs("device", "enroll", "-o", "json"))
    assert (device["state"], device["how"]) == ("approved", "policy")
    assert "This machine is device" in told(user.runs("device", "status"))
    told(admin.runs("device", "block", device["id"], "--reason", "reported stolen"))
    for command in (("device", "status"), ("device", "enroll"), ("login",)):
        refused = user.runs(*command)
        assert refused.returncode == 1, command
        assert "reported stolen" in refused.stderr, command
    told(admin.runs("device", "unblock", device["id"]))
    told(user.runs("login"))
    assert device["id"] in told(user.runs("device", "status"))
    forget(admin, device["id"])
    assert "is not enrolled" in told(user.runs("device", "status"), 1)


def test_a_token_enrolls_a_machine_before_anybody_signs_in(
    world: SignInWorld, tmp_path: Path, admin: DemoShell
) -> None:
    token = told(admin.runs("device", "token", "--user", f"{PREFIX}admin")).strip()
    user = at(world, "admin", tmp_path / "first")
    done = told(user.runs("device", "enroll", KZPROXY_ENROLMENT_TOKEN=token))
    assert "the one-time token approved it" in done
    assert "`kzproxy login`" in done
    told(user.runs("login"))
    status = as_json(user.runs("device", "status", "-o", "json"))
    assert status["presented"]["enrolled"] == "passed"
    other = at(world, "admin", tmp_path / "another")
    used = other.runs("device", "enroll", KZPROXY_ENROLMENT_TOKEN=token)
    assert used.returncode == 1
    assert "one-time token is not good" in used.stderr
    forget(admin, status["presented"]["id"])


def test_a_user_can_wait_for_approval(world: SignInWorld, tmp_path: Path, admin: DemoShell) -> None:
    user = at(world, "developer", tmp_path / "dev")
    with concurrent.futures.ThreadPoolExecutor() as threads:
        waiting = threads.submit(user.runs, "device", "enroll", "--wait", "-o", "json")
        device_id = pending(admin, f"{PREFIX}developer")
        told(admin.runs("device", "approve", device_id))
        done = waiting.result(60)
    assert as_json(done)["id"] == device_id
    assert done.stderr.splitlines()[-1] == (
        f"kzproxy: waiting until device {device_id} is approved"
    )
    forget(admin, device_id)


def pending(admin: DemoShell, user: str) -> str:
    """Return the id of a user's device that awaits approval, as soon as there is one."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        listed = admin.runs("device", "list", "--state", "pending", "--user", user, "-o", "json")
        if devices := as_json(listed)["devices"]:
            return str(devices[0]["id"])
    raise AssertionError(user)


def test_nobody_waits_for_ever(world: SignInWorld, tmp_path: Path, admin: DemoShell) -> None:
    user = at(world, "developer", tmp_path / "dev")
    done = user.runs("device", "enroll", "--wait", "--wait-for", "1s")
    assert done.returncode == 1
    assert "is not approved yet" in done.stderr
    forget(admin, pending(admin, f"{PREFIX}developer"))


def test_what_was_done_is_in_the_log(world: SignInWorld) -> None:
    events = [record for record in world.proxy.records() if record["kind"] == "event"]
    names = {event["event"] for event in events}
    assert names >= {
        "device.enrolled",
        "device.approved",
        "device.certificate-issued",
        "device.blocked",
        "device.unblocked",
        "device.forgotten",
        "device.token-made",
    }
    assert "kze_" not in world.proxy.decision_log.read_text()
