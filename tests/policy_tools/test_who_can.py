"""Who-can says what the engine does."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings

from kzproxy.errors.configuration import ConfigurationError
from kzproxy.policy.decision import Permit
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.rules import EVERYONE
from kzproxy.policy_tools.who_can import Question, load_and_ask, who_can
from tests.policy_tools.asking import questions
from tests.policy_tools.policies import PODS, loaded, rule, text_of, written
from tests.policy_tools.random_policies import DEFINITIONS, policies

DEVICE = "conditions: {device: {enrolled: true}}"


def asked(path, verb, resource, **more):
    answer = load_and_ask([path], Question(verb=verb, resource=resource, **more))
    return [g.rule for g in answer.grants], [e.rule for e in answer.exceptions]


def test_a_rule_names_its_subjects_and_what_it_asks(tmp_path):
    path = written(tmp_path, rule("a", "allow", PODS, DEVICE))
    (grant,) = load_and_ask([path], Question(verb="get", resource="pods")).grants
    assert grant.subjects == (("groups", "g"),)
    assert grant.conditions == {"device": {"enrolled": True}}
    assert grant.limits == ()
    assert grant.place.line == 5


def test_what_is_limited_to_namespaces_is_said_where_none_is_asked_for(tmp_path):
    match = '{verbs: [get], apiGroups: [""], resources: [pods], namespaces: [dev], names: [web]}'
    path = written(tmp_path, rule("a", "allow", match))
    (grant,) = load_and_ask([path], Question(verb="get", resource="pods")).grants
    assert grant.limits == ({"namespaces": ["dev"], "names": ["web"]},)
    assert asked(path, "get", "pods", namespace="dev", name="web") == (["a"], [])
    assert asked(path, "get", "pods", namespace="prod") == ([], [])


def test_who_is_always_denied_cannot(tmp_path):
    rules = rule("a", "allow", PODS, groups="[g, h]") + rule("d", "deny", PODS, groups="[h]")
    answer = load_and_ask([written(tmp_path, rules)], Question(verb="get", resource="pods"))
    assert [grant.subjects for grant in answer.grants] == [(("groups", "g"),)]
    assert [exception.rule for exception in answer.exceptions] == ["d"]


def test_a_list_is_denied_by_a_rule_on_one_name(tmp_path):
    match = '{verbs: [list], apiGroups: [""], resources: [secrets]}'
    denied = '{verbs: [list], apiGroups: [""], resources: [secrets], names: [root]}'
    rules = rule("a", "allow", match) + rule("d", "deny", denied)
    assert asked(written(tmp_path, rules), "list", "secrets", namespace="") == ([], ["d"])


SELECTED = "namespaceSelector: {matchLabels: {tier: prod}}"


@pytest.mark.parametrize(
    ("verb", "resource"), [("list", "pods"), ("get", "nodes"), ("create", "namespaces")]
)
def test_no_label_of_a_namespace_lets_anybody_do_what_is_in_none(tmp_path, verb, resource):
    match = f'{{verbs: [{verb}], apiGroups: [""], resources: [{resource}], {SELECTED}}}'
    path = written(tmp_path, rule("a", "allow", match))
    assert asked(path, verb, resource, namespace="") == ([], [])


def test_a_deny_by_labels_is_without_condition_where_all_namespaces_are_asked_for(tmp_path):
    match = '{verbs: [list], apiGroups: [""], resources: [pods]'
    rules = rule("a", "allow", match + "}") + rule("d", "deny", f"{match}, {SELECTED}}}")
    path = written(tmp_path, rules)
    assert asked(path, "list", "pods", namespace="") == ([], ["d"])
    assert asked(path, "list", "pods", namespace="prod") == (["a"], ["d"])
    assert asked(path, "list", "pods") == (["a"], ["d"])


def test_the_namespace_prod_is_an_object_in_namespace_prod(tmp_path):
    match = '{verbs: [get, list], apiGroups: [""], resources: [namespaces], namespaces: [prod]}'
    path = written(tmp_path, rule("a", "allow", match))
    assert asked(path, "get", "namespaces", name="prod") == (["a"], [])
    assert asked(path, "get", "namespaces", name="dev") == ([], [])
    assert asked(path, "list", "namespaces") == (["a"], [])


def test_what_nobody_can_send_is_refused(tmp_path):
    path = written(tmp_path, rule("a", "allow", PODS))
    with pytest.raises(ValueError, match="has the verb connect"):
        asked(path, "get", "pods/exec")


@settings(max_examples=100, deadline=None)
@given(
    rules=policies(),
    attributes=questions(),
)
def test_it_agrees_with_the_engine(rules, attributes):
    request, subject = attributes.request, attributes.subject
    with TemporaryDirectory() as directory:
        path = written(Path(directory), rules, DEFINITIONS)
        try:
            policy = loaded(path)
        except ConfigurationError:  # a rule that the loader refuses is no example
            return
        texts = text_of(path).rules
    question = Question(
        verb=request.verb,
        resource=request.qualified_resource if request.is_resource else request.path,
        group=request.api_group,
        namespace=request.namespace,
        name=request.name,
    )
    answer = who_can(policy, texts, question)
    decision = PolicyEngine(policy).decide(attributes)
    mine = {("groups", group) for group in (*subject.groups, EVERYONE)}
    can = {g.rule: g for g in answer.grants if mine.intersection(g.subjects)}
    if isinstance(decision, Permit):
        assert decision.rule in can
    excepted = [e for e in answer.exceptions if mine.intersection(e.subjects)]
    if not excepted and any(g.is_unconditional and not g.obligations for g in can.values()):
        assert isinstance(decision, Permit)
    if not can:
        assert not isinstance(decision, Permit)
