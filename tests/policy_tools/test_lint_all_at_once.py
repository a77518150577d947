"""Expressions that a request for all at once escapes or passes, as the engine has it."""

from datetime import UTC, datetime

import pytest

from kzproxy.policy.decision import Permit
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy_tools.check import CheckOptions, check_policies
from tests.policy.samples import asked, subject
from tests.policy_tools.policies import loaded, rule, written

AT = datetime(2026, 3, 4, tzinfo=UTC)
SECRETS = '{verbs: [get, list, watch], apiGroups: [""], resources: [secrets]}'
READERS = rule("readers", "allow", SECRETS)
NAMED = "conditions:\n  in-prod: {when: 'request.namespace == \"prod\"'}\n"
NAMED += "  not-prod: {when: '!conditions[\"in-prod\"]'}\n"
ONE, ALL = "/api/v1/namespaces/prod/secrets/db", "/api/v1/secrets"


def lints(path):
    return [str(one.lint) for one in check_policies([path], CheckOptions(at=AT))]


def is_permitted(path, target):
    request = asked("GET", target, who=subject("ann", "g"))
    return isinstance(PolicyEngine(loaded(path)).decide(request), Permit)


@pytest.mark.parametrize(
    ("effect", "more"),
    [
        ("allow", "when: 'request.namespace != \"prod\"'"),
        ("allow", "when: '!request.namespace.startsWith(\"prod\")'"),
        ("allow", "when: '!request.namespace.matches(\"^prod$\")'"),
        ("allow", "when: '!(request.namespace in [\"prod\"])'"),
        ("allow", 'when: \'request.namespace != "prod" || authentication.acr == "phr"\''),
        ("allow", "when: 'request.namespace == \"prod\" ? device.tier > 2 : true'"),
        ("allow", "when: 'request.name != \"db\"'"),
        ("allow", "conditions: {none: [in-prod]}"),
        ("allow", "conditions: {all: [not-prod]}"),
        ("deny", "when: 'request.namespace == \"prod\"'"),
        ("deny", 'when: \'request.namespace.glob("pro*") && !("vault" in user.groups)\''),
        ("deny", "when: 'request.name == \"db\"'"),
        ("deny", "conditions: {any: [in-prod]}"),
        ("deny", "conditions: {none: [not-prod]}"),
    ],
)
def test_an_expression_that_all_at_once_gets_around_is_found(tmp_path, effect, more):
    rules = (READERS if effect == "deny" else "") + rule("r", effect, SECRETS, more)
    path = written(tmp_path, rules, NAMED if "conditions" in more else "")

    assert "all-at-once" in lints(path)
    assert not is_permitted(path, ONE)
    assert is_permitted(path, ALL)  # what the lint is for


@pytest.mark.parametrize(
    ("effect", "more"),
    [
        ("allow", "when: 'request.namespace == \"prod\"'"),
        ("allow", 'when: \'request.namespace.startsWith("dev-") || user.name == "x"\''),
        ("allow", 'when: \'request.namespace != "" && request.namespace != "prod"\''),
        ("allow", "when: 'request.name == \"db\"'"),
        ("allow", "when: 'request.resource != \"pods\"'"),
        ("allow", "conditions: {all: [in-prod]}"),
        ("deny", "when: 'request.namespace != \"prod\"'"),
        ("deny", 'when: \'request.namespace in ["prod", ""]\''),
        ("deny", "when: '!(\"vault\" in user.groups)'"),
        ("deny", "conditions: {none: [in-prod]}"),
    ],
)
def test_one_that_it_does_not_is_let_be(tmp_path, effect, more):
    rules = rule("r", effect, SECRETS, more)
    path = written(tmp_path, rules, NAMED if "conditions" in more else "")

    assert "all-at-once" not in lints(path)


OTHER_THAN_PROD = 'when: \'request.namespace != "prod" && request.name != "db"\''


@pytest.mark.parametrize(
    "match",
    [
        '{verbs: [get, update, patch, delete], apiGroups: [""], resources: [secrets]}',
        '{verbs: [get, list], apiGroups: [""], resources: [namespaces]}',
        '{verbs: [list], apiGroups: [""], resources: [pods], namespaces: ["*"], names: ["*"]}',
        '{verbs: [connect], apiGroups: [""], resources: [pods/exec]}',
        '{verbs: [get], nonResourceURLs: ["/version"]}',
    ],
)
def test_where_nothing_is_asked_for_at_once_it_is_let_be(tmp_path, match):
    assert "all-at-once" not in lints(written(tmp_path, rule("r", "allow", match, OTHER_THAN_PROD)))
