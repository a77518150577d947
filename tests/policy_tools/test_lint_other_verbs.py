"""Deny rules on reading that a change gets around."""

import base64
from datetime import UTC, datetime

import pytest

from kzproxy.policy_tools.check import CheckOptions, check_policies
from tests.cluster.namespaces import fresh_namespace
from tests.policy_tools.policies import rule, written

AT = datetime(2026, 3, 4, tzinfo=UTC)
READ = '{verbs: [get, list, watch], apiGroups: [""], resources: [secrets]}'
ALL = '{verbs: ["*"], apiGroups: ["*"], resources: ["*"]}'
EVERYONE = '["system:authenticated"]'
DEVICE = "conditions: {device: {enrolled: true}}"


def messages(directory, rules):
    findings = check_policies([written(directory, rules)], CheckOptions(at=AT))
    return [f.message for f in findings if str(f.lint) == "read-by-change"]


def in_namespace(namespace, verbs="patch"):
    return (
        f'{{verbs: [{verbs}], apiGroups: [""], resources: [secrets], namespaces: ["{namespace}"]}}'
    )


@pytest.mark.parametrize(
    ("allowed", "denied", "missing"),
    [
        (ALL, READ, "patch and delete and deletecollection"),
        (in_namespace("prod"), READ, "patch"),
        (in_namespace("*"), in_namespace("prod-*", "get"), "patch"),
        (in_namespace("prod"), in_namespace("dev", "get, patch") + f", {READ}", "patch"),
    ],
)
def test_a_deny_on_reading_that_a_change_gets_around_is_found(tmp_path, allowed, denied, missing):
    rules = rule("a", "allow", allowed, DEVICE) + rule("d", "deny", denied, groups=EVERYONE)
    (message,) = messages(tmp_path, rules)

    assert message.endswith(f"and a allows them; add {missing}")


@pytest.mark.parametrize(
    "others",
    [
        rule("a", "allow", READ),
        rule("a", "allow", '{verbs: ["*"], apiGroups: ["*"], resources: ["*", "!secrets"]}'),
        rule("a", "allow", '{verbs: [create, update], apiGroups: [""], resources: [secrets]}'),
        rule("a", "allow", in_namespace("dev-*")),
        rule("a", "allow", in_namespace("prod")) + rule("e", "deny", in_namespace("pro*")),
        rule("a", "allow", ALL, groups="[h]"),
        rule("a", "allow", ALL)
        + rule("e", "deny", ALL.replace('["*"]', "[patch, delete, deletecollection]", 1)),
    ],
)
def test_where_nobody_may_change_what_nobody_reads_it_is_let_be(tmp_path, others):
    denied = in_namespace("prod", "get") if "dev-*" in others else READ

    assert messages(tmp_path, others + rule("d", "deny", denied)) == []


@pytest.mark.parametrize(
    ("denied", "resources", "missing"),
    [
        ("get", "secrets", "list and watch"),
        ("get, list", "secrets", "watch"),
        ("update", "configmaps", "patch"),
        ("patch", "configmaps", "update"),
        ("patch", "deployments/scale", "update"),
        ("delete", "pods", "deletecollection"),
        ("delete", "namespaces", ""),
        ("watch", "pods", ""),
        ("deletecollection", "pods", ""),
        ("delete", "pods/eviction", ""),
        ("'*'", "pods", ""),
    ],
)
@pytest.mark.parametrize("is_allowed", [True, False])
def test_a_deny_on_one_verb_of_those_that_do_the_same_is_found(
    tmp_path, denied, resources, missing, is_allowed
):
    match = f'{{verbs: [{denied}], apiGroups: ["", apps], resources: [{resources}]}}'
    allowed = ALL if is_allowed else ALL.replace('["*"]', f"[{denied}]", 1)
    rules = rule("a", "allow", allowed, DEVICE) + rule("d", "deny", match)
    findings = check_policies([written(tmp_path, rules)], CheckOptions(at=AT))
    messages = [one.message for one in findings if str(one.lint) == "verb-alone"]

    assert [message.rpartition("; add ")[2] for message in messages] == (
        [missing] if missing and is_allowed else []
    )


@pytest.mark.cluster
def test_the_api_server_answers_these_changes_with_the_object(administrator):
    secret = base64.b64encode(b"not for everybody").decode()
    merge = {"Content-Type": "application/merge-patch+json"}
    kept = {"metadata": {"name": "s", "finalizers": ["example.com/kept"]}, "data": {"a": secret}}
    with fresh_namespace(administrator, "reading") as namespace:
        secrets = f"/api/v1/namespaces/{namespace}/secrets"
        administrator.post(secrets, json=kept).raise_for_status()
        answers = [
            administrator.patch(f"{secrets}/s?dryRun=All", content=b"{}", headers=merge),
            administrator.delete(f"{secrets}/s?dryRun=All"),
            administrator.delete(f"{secrets}?dryRun=All"),
        ]
        gone = {"metadata": {"finalizers": None}}
        administrator.patch(f"{secrets}/s", json=gone, headers=merge).raise_for_status()

    assert [secret in answer.text for answer in answers] == [True, True, True]
