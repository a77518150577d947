"""What users and administrators see of the state of a machine, by their own commands."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from kzproxy.client.posture.linux import CHECKS
from kzproxy.posture.checks import PATCH_AGE, PATCHED
from tests.proxy.enrolling_world import PREFIX, SessionWorld, session_world

RULES = [
    {
        "id": "administrators-administer",
        "effect": "allow",
        "subjects": {"groups": [f"{PREFIX}admins"]},
        "match": [{"verbs": ["*"], "nonResourceURLs": ["/kzproxy.dev/v1/*"]}],
    },
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SessionWorld]:
    devices = {"enrolment": {"approveGroups": [f"{PREFIX}operators"]}}
    with session_world(tmp_path_factory.mktemp("posture"), RULES, devices) as (world, _):
        yield world


def test_an_enrolled_machine_reports_by_itself_and_its_state_is_shown(
    world: SessionWorld, tmp_path: Path
) -> None:
    (tmp_path / "operator").mkdir()
    (tmp_path / "admin").mkdir()
    user = world.user("operator", tmp_path / "operator").set_up()
    admin = world.user("admin", tmp_path / "admin").set_up()
    assert user.runs("device", "enroll").returncode == 0

    shown = user.runs("device", "status")
    told = json.loads(user.runs("device", "status", "-o", "json").stdout)

    (device,) = told["devices"]
    expected = {PATCHED if name == PATCH_AGE else name for name in CHECKS}
    assert {check["name"] for check in device["posture"]["checks"]} == expected
    assert {check["source"] for check in device["posture"]["checks"]} == {"self+key"}
    for name in expected:
        assert f"    {name} " in shown.stdout
    by_admin = admin.runs("device", "show", device["id"], "-o", "json")
    assert json.loads(by_admin.stdout)["posture"]["checks"] == device["posture"]["checks"]
