"""Decisions of a log, taken again."""

import json
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given, settings
from msgspec.structs import replace

from kzproxy.attributes.api_object import ApiObject
from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import NO_DEVICE
from kzproxy.attributes.environment import Place
from kzproxy.audit.chain import GENESIS, seal
from kzproxy.audit.records import (
    Arrival,
    decision_record,
    own_record,
    recorded_caller,
    recorded_request,
)
from kzproxy.audit.replayable import NotReplayable, attributes_of, check_replayed
from kzproxy.audit.schema import DecisionRecord
from kzproxy.audit.visible import MAX_ITEMS
from kzproxy.cli.policy_replay import command
from kzproxy.config.access_policy import load_access_policies
from kzproxy.config.document import Mistakes
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.rules import Rule
from kzproxy.policy_tools.replay import Replayed
from tests.policy.samples import ENROLLED, WEDNESDAY_MORNING, asked, subject
from tests.policy.small_world import engine_of as engine_of_small_world
from tests.policy.small_world import narrow_policies, policies, requests

POLICY: dict[str, Any] = {
    "apiVersion": "kzproxy.dev/v1",
    "kind": "AccessPolicy",
    "metadata": {"name": "test"},
    "networks": {"office": ["203.0.113.0/24"]},
    "calendars": {
        "hours": {
            "timeZone": "Europe/Prague",
            "weekly": [{"days": ["Wed"], "from": "07:00", "to": "20:00"}],
        }
    },
    "rules": [
        {
            "id": "devs",
            "effect": "allow",
            "subjects": {"groups": ["dev"]},
            "match": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "conditions": {"time": ["hours"], "device": {"enrolled": True}},
        },
        {
            "id": "office",
            "effect": "allow",
            "subjects": {"groups": ["ops"]},
            "match": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "conditions": {"networks": ["office"], "authentication": {"maxAge": "1h"}},
        },
        {
            "id": "labelled",
            "effect": "allow",
            "subjects": {"groups": ["guests"]},
            "match": [
                {
                    "verbs": ["*"],
                    "apiGroups": ["*"],
                    "resources": ["*"],
                    "namespaceSelector": {"matchLabels": {"open": "yes"}},
                }
            ],
        },
        {
            "id": "no-privileged",
            "effect": "deny",
            "subjects": {"groups": ["ops"]},
            "match": [{"verbs": ["create"], "apiGroups": ["apps"], "resources": ["deployments"]}],
            "needs": ["object"],
            "conditions": {"object": {"privileged": True}},
        },
        {
            "id": "no-secrets",
            "effect": "deny",
            "subjects": {"groups": ["system:authenticated"]},
            "match": [{"verbs": ["*"], "apiGroups": [""], "resources": ["secrets"]}],
        },
    ],
}
TARGETS = (
    ("GET", "/api/v1/namespaces/a/pods/p"),
    ("GET", "/api/v1/pods?limit=500&labelSelector=a%3Db"),
    ("DELETE", "/api/v1/namespaces/a/secrets/s"),
    ("POST", "/apis/apps/v1/namespaces/a/deployments"),
    ("GET", "/api/v1/namespaces/a/pods/p/exec?command=sh&command=-c&command=secret+words"),
)


def engine_of(directory: Path, policy: dict[str, Any]) -> PolicyEngine:
    file = directory / f"{len(list(directory.iterdir()))}.yaml"
    file.write_text(yaml.safe_dump(policy))
    mistakes = Mistakes()
    policies = load_access_policies([file], mistakes)
    mistakes.raise_if_any()
    return PolicyEngine(policies)


def some(choose: random.Random) -> Attributes:
    method, target = choose.choice(TARGETS)
    at = WEDNESDAY_MORNING + timedelta(hours=choose.randrange(0, 100))
    who = replace(
        subject(choose.choice("abcd"), choose.choice(["dev", "ops", "dev ops", "guests"])),
        authenticated_at=choose.choice([None, at - timedelta(minutes=choose.randrange(120))]),
    )
    place = choose.choice(["203.0.113.5", "192.0.2.1"])
    device = choose.choice([ENROLLED, NO_DEVICE])
    attributes = asked(method, target, who=who, at=at, come_from=place, device=device)
    return replace(
        attributes,
        namespace_labels=choose.choice([None, (), (("a", "b"), ("open", "yes"))]),
        api_object=choose.choice(
            [None, ApiObject(privileged=True, images=("a:1",)), ApiObject(labels=(("a", "b"),))]
        ),
    )


def record_of(engine: PolicyEngine, attributes: Attributes, number: int) -> DecisionRecord:
    environment = attributes.environment
    arrival = Arrival(
        audit_id=f"a-{number}",
        received_at=environment.received_at,
        source_address=environment.source_address,
        place=Place(country=environment.country, asn=environment.asn),
        source_port=1,
        method=attributes.request.method,
        target=attributes.request.target,
        user_agent=environment.user_agent,
    )
    return decision_record(
        engine.decide(attributes),
        arrival,
        decided_at=environment.received_at,
        caller=recorded_caller(attributes.subject, attributes.device, "s"),
        request=recorded_request(attributes.request, arrival),
    )


def test_a_hundred_thousand_decisions_come_out_the_same_by_the_same_policy(tmp_path: Path) -> None:
    engine, choose, replayed = engine_of(tmp_path, POLICY), random.Random(7), Replayed()
    decided = set()
    for number in range(100_000):
        record = record_of(engine, some(choose), number)
        decided.add(record.decision)
        replayed.take(engine, record)

    assert len(decided) == 3
    assert replayed.flips == {}
    assert (replayed.judged, replayed.left_out) == (100_000, {})


@pytest.mark.parametrize("changed", range(len(POLICY["rules"])))
def test_a_rule_that_is_gone_flips_exactly_what_hung_on_it(tmp_path: Path, changed: int) -> None:
    old = engine_of(tmp_path, POLICY)
    rules = [rule for number, rule in enumerate(POLICY["rules"]) if number != changed]
    new = engine_of(tmp_path, POLICY | {"rules": rules})
    choose, replayed, flipped = random.Random(changed), Replayed(), 0
    for number in range(3000):
        attributes = some(choose)
        replayed.take(new, record_of(old, attributes, number))
        flipped += type(old.decide(attributes)) is not type(new.decide(attributes))

    assert sum(replayed.flips.values()) == flipped > 0
    gone = POLICY["rules"][changed]["id"]
    assert {flip.old_rule for flip in replayed.flips} == {gone}


MUTATIONS: dict[str, dict[str, Any]] = {
    "other groups": {"subjects": {"groups": ["guests", "ops"]}},
    "other verbs": {"match": [{"verbs": ["get"], "apiGroups": ["*"], "resources": ["*"]}]},
    "one resource": {"match": [{"verbs": ["*"], "apiGroups": [""], "resources": ["pods"]}]},
    "no conditions": {"conditions": {}, "needs": []},
    "the other effect": {"effect": None, "conditions": {}, "needs": []},
}


@pytest.mark.parametrize("mutation", MUTATIONS)
@pytest.mark.parametrize("changed", range(len(POLICY["rules"])))
def test_a_mutated_rule_flips_exactly_what_two_engines_judge_otherwise(
    tmp_path: Path, changed: int, mutation: str
) -> None:
    rules = list(POLICY["rules"])
    rule = rules[changed] | MUTATIONS[mutation]
    if rule["effect"] is None:
        rule["effect"] = "deny" if rules[changed]["effect"] == "allow" else "allow"
    rules[changed] = {key: each for key, each in rule.items() if each not in ({}, [])}
    old, new = engine_of(tmp_path, POLICY), engine_of(tmp_path, POLICY | {"rules": rules})
    choose, replayed, flipped = random.Random(changed), Replayed(), []
    for number in range(500):
        attributes = some(choose)
        before = replayed.judged
        replayed.take(new, record_of(old, attributes, number))
        if replayed.judged > before and (
            type(old.decide(attributes)) is not type(new.decide(attributes))
        ):
            flipped.append(attributes.subject.username)

    assert sum(replayed.flips.values()) == len(flipped)
    assert {flip.user for flip in replayed.flips} == set(flipped)


def test_what_is_not_in_the_log_is_left_out_and_counted(tmp_path: Path) -> None:
    old = engine_of(tmp_path, POLICY)
    shells = POLICY["rules"][0] | {"conditions": {"request": {"commands": ["sh -c ls"]}}}
    new = engine_of(tmp_path, POLICY | {"rules": [shells]})
    replayed = Replayed()
    replayed.take(new, record_of(old, asked(*TARGETS[4], device=ENROLLED), 1))

    assert replayed.judged == 0
    assert replayed.left_out == {"what the request carries beside its target is not in the log": 1}


def test_what_kzproxy_answered_itself_is_no_decision_of_policy(tmp_path: Path) -> None:
    attributes = asked("GET", "/kzproxy.dev/v1/session")
    arrival = Arrival(
        audit_id="a-1",
        received_at=attributes.environment.received_at,
        source_address=attributes.environment.source_address,
        source_port=1,
        method="GET",
        target=attributes.request.target,
    )
    record = own_record(
        "shows the session",
        arrival,
        decided_at=arrival.received_at,
        caller=recorded_caller(attributes.subject, attributes.device, "s"),
        request=recorded_request(attributes.request, arrival),
    )
    replayed = Replayed()
    replayed.take(engine_of(tmp_path, POLICY), record)

    assert replayed.flips == {}
    why = "kzproxy's own endpoint answered it, and policy was not asked"
    assert (replayed.judged, replayed.left_out) == (0, {why: 1})


def test_facts_that_nobody_asked_for_are_left_out_and_counted(tmp_path: Path) -> None:
    plain = {key: each for key, each in POLICY["rules"][0].items() if key != "conditions"}
    old = engine_of(tmp_path, POLICY | {"rules": [plain]})
    labelled = POLICY["rules"][2] | {"subjects": {"groups": ["dev"]}}
    guarded = POLICY["rules"][3] | {"subjects": {"groups": ["dev"]}}
    for rule, target, why in (
        (labelled, TARGETS[0], "the labels of the namespace are not in the log"),
        (guarded, TARGETS[3], "what the object of the request was like is not in the log"),
    ):
        replayed = Replayed()
        new = engine_of(tmp_path, POLICY | {"rules": [plain, rule]})
        replayed.take(new, record_of(old, asked(*target), 1))
        assert (replayed.judged, replayed.left_out) == (0, {why: 1})


def test_where_an_address_was_is_taken_from_the_log_and_never_guessed(tmp_path: Path) -> None:
    plain = {key: each for key, each in POLICY["rules"][0].items() if key != "conditions"}
    old = engine_of(tmp_path, POLICY | {"rules": [plain]})
    new = engine_of(tmp_path, POLICY | {"rules": [plain | {"conditions": {"countries": ["DE"]}}]})
    question = asked(*TARGETS[0])
    there = replace(question, environment=replace(question.environment, country="AT"))

    unknown, known = Replayed(), Replayed()
    unknown.take(new, record_of(old, question, 1))
    known.take(new, record_of(old, there, 2))

    why = "what country the address was in is not in the log"
    assert (unknown.judged, unknown.left_out) == (0, {why: 1})
    assert (known.judged, sum(known.flips.values())) == (1, 1)


def test_labels_that_were_left_out_of_a_record_are_not_guessed(tmp_path: Path) -> None:
    many = tuple((f"k{number:05}", "v") for number in range(MAX_ITEMS + 1))
    who = subject("a", "guests")
    attributes = replace(asked(*TARGETS[0], who=who), namespace_labels=many)
    record = record_of(engine_of(tmp_path, POLICY), attributes, 1)
    assert record.namespace is not None
    assert (len(record.namespace.labels), record.namespace.labels_omitted) == (MAX_ITEMS, 1)
    with pytest.raises(NotReplayable):
        attributes_of(record)


def test_a_text_that_was_cut_is_not_guessed(tmp_path: Path) -> None:
    long = replace(subject("x" * 3000), groups=("dev",))
    record = record_of(engine_of(tmp_path, POLICY), asked(*TARGETS[0], who=long), 1)

    with pytest.raises(NotReplayable):
        attributes_of(record)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    (tmp_path / "old").mkdir()
    engine, choose = engine_of(tmp_path / "old", POLICY), random.Random(3)
    records = [record_of(engine, some(choose), number) for number in range(200)]
    lines, _ = seal(GENESIS, "0", [msgspec.json.encode(r) for r in records])
    file = tmp_path / "decisions.jsonl"
    file.write_bytes(b"".join(lines))
    return file


def test_the_command_says_what_would_change_for_whom(tmp_path: Path, log: Path) -> None:
    same, other = tmp_path / "same.yaml", tmp_path / "other.yaml"
    same.write_text(yaml.safe_dump(POLICY))
    other.write_text(yaml.safe_dump(POLICY | {"rules": POLICY["rules"][1:]}))
    run = CliRunner().invoke
    kept = run(command, ["--log", str(log), "--policy", str(same)])
    lost = run(command, ["--log", str(log), "--policy", str(other), "-o", "json"])

    assert (kept.exit_code, kept.output) == (0, "200 decisions: 0 would come out otherwise\n")
    assert lost.exit_code == 1
    flips = json.loads(lost.output)["flips"]
    assert flips
    assert {(flip["was"], flip["becomes"], flip["old_rule"]) for flip in flips} == {
        ("permit", "deny", "devs")
    }


def test_a_file_that_is_no_log_is_said_with_its_line(tmp_path: Path, log: Path) -> None:
    policy = tmp_path / "same.yaml"
    policy.write_text(yaml.safe_dump(POLICY))
    log.write_bytes(log.read_bytes() + b"nonsense\n")
    done = CliRunner().invoke(command, ["--log", str(log), "--policy", str(policy)])

    assert done.exit_code == 2
    assert "decisions.jsonl:201: is no record of a decision log" in done.output


@settings(max_examples=50)
@given(
    taken_by=policies | narrow_policies(),
    other=policies | narrow_policies(),
    judged=requests(),
)
def test_another_policy_says_of_a_record_what_it_would_have_said_of_the_request(
    taken_by: list[Rule], other: list[Rule], judged: Attributes
) -> None:
    line = msgspec.json.encode(record_of(engine_of_small_world(taken_by), judged, 1))
    record = msgspec.json.decode(line, type=DecisionRecord)
    for rules in (taken_by, other):
        engine = engine_of_small_world(rules)
        expected = engine.decide(judged)
        try:
            again = engine.decide(attributes_of(record))
            check_replayed(record, again)
        except NotReplayable:
            continue
        assert (type(again), again.rule) == (type(expected), expected.rule)
