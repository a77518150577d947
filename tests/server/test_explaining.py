"""A process of its own explains a record; what goes wrong there is said and holds nothing up."""

import asyncio
import json
import sys
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from kzproxy.audit.records import Arrival, decision_record, recorded_caller, recorded_request
from kzproxy.audit.schema import DecisionRecord
from kzproxy.cli.command_group import group
from kzproxy.config.access_policy import load_access_policies
from kzproxy.config.mistakes import Mistakes
from kzproxy.policy.engine import PolicyEngine
from kzproxy.server.explaining import ExplainingProcess
from tests.policy.samples import WEDNESDAY_MORNING, asked

POLICY = """\
apiVersion: kzproxy.dev/v1
kind: AccessPolicy
metadata: {name: p}
networks: {office: ["203.0.113.0/24"]}
rules:
- id: pods
  effect: allow
  subjects: {groups: [dev]}
  match: [{verbs: [list], apiGroups: [""], resources: [pods]}]
  conditions: {networks: [office]}
- id: asked
  effect: allow
  subjects: {groups: [dev]}
  match: [{verbs: [list], apiGroups: [""], resources: [services]}]
  obligations: {reason: required}
"""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    return path


def recorded(policy: Path, target: str = "/api/v1/namespaces/prod/pods") -> DecisionRecord:
    mistakes = Mistakes()
    engine = PolicyEngine(load_access_policies([policy], mistakes))
    mistakes.raise_if_any()
    attributes = asked("GET", target)
    arrival = Arrival(
        audit_id="2b1c7c0e-6a64-4f3e-9c0b-7d0f5a1b2c3d",
        received_at=WEDNESDAY_MORNING,
        source_address=attributes.environment.source_address,
        source_port=1,
    )
    return decision_record(
        engine.decide(attributes),
        arrival,
        decided_at=WEDNESDAY_MORNING,
        caller=recorded_caller(attributes.subject, attributes.device, "s-1"),
        request=recorded_request(attributes.request, arrival),
    )


def test_it_says_what_the_command_says(policy: Path) -> None:
    record = recorded(policy)
    tree = asyncio.run(ExplainingProcess([policy]).tree(record, in_force="other"))

    at = WEDNESDAY_MORNING.isoformat()
    options = ["-p", str(policy), "--user", "ann", "--group", "dev", "--from", "192.0.2.7"]
    asking = ["policy", "explain", *options, "--at", at, "list", "pods", "-n", "prod"]
    as_json = CliRunner().invoke(group, [*asking, "-o", "json"])
    as_text = CliRunner().invoke(group, [*asking, "--all"])
    said = json.loads(bytes(tree.tree))
    assert said.pop("policyRevision") == record.policy_revision
    assert said.pop("text") == as_text.output.splitlines()
    assert said == json.loads(as_json.output)
    assert tree.explained_by == tree.decided_by == record.policy_revision
    assert (tree.in_force, tree.missing) == ("other", "")


def test_a_reason_that_was_asked_for_and_not_given_is_known_to_be_none(policy: Path) -> None:
    record = recorded(policy, "/api/v1/services")
    tree = asyncio.run(ExplainingProcess([policy]).tree(record, in_force="other"))
    assert "    [no ] obligation reason   <- not met" in json.loads(bytes(tree.tree))["text"]


def test_another_policy_is_named(policy: Path) -> None:
    record = recorded(policy)
    policy.write_text(POLICY.replace("203.0.113.0", "192.0.2.0"))
    tree = asyncio.run(ExplainingProcess([policy]).tree(record, in_force="now"))

    assert json.loads(bytes(tree.tree))["decision"] == "allow"
    assert tree.explained_by not in {tree.decided_by, ""}


def test_a_record_that_does_not_say_enough_has_no_tree(policy: Path) -> None:
    record = recorded(policy)
    user = msgspec.structs.replace(record.user, groups_omitted=1)
    without = msgspec.structs.replace(record, user=user)
    tree = asyncio.run(ExplainingProcess([policy]).tree(without, in_force="now"))

    assert bytes(tree.tree) == b"null"
    assert "groups were left out of the record" in tree.missing


def test_what_policy_was_not_asked_has_no_tree(policy: Path) -> None:
    record = msgspec.structs.replace(recorded(policy), policy_revision="")
    tree = asyncio.run(ExplainingProcess([policy]).tree(record, in_force="now"))
    assert tree.missing == "policy was not asked"


def test_files_with_mistakes_are_named(policy: Path) -> None:
    record = recorded(policy)
    policy.write_text("rules: {}\n")
    tree = asyncio.run(ExplainingProcess([policy]).tree(record, in_force="now"))
    assert str(policy) in tree.missing


def test_it_does_not_take_for_ever(policy: Path) -> None:
    explaining = ExplainingProcess([policy], timeout=timedelta(milliseconds=1))
    tree = asyncio.run(explaining.tree(recorded(policy), in_force="now"))
    assert tree.missing == "it took longer than 0.001 seconds"


def test_what_cannot_be_started_is_said(policy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(policy))
    tree = asyncio.run(ExplainingProcess([policy]).tree(recorded(policy), in_force="now"))
    assert "cannot be started: Permission denied" in tree.missing


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("prints", "timeout_seconds", "said"),
    [
        ("head -c 20000000 /dev/zero", 20, "the tree is over 8 MiB"),
        ("yes '' | head -c 20000000 >&2; exit 3", 20, "what explains it ended with 3"),
        ("exec cat /dev/zero >&2", 1, "it took longer than 1 seconds"),
    ],
)
async def test_what_prints_too_much_is_ended_and_keeps_nobody_waiting(
    policy: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    prints: str,
    timeout_seconds: int,
    said: str,
) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\n{prints}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    explaining = ExplainingProcess([policy], timeout=timedelta(seconds=timeout_seconds))
    async with asyncio.timeout(30):
        tree = await explaining.tree(recorded(policy), in_force="now")
    assert tree.missing == said
