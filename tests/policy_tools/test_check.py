"""Each lint finds what it is for, where it stands, and leaves alone what is meant."""

from datetime import UTC, datetime

import pytest

from kzproxy.attributes.request_info import OWN_ROOT, RequestInfo
from kzproxy.enforcement.own_endpoints import OwnEndpoints
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


@pytest.mark.parametrize("asked", ["countries: [DE]", "asns: [64500]"])
def test_a_rule_that_rests_on_a_country_alone_is_found_too(tmp_path, asked):
    path = written(tmp_path, rule("a", "allow", PODS, f"conditions: {{{asked}}}"))
    assert found(path) == [("network-only", "a", 5)]


@pytest.mark.parametrize(
    ("more", "lint"),
    [
        ("conditions: {none: [there], device: {enrolled: true}}", "country-left-out"),
        ("conditions: {all: [there], device: {enrolled: true}}", ""),
        ("when: '!(source.country in [\"DE\"])'", "country-left-out"),
        ("when: 'source.country != \"DE\"'", "country-left-out"),
        ("when: 'source.geoKnown && source.country != \"DE\"'", ""),
        ("when: 'source.country == \"DE\"'", ""),
        ('when: \'source.country == "DE" && request.name != "x"\'', ""),
    ],
)
def test_a_rule_that_lets_in_from_everywhere_but_some_countries_is_found(tmp_path, more, lint):
    definitions = "conditions: {there: {countries: [DE]}}\n"
    rules = rule("a", "allow", PODS, more) + rule("b", "deny", PODS, "conditions: {all: [there]}")
    lints = [each for each, _, _ in found(written(tmp_path, rules, definitions))]
    assert lints == ([lint] if lint else [])


def urls(*patterns: str) -> str:
    return f"{{verbs: [get], nonResourceURLs: {list(patterns)}}}"


@pytest.mark.parametrize("pattern", ["*", "/*", "/k*", "/kzproxy*"])
def test_a_wildcard_that_reaches_kzproxys_own_endpoints_is_found(tmp_path, pattern):
    rules = rule("a", "allow", urls("/version", pattern), DEVICE)
    assert found(written(tmp_path, rules)) == [("own-endpoints", "a", 5)]


@pytest.mark.parametrize(
    "patterns",
    [["/api*", "/version"], ["/kzproxy.dev/v1/devices/*"], ["*", "/kzproxy.dev/*"]],
    ids=["elsewhere", "named alone", "named too"],
)
def test_own_endpoints_out_of_reach_or_named_are_left_alone(tmp_path, patterns):
    assert found(written(tmp_path, rule("a", "allow", urls(*patterns), DEVICE))) == []


def test_own_endpoints_that_a_deny_rule_keeps_all_out_of_are_left_alone(tmp_path):
    rules = rule("a", "allow", urls("*"), DEVICE)
    own = '{verbs: ["*"], nonResourceURLs: ["/kzproxy.dev/*"]}'
    assert found(written(tmp_path, rules + rule("stop", "deny", own))) == []
    unenrolled = "conditions: {device: {enrolled: false}}"
    for deny in (rule("stop", "deny", own, groups="[h]"), rule("stop", "deny", own, unenrolled)):
        assert found(written(tmp_path, rules + deny)) == [("own-endpoints", "a", 5)]


def test_what_the_lint_takes_for_its_own_is_what_kzproxy_serves():
    for path in (OWN_ROOT, f"{OWN_ROOT}/v1/sessions"):
        assert OwnEndpoints.owns(RequestInfo.parse("GET", path))
    assert not OwnEndpoints.owns(RequestInfo.parse("GET", OWN_ROOT[:-1]))


def test_a_wildcard_that_asks_nothing_is_found(tmp_path):
    assert found(written(tmp_path, rule("a", "allow", EVERYTHING))) == [("wildcard", "a", 5)]
    assert found(written(tmp_path, rule("a", "allow", EVERYTHING, DEVICE))) == []


def test_a_network_that_no_rule_uses_is_found(tmp_path):
    path = written(tmp_path, rule("a", "allow", PODS), 'networks: {lab: ["192.0.2.0/24"]}\n')
    assert found(path) == [("unused", "", 4)]


def test_names_for_what_has_no_name_never_match(tmp_path):
    match = '{verbs: [create], apiGroups: [""], resources: [pods], names: [web]}'
    assert found(written(tmp_path, rule("a", "allow", match))) == [("never-matches", "a", 5)]


@pytest.mark.parametrize(
    "asked", ["namespaces: [dev]", "namespaceSelector: {matchLabels: {tier: prod}}"]
)
def test_a_namespace_for_what_has_none_is_found(tmp_path, asked):
    match = f'{{verbs: [get], apiGroups: [""], resources: [nodes], {asked}}}'
    assert found(written(tmp_path, rule("a", "allow", match))) == [("cluster-scoped", "a", 5)]


def test_files_that_are_no_policy_are_refused_with_all_mistakes(tmp_path):
    path = written(tmp_path, rule("a", "permit", PODS) + rule("b", "allow", "{verbs: [fetch]}"))
    with pytest.raises(ConfigurationError) as refused:
        check_policies([path], CheckOptions(at=AT))
    assert {mistake.line for mistake in refused.value.mistakes} == {5, 6}


CALENDARS = (
    "calendars:\n  freeze:\n    timeZone: Europe/Prague\n    dated:\n"
    '    - {from: "2026-01-01", to: "2026-03-05"}\n'
)


def test_dates_that_are_over_are_found_at_the_time_that_is_given(tmp_path):
    rules = rule("d", "deny", PODS, "conditions: {time: [freeze]}")
    path = written(tmp_path, rules, CALENDARS)
    assert found(path) == []
    after = CheckOptions(at=datetime(2026, 3, 4, 23, tzinfo=UTC))
    (finding,) = check_policies([path], after)
    assert (str(finding.lint), finding.place.line) == ("expired", 5)


def test_an_obligation_that_nobody_can_meet_is_found(tmp_path):
    change = '{verbs: [delete], apiGroups: [""], resources: [pods]}'
    rules = rule("a", "allow", change, "obligations: {readOnly: true}")
    rules += (
        "- {id: w, effect: allow, subjects: {serviceAccounts: [ci/deployer]},"
        f" match: [{PODS}], obligations: {{reauth: {{maxAge: 1h}}}}}}\n"
    )
    assert found(written(tmp_path, rules)) == [("unmeetable", "a", 5), ("unmeetable", "w", 6)]


def test_a_deny_rule_that_can_fail_is_found(tmp_path):
    rules = rule("d", "deny", PODS, 'when: request.name == "db"')
    assert found(written(tmp_path, rules)) == [("deny-can-error", "d", 5)]


NAMED = (
    "conditions:\n  on-site: {networks: [office]}\n  spare: {networks: [office]}\n"
    'networks: {office: ["192.0.2.0/24"]}\n'
    "tiers:\n- {level: 1, name: known, conditions: {device: {enrolled: true}}}\n"
)


def test_conditions_and_tiers_that_no_rule_comes_to_are_found(tmp_path):
    rules = rule("a", "allow", PODS, "conditions: {all: [on-site], device: {enrolled: true}}")
    assert found(written(tmp_path, rules, NAMED)) == [("unused", "", 6), ("unused", "", 9)]
    rules = rule("a", "allow", PODS, "conditions: {any: [on-site, spare], device: {tier: 1}}")
    assert found(written(tmp_path, rules, NAMED)) == []


def test_a_network_behind_a_name_is_the_network_alone(tmp_path):
    rules = rule("a", "allow", PODS, "conditions: {all: [on-site]}")
    findings = found(written(tmp_path, rules, NAMED))
    assert ("network-only", "a", 11) in findings


def test_a_condition_that_must_and_must_not_hold_is_found(tmp_path):
    more = "conditions: {all: [on-site], none: [on-site], device: {tier: 1}}"
    findings = found(written(tmp_path, rule("a", "allow", PODS, more), NAMED))
    assert ("never-matches", "a", 11) in findings


def test_what_an_expression_names_is_used(tmp_path):
    more = "when: '\"office\" in source.networks && device.tier > 0'"
    definitions = 'networks: {office: ["192.0.2.0/24"]}\n' + NAMED.partition("tiers:")[1]
    definitions += NAMED.partition("tiers:")[2]
    assert found(written(tmp_path, rule("a", "allow", PODS, more), definitions)) == []


def test_resources_that_are_excluded_again_never_match(tmp_path):
    match = '{verbs: [get], apiGroups: [""], resources: [pods, "!pods"]}'
    path = written(tmp_path, rule("a", "allow", match))
    assert found(path) == [("never-matches", "a", 5)]


CHECKED = "conditions: {{device: {{checks: {{passed: [{}], maxAge: 15m}}}}}}"
TIERS = (
    "tiers:\n- {level: 1, name: known, conditions: {device: {enrolled: true}}}\n"
    "- {level: 2, name: managed, conditions: {device: {managed: true}}}\n"
)


def test_a_check_that_nobody_knows_is_found_wherever_it_is_asked_for(tmp_path):
    rules = rule("a", "allow", PODS, CHECKED.format("disk_encryptd"))
    (finding,) = check_policies([written(tmp_path, rules)], CheckOptions(at=AT))
    assert (str(finding.lint), finding.rule) == ("unknown-check", "a")
    assert "did you mean disk_encrypted" in finding.message
    assert found(written(tmp_path, rule("a", "allow", PODS, CHECKED.format("firewall")))) == []
    when = """when: '"fire" in device.passed'"""
    assert found(written(tmp_path, rule("a", "allow", PODS, when))) == [("unknown-check", "a", 5)]


@pytest.mark.parametrize(
    ("device", "lints"),
    [
        ("checks: {passed: [firewall]}", ["posture-age"]),
        ("checks: {passed: [firewall], maxAge: 1h}", []),
        ("checks: {passed: [firewall]}, postureAge: {atMost: 1h}", []),
        ("owner: self", []),
    ],
)
def test_a_posture_of_any_age_is_found(tmp_path, device, lints):
    rules = rule("a", "allow", PODS, "conditions: {device: {" + device + "}}")
    assert [lint for lint, _, _ in found(written(tmp_path, rules))] == lints
    tiers = "tiers: [{level: 1, name: t, conditions: {device: {" + device + "}}}]\n"
    rules = rule("a", "allow", PODS, "conditions: {device: {tier: t}}")
    assert [lint for lint, _, _ in found(written(tmp_path, rules, tiers))] == lints


@pytest.mark.parametrize(
    ("effect", "when", "lints"),
    [
        ("allow", '!("firewall" in device.failed)', ["not-shown"]),
        ("allow", '"firewall" in device.passed && size(device.failed) == 0', []),
        ("deny", '"firewall" in device.failed', ["deny-can-error"]),
    ],
)
def test_an_expression_that_lets_in_what_is_not_known_is_found(tmp_path, effect, when, lints):
    rules = rule("a", effect, PODS, f"when: '{when}'")
    assert [lint for lint, _, _ in found(written(tmp_path, rules))] == lints


@pytest.mark.parametrize(
    ("more", "lints"),
    [
        ("conditions: {device: {tier: managed}}", ["unused"]),
        ("conditions: {device: {tier: 1}}", []),
        ("when: 'device.tier >= 2'", []),
    ],
)
def test_a_tier_below_all_that_are_asked_for_is_found(tmp_path, more, lints):
    rules = rule("a", "allow", PODS, more)
    assert [lint for lint, _, _ in found(written(tmp_path, rules, TIERS))] == lints
