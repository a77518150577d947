"""Deny rules that leave other ways to create open."""

from datetime import UTC, datetime

import pytest

from kzproxy.policy_tools.check import CheckOptions, check_policies
from kzproxy.policy_tools.lint_creation import ONLY_CREATED
from tests.policy_tools.policies import rule, written

AT = datetime(2026, 3, 4, tzinfo=UTC)
EVERYONE = '["system:authenticated"]'


def messages(directory, rules):
    findings = check_policies([written(directory, rules)], CheckOptions(at=AT))
    assert {str(finding.lint) for finding in findings} <= {"create-alone"}
    return [finding.message for finding in findings]


def match(verbs, resources="pods", more=""):
    return f'{{verbs: [{verbs}], apiGroups: [""], resources: [{resources}]{more}}}'


@pytest.mark.parametrize(
    ("written_match", "missing"),
    [
        (match("create"), "patch and update"),
        (match("create, delete", "'*'"), "patch and update"),
        (match("create, delete", "'*/*'"), "patch and update"),
        (match("create, patch", "endpoints"), "update"),
        (match("create, update", "services, services/status"), "patch"),
        (match("create", "'*', '!secrets'"), "patch and update"),
        (match("create", "pods/eviction, pods"), "patch and update"),
        (match("create", more=", names: [web], namespaces: [prod]"), "patch and update"),
    ],
)
def test_a_deny_on_create_that_leaves_other_ways_to_create_is_found(
    tmp_path, written_match, missing
):
    (message,) = messages(tmp_path, rule("d", "deny", written_match))

    assert message.endswith(f"add {missing}")


@pytest.mark.parametrize(
    "written_match",
    [
        match("create, update, patch"),
        match("'*'"),
        match("update, patch, delete"),
        match("create", "pods/eviction, serviceaccounts/token, '*/binding'"),
        match("create", "bindings"),
        "{verbs: [create], apiGroups: [authorization.k8s.io], resources: [subjectaccessreviews]}",
        '{verbs: [post], nonResourceURLs: ["*"]}',
    ],
)
def test_one_that_leaves_none_is_let_be(tmp_path, written_match):
    assert messages(tmp_path, rule("d", "deny", written_match)) == []


def test_an_allow_rule_may_name_create_alone(tmp_path):
    assert messages(tmp_path, rule("a", "allow", match("create"))) == []


def test_another_entry_or_another_deny_rule_may_name_the_rest(tmp_path):
    rest = match("get, patch, update", "'*'")
    assert messages(tmp_path, rule("d", "deny", f"{match('create')}, {rest}")) == []
    assert messages(tmp_path, rule("d", "deny", match("create")) + rule("e", "deny", rest)) == []
    for_all = rule("e", "deny", rest, groups=EVERYONE)
    assert messages(tmp_path, rule("d", "deny", match("create")) + for_all) == []


@pytest.mark.parametrize(
    "other",
    [
        rule("e", "deny", match("patch, update"), groups="[h]"),
        rule("e", "deny", match("patch, update", "services")),
        rule("e", "deny", match("patch, update", more=", namespaces: [prod]")),
        rule("e", "deny", match("patch, update"), "conditions: {device: {enrolled: false}}"),
        rule("e", "allow", match("patch, update")),
    ],
)
def test_another_rule_that_denies_less_does_not_close_them(tmp_path, other):
    assert len(messages(tmp_path, rule("d", "deny", match("create")) + other)) == 1


def test_under_the_same_condition_another_rule_closes_them(tmp_path):
    device = "conditions: {device: {enrolled: false}}"
    rules = rule("d", "deny", match("create"), device)
    rules += rule("e", "deny", match("patch, update"), device)

    assert messages(tmp_path, rules) == []


@pytest.mark.cluster
def test_the_api_server_serves_no_other_way_to_create_what_is_left_out(administrator):
    versions = ["/api/v1"]
    for group in administrator.get("/apis").raise_for_status().json()["groups"]:
        versions += [f"/apis/{version['groupVersion']}" for version in group["versions"]]
    served: dict[tuple[str, str], set[str]] = {}
    for path in versions:
        group = path.split("/")[2] if path.startswith("/apis/") else ""
        for resource in administrator.get(path).raise_for_status().json()["resources"]:
            served.setdefault((group, resource["name"]), set()).update(resource["verbs"])

    assert {
        kind
        for kind, verbs in served.items()
        if "/" not in kind[1] and "create" in verbs and not verbs & {"patch", "update"}
    } == ONLY_CREATED
