"""What users and administrators see of the state of a machine, by their own commands."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from kzproxy.client.posture.linux import CHECKS
from kzproxy.posture.checks import PATCH_AGE, PATCHED
from tests.proxy.demo_shell import DemoShell
from tests.proxy.sign_in_world import SignInWorld, running_sign_in_world
from tests.servers.authority import Authority
from tests.servers.scripted_api_server import scripted_api_server


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignInWorld]:
    directory, authority = tmp_path_factory.mktemp("shell"), Authority.root()
    devices = {
        "certificateAuthorityFile": "device-ca.crt",
        "issuing": {"certificateFile": "issuing.crt", "privateKeyFile": "issuing.key"},
        "enrolment": {"approveGroups": ["idp:guests"]},
    }
    with (
        scripted_api_server(directory, authority) as api_server,
        running_sign_in_world(
            directory, authority, api_server.upstream(), devices=devices
        ) as world,
    ):
        yield world


def test_an_enrolled_machine_reports_by_itself_and_its_state_is_shown(
    world: SignInWorld, tmp_path: Path
) -> None:
    user = DemoShell(world, "guest", tmp_path / "guest").set_up()
    admin = DemoShell(world, "operator", tmp_path / "operator").set_up()
    enrolled = user.runs("device", "enroll")
    assert enrolled.returncode == 0, enrolled.stderr

    shown = user.runs("device", "status")
    told = json.loads(user.runs("device", "status", "-o", "json").stdout)

    (device,) = told["devices"]
    checks = {check["name"]: check for check in device["posture"]["checks"]}
    # What was not found out in time is left out; files are, however busy this machine is.
    assert checks.keys() <= {PATCHED if name == PATCH_AGE else name for name in CHECKS}
    assert {"disk_encrypted", "managed", "patched"} <= checks.keys()
    assert {check["source"] for check in checks.values()} == {"self+key"}
    for name in checks:
        assert f"    {name} " in shown.stdout
    by_admin = admin.runs("device", "show", device["id"], "-o", "json")
    assert json.loads(by_admin.stdout)["posture"] == device["posture"]
