"""An explanation says what the engine does, and what it advises works."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings

from kzproxy.attributes.device import DevicePosture, Fact
from kzproxy.errors.configuration import ConfigurationError
from kzproxy.policy.decision import Permit
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy_tools.asked import Asked, attributes_of
from kzproxy.policy_tools.change_candidates import ChangeKind
from kzproxy.policy_tools.explain import explain_decision
from kzproxy.policy_tools.policy_text import read_policy_text
from tests.policy_tools.asking import questions
from tests.policy_tools.policies import PODS, loaded, rule, written
from tests.policy_tools.random_policies import DEFINITIONS, NETWORKS, policies

ENROLLED = DevicePosture(enrolled=Fact.PASSED, device_id="d")


def asked(**more):
    fields = {
        "verb": "get",
        "resource": "pods",
        "name": "web",
        "namespace": "dev",
        "user": "ann",
        "groups": ("g",),
        "spiffe_id": "",
        "signed_in": "",
        "authentication_class": "",
        "methods": (),
        "device_enrolled": False,
        "source": "203.0.113.7",
        "at": datetime(2026, 3, 4, 9, tzinfo=UTC),
        "reason": "",
    }
    return attributes_of(Asked(**{**fields, **more}))


def explained(path, attributes):
    return explain_decision(loaded(path), read_policy_text([path]), attributes)


def test_the_first_condition_that_fails_is_named_with_what_was_found(tmp_path):
    both = "conditions: {networks: [office], device: {enrolled: true}}"
    path = written(tmp_path, rule("a", "allow", PODS, both), NETWORKS)
    (reading,) = explained(path, asked()).rules
    assert reading.first_failed.name == "networks"
    assert reading.first_failed.found == "203.0.113.7, in none of the networks"
    assert [part.holds for part in reading.parts] == [True, True, False, False]


def test_what_would_change_the_answer_is_the_least_that_does(tmp_path):
    both = "conditions: {networks: [office], device: {enrolled: true}}"
    path = written(tmp_path, rule("a", "allow", PODS, both), NETWORKS)
    (change,) = explained(path, asked()).changes
    assert change.kinds == (ChangeKind.DEVICE, ChangeKind.NETWORK)
    (change,) = explained(path, asked(device_enrolled=True)).changes
    assert change.text == "come from network office"


def test_a_group_is_advised_only_where_nothing_else_helps(tmp_path):
    rules = rule("a", "allow", PODS, "conditions: {device: {enrolled: true}}")
    rules += rule("b", "allow", PODS, groups="[h]")
    path = written(tmp_path, rules)
    (change,) = explained(path, asked()).changes
    assert change.kinds == (ChangeKind.DEVICE,)
    changes = explained(path, asked(groups=())).changes
    assert [change.text for change in changes] == ["be made a member of h"]


def test_the_part_of_a_match_that_does_not_fit_is_named(tmp_path):
    match = '{verbs: [get], apiGroups: [""], resources: [pods], namespaces: [prod]}'
    (reading,) = explained(written(tmp_path, rule("a", "allow", match)), asked()).rules
    assert reading.first_failed.wanted == {"namespaces": ["prod"]}


def test_what_nothing_changes_has_no_advice(tmp_path):
    rules = rule("a", "allow", PODS) + rule("d", "deny", PODS)
    assert explained(written(tmp_path, rules), asked()).changes == ()


@settings(max_examples=60, deadline=None)
@given(rules=policies(), attributes=questions())
def test_a_rule_matches_where_all_its_parts_hold(rules, attributes):
    with TemporaryDirectory() as directory:
        path = written(Path(directory), rules, DEFINITIONS)
        try:
            policy = loaded(path)
        except ConfigurationError:  # a rule that the loader refuses is no example
            return
        explanation = explain_decision(policy, read_policy_text([path]), attributes)
    decision = PolicyEngine(policy).decide(attributes)
    assert explanation.decision == decision
    for reading in explanation.rules:
        assert reading.matched == all(part.holds for part in reading.parts)
    if len(explanation.rules) == 1 and not isinstance(decision, Permit):
        assert explanation.rules[0].first_failed is not None or explanation.rules[0].matched


def word_after(words, text):
    return re.findall(rf"{words} (\S+?)(?:,|$)", text)[0]


def heeded(change, attributes):
    """Do what the advice says, by its words."""
    environment, subject, device = attributes.environment, attributes.subject, attributes.device
    if ChangeKind.TIME in change.kinds:
        moment = datetime.fromisoformat(word_after("wait until", change.text))
        environment = replace(environment, received_at=moment)
    if ChangeKind.SIGN_IN in change.kinds:
        at = environment.received_at
        subject = replace(subject, authenticated_at=at)
        if "with class phr" in change.text:
            subject = replace(subject, authentication_class="phr")
    if ChangeKind.REASON in change.kinds:
        environment = replace(environment, reason="INC-2")
    if ChangeKind.DEVICE in change.kinds:
        device = ENROLLED
    if ChangeKind.NETWORK in change.kinds:
        environment = replace(environment, source_address=ip_address("192.0.2.9"))
    if ChangeKind.GRANT in change.kinds:
        subject = replace(subject, groups=(*subject.groups, word_after("member of", change.text)))
    return replace(attributes, environment=environment, subject=subject, device=device)


@settings(max_examples=60, deadline=None)
@given(rules=policies(), attributes=questions())
def test_what_it_advises_works(rules, attributes):
    with TemporaryDirectory() as directory:
        path = written(Path(directory), rules, DEFINITIONS)
        try:
            policy = loaded(path)
        except ConfigurationError:  # a rule that the loader refuses is no example
            return
        advice = explain_decision(policy, read_policy_text([path]), attributes).changes
    engine = PolicyEngine(policy)
    for change in advice:
        assert isinstance(engine.decide(heeded(change, attributes)), Permit)


def test_obligations_are_shown_met_and_unmet_with_what_meets_them(tmp_path):
    more = "obligations: {mfa: {maxAge: 1h, classes: [phr]}, reason: required, idle: 5m}"
    path = written(tmp_path, rule("a", "allow", PODS, more))
    explanation = explained(path, asked(signed_in="2h"))
    (reading,) = explanation.rules
    assert (reading.met, reading.unmet) == (("idle",), ("mfa", "reason"))
    (change,) = explanation.changes
    assert change.kinds == (ChangeKind.SIGN_IN, ChangeKind.REASON)
    assert change.text == (
        "sign in again with class phr (kzproxy login), and give a reason (kzproxy reason ...)"
    )


def test_the_next_opening_of_a_calendar_is_named(tmp_path):
    calendars = (
        "calendars:\n  hours:\n    timeZone: Europe/Prague\n    weekly:\n"
        '    - {days: [Mon, Tue], from: "07:00", to: "20:00"}\n'
        '    except: [{from: "2026-03-09", to: "2026-03-10"}]\n'
    )
    path = written(tmp_path, rule("a", "allow", PODS, "conditions: {time: [hours]}"), calendars)
    (change,) = explained(path, asked()).changes
    assert change.text == "wait until 2026-03-10T06:00+00:00"


def test_an_expression_is_shown_with_whether_it_holds(tmp_path):
    path = written(tmp_path, rule("a", "allow", PODS, 'when: request.name == "db"'))
    (reading,) = explained(path, asked()).rules
    assert reading.first_failed.name == "when"
    assert reading.first_failed.wanted == 'request.name == "db"'


def test_what_cannot_be_judged_says_why(tmp_path):
    more = 'needs: [object], when: "object.privileged"'
    enter = '{verbs: [connect], apiGroups: [""], resources: [pods/exec]}'
    path = written(tmp_path, rule("a", "allow", enter, more))
    question = asked(verb="connect", resource="pods/exec")
    (reading,) = explained(path, question).rules
    assert reading.first_failed.name == "when"
    assert reading.first_failed.error
