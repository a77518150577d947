"""Each lint finds what it is for, where it stands, and leaves alone what is meant."""

from datetime import UTC, datetime

import pytest

from kzproxy.errors.configuration import ConfigurationError
from kzproxy.policy_tools.check import CheckOptions, check_policies
from tests.policy_tools.policies import EVERYTHING, PODS, rule, written

AT = datetime(2026, 3, 4, tzinfo=UTC)
DEVICE = "conditions: {device: {enrolled: true}}"


def found(path, **options):
    findings = check_policies([path], CheckOptions(at=AT, **options))
    return [(str(f.lint), f.rule, f.place.line) for f in findings]


def test_a_sound_policy_has_no_finding(tmp_path):
    path = written(tmp_path, rule("a", "allow", PODS) + rule("b", "deny", PODS, groups="[h]"))
    assert found(path) == []


def test_an_allow_rule_that_is_always_denied_is_found(tmp_path):
    rules = rule("a", "allow", PODS) + rule("stop", "deny", EVERYTHING)
    assert found(written(tmp_path, rules)) == [("always-denied", "a", 5)]


@pytest.mark.parametrize(
    "deny",
    [
        rule("stop", "deny", EVERYTHING, "conditions: {device: {enrolled: false}}"),
        rule("stop", "deny", EVERYTHING, groups="[h]"),
        rule("stop", "deny", '{verbs: ["*"], apiGroups: [""], resources: [secrets]}'),
        rule("stop", "deny", '{verbs: ["*"], apiGroups: ["*"], resources: ["*"], names: [x]}'),
        rule("stop", "deny", '{verbs: ["*"], nonResourceURLs: ["*"]}'),
    ],
)
def test_an_allow_rule_that_is_denied_in_part_is_left_alone(tmp_path, deny):
    assert found(written(tmp_path, rule("a", "allow", PODS) + deny)) == []


def test_several_deny_rules_together_deny_always(tmp_path):
    match = '{verbs: [get, list], apiGroups: [""], resources: [pods]}'
    rules = rule("a", "allow", match)
    rules += rule("no-get", "deny", PODS)
    rules += rule("no-list", "deny", '{verbs: [list], apiGroups: ["*"], resources: ["*"]}')
    assert found(written(tmp_path, rules)) == [("always-denied", "a", 5)]


def test_a_rule_behind_a_wider_one_is_found_but_not_one_before_it(tmp_path):
    wide = '{verbs: [get, list], apiGroups: [""], resources: [pods, services]}'
    assert found(written(tmp_path, rule("w", "allow", wide) + rule("a", "allow", PODS))) == [
        ("covered", "a", 6)
    ]
    assert found(written(tmp_path, rule("a", "allow", PODS) + rule("w", "allow", wide))) == []


def test_a_rule_behind_one_that_asks_more_is_left_alone(tmp_path):
    rules = rule("w", "allow", PODS, DEVICE) + rule("a", "allow", PODS)
    assert found(written(tmp_path, rules)) == []


def test_a_rule_behind_one_that_asks_the_same_is_found(tmp_path):
    rules = rule("w", "allow", PODS, DEVICE) + rule("a", "allow", PODS, DEVICE)
    assert found(written(tmp_path, rules)) == [("covered", "a", 6)]


def test_a_wildcard_of_an_allow_rule_does_not_cover_the_kubelet(tmp_path):
    kubelet = '{verbs: [proxy], apiGroups: [""], resources: [nodes/proxy]}'
    rules = rule("w", "allow", EVERYTHING, DEVICE) + rule("a", "allow", kubelet, DEVICE)
    assert found(written(tmp_path, rules)) == []


def test_a_rule_that_rests_on_the_network_alone_is_found_unless_allowed(tmp_path):
    rules = rule("a", "allow", PODS, "conditions: {networks: [office]}")
    path = written(tmp_path, rules, 'networks: {office: ["192.0.2.0/24"]}\n')
    assert found(path) == [("network-only", "a", 6)]
    assert found(path, allow_network_only=True) == []


def test_a_wildcard_that_asks_nothing_is_found(tmp_path):
    assert found(written(tmp_path, rule("a", "allow", EVERYTHING))) == [("wildcard", "a", 5)]
    assert found(written(tmp_path, rule("a", "allow", EVERYTHING, DEVICE))) == []


def test_a_network_that_no_rule_uses_is_found(tmp_path):
    path = written(tmp_path, rule("a", "allow", PODS), 'networks: {lab: ["192.0.2.0/24"]}\n')
    assert found(path) == [("unused", "", 4)]


def test_names_for_what_has_no_name_never_match(tmp_path):
    match = '{verbs: [create], apiGroups: [""], resources: [pods], names: [web]}'
    assert found(written(tmp_path, rule("a", "allow", match))) == [("never-matches", "a", 5)]


def test_a_namespace_for_what_has_none_is_found(tmp_path):
    match = '{verbs: [get], apiGroups: [""], resources: [nodes], namespaces: [dev]}'
    assert found(written(tmp_path, rule("a", "allow", match))) == [("cluster-scoped", "a", 5)]


def test_files_that_are_no_policy_are_refused_with_all_mistakes(tmp_path):
    path = written(tmp_path, rule("a", "permit", PODS) + rule("b", "allow", "{verbs: [fetch]}"))
    with pytest.raises(ConfigurationError) as refused:
        check_policies([path], CheckOptions(at=AT))
    assert {mistake.line for mistake in refused.value.mistakes} == {5, 6}
