"""A yes to a question covers each request that it is about."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from kzproxy.policy.decision import Permit
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.expression import DeclaredNames, compile_expression
from kzproxy.policy.question import Question, requests_of
from kzproxy.policy.rules import AccessPolicySet, Match, Rule
from tests.policy.samples import allow, asked, deny, match

ALL = match("*", "*")
CLUSTERWIDE = {("", "nodes"), ("", "namespaces")}
FACTS = asked("GET", "/api/v1/pods")


class Cluster:
    """Some kinds have no namespace."""

    def is_namespaced(self, group: str, resource: str) -> bool:
        return (group, resource) not in CLUSTERWIDE


def says_yes(rules: Iterable[Rule], question: Question) -> bool:
    engine = PolicyEngine(AccessPolicySet(rules=tuple(rules)))
    return all(
        isinstance(engine.decide(replace(FACTS, request=request)), Permit)
        for request in requests_of(question, engine.outline.examples, Cluster())
    )


def does(rules: Iterable[Rule], method: str, target: str) -> bool:
    engine = PolicyEngine(AccessPolicySet(rules=tuple(rules)))
    return isinstance(engine.decide(asked(method, target)), Permit)


def leaving_out(*resources: str) -> Match:
    return replace(ALL, excluded_resources=frozenset(resources))


def when(text: str) -> dict[str, object]:
    return {"when": compile_expression(text, DeclaredNames())}


EVERYTHING = Question(verb="*", api_group="*", resource="*")


def test_yes_to_everything_is_for_who_may_do_everything() -> None:
    assert says_yes([allow("all", ALL)], EVERYTHING)


@pytest.mark.parametrize("left_out", ["secrets", "pods/exec", "pods/*", "*/scale"])
def test_what_an_allow_rule_leaves_out_is_asked_for_too(left_out: str) -> None:
    assert not says_yes([allow("most", leaving_out(left_out))], EVERYTHING)


@pytest.mark.parametrize(
    ("denied", "question"),
    [
        (match("*", "*", groups=["apps"]), Question(verb="get", api_group="*", resource="jobs")),
        (
            match("*", "deployments/*"),
            Question(verb="update", api_group="apps", resource="*/scale"),
        ),
        (match("*", "*/scale"), Question(verb="get", api_group="apps", resource="deployments/*")),
        (match("*", "*/*"), Question(verb="get", api_group="", resource="pods/*")),
    ],
)
def test_what_a_wildcard_and_a_deny_rule_have_in_common_is_asked_for(
    denied: Match, question: Question
) -> None:
    assert not says_yes([allow("all", ALL), deny("some", denied)], question)


def test_a_deny_rule_on_something_else_is_not_in_the_way() -> None:
    rules = [allow("all", ALL), deny("some", match("*", "deployments/scale", groups=["apps"]))]
    assert says_yes(rules, Question(verb="get", api_group="apps", resource="*/status"))
    assert says_yes(rules, Question(verb="get", api_group="batch", resource="*"))


@pytest.mark.parametrize("resource", ["pods/*", "services/*"])
def test_below_pods_and_services_there_are_connections(resource: str) -> None:
    question = Question(verb="get", api_group="", resource=resource)
    reading = allow("reading", match("get", resource))
    assert not says_yes([reading], question)
    assert says_yes([reading, allow("connecting", match("connect proxy", resource))], question)


def test_each_kind_of_connection_is_asked_for() -> None:
    rules = [allow("some", match("*", "*/log"), match("* connect proxy", "pods/exec pods/proxy"))]
    rules.append(allow("reading", match("get", "pods/*")))
    assert not says_yes(rules, Question(verb="get", api_group="", resource="pods/*"))


def test_a_namespace_is_in_itself() -> None:
    rules = [allow("all", ALL), deny("prod", match("*", "*", namespaces="prod"))]
    question = Question(verb="delete", resource="namespaces")
    assert not does(rules, "DELETE", "/api/v1/namespaces/prod")
    assert not says_yes(rules, question)
    assert not says_yes(rules, replace(question, name="prod"))
    assert says_yes(rules, replace(question, name="dev"))
    assert says_yes(rules, replace(question, verb="create"))
    assert says_yes(rules, replace(question, verb="list"))


@pytest.mark.parametrize("verb", ["create", "deletecollection"])
def test_no_name_is_asked_for_where_no_request_has_one(verb: str) -> None:
    question = Question(verb=verb, resource="secrets", namespace="dev", name="web")
    assert not says_yes([allow("web", match("*", "*", names="web"))], question)
    rules = [allow("all", ALL), deny("root", match("*", "secrets", names="root"))]
    assert not says_yes(rules, question)


@pytest.mark.parametrize(
    ("expression", "question"),
    [
        ('request.namespace == "prod"', Question(verb="delete", resource="pods")),
        ('request.namespace.startsWith("prod-")', Question(verb="get", resource="pods")),
        ('request.namespace in ["a", "b"]', Question(verb="create", resource="pods")),
        ('request.namespace.glob("prod-*")', Question(verb="create", resource="pods")),
        ('request.name == "root"', Question(verb="get", resource="secrets", namespace="dev")),
        ('request.resource == "secrets"', EVERYTHING),
    ],
)
def test_what_an_expression_tells_from_others_is_asked_for(
    expression: str, question: Question
) -> None:
    denying = [allow("all", ALL), deny("some", ALL, **when(expression))]
    allowing = [allow("most", ALL, **when(f"!({expression})"))]
    assert not says_yes(denying, question)
    assert not says_yes(allowing, question)


def test_what_is_asked_for_by_its_name_is_not_in_the_way_of_others() -> None:
    rules = [allow("all", ALL), deny("root", ALL, **when('request.name == "root"'))]
    question = Question(verb="get", resource="secrets", namespace="dev", name="web")
    assert says_yes(rules, question)
    assert not says_yes(rules, replace(question, name="root"))


@pytest.mark.parametrize(
    ("verb", "is_misspelt", "is_judged"),
    [
        ("get", False, True),
        ("*", False, True),
        ("use", False, False),
        ("Get", True, False),
        ("connect", True, False),
        ("PROXY", True, False),
    ],
)
def test_verbs_are_kubernetes_own(verb: str, is_misspelt: bool, is_judged: bool) -> None:
    question = Question(verb=verb, resource="pods")
    assert (question.is_misspelt, question.is_judged) == (is_misspelt, is_judged)


NAMESPACES, KINDS, GROUPS = ["dev", "prod"], ["pods", "secrets"], ["", "apps"]
KIND_PATTERNS = ["*", *KINDS, "pods/*", "*/scale", "pods/scale"]
MATCHES = st.builds(
    lambda verb, kind, group, namespace, left_out: replace(
        match(verb, kind, groups=[group], namespaces=namespace),
        excluded_resources=frozenset(left_out),
    ),
    st.sampled_from(["*", "get", "delete"]),
    st.sampled_from(KIND_PATTERNS),
    st.sampled_from(["*", *GROUPS]),
    st.sampled_from(["", "", *NAMESPACES]),
    st.lists(st.sampled_from(KIND_PATTERNS[1:]), max_size=1),
)
RULES = st.lists(
    st.one_of(
        st.just(allow("all", ALL)),
        st.builds(lambda found: allow("some", found), MATCHES),
        st.builds(lambda found: deny("none", found), MATCHES),
    ),
    min_size=1,
    max_size=4,
)


@st.composite
def questions_about(draw: st.DrawFn, verb: str, group: str, kind: str, namespace: str) -> Question:
    """Strategy for questions that ask for this, by its name or by a wildcard."""
    named, _, below = kind.partition("/")
    covering = ["*", kind] if not below else ["*", kind, f"{named}/*", f"*/{below}"]
    return Question(
        verb=draw(st.sampled_from(["*", verb.lower()])),
        api_group=draw(st.sampled_from(["*", group])),
        resource=draw(st.sampled_from(covering)),
        namespace=draw(st.sampled_from(["", namespace])),
    )


@given(
    rules=RULES,
    verb=st.sampled_from(["GET", "DELETE"]),
    group=st.sampled_from(GROUPS),
    kind=st.sampled_from([*KINDS, "pods/scale", "secrets/scale"]),
    namespace=st.sampled_from(NAMESPACES),
    data=st.data(),
)
def test_whoever_is_told_yes_may_do_each_of_it(
    rules: list[Rule], verb: str, group: str, kind: str, namespace: str, data: st.DataObject
) -> None:
    question = data.draw(questions_about(verb, group, kind, namespace))
    named, _, below = kind.partition("/")
    root = f"/apis/{group}/v1" if group else "/api/v1"
    target = f"{root}/namespaces/{namespace}/{named}/web" + (f"/{below}" if below else "")
    assert does(rules, verb, target) or not says_yes(rules, question)
