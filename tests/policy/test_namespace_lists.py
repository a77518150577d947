"""A list of namespaces is permitted where some may be in it, and says that each is to be judged."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from kzproxy.attributes.attributes import Attributes
from kzproxy.policy.decision import Decision, Deny, Dependency, Permit
from kzproxy.policy.rules import Conditions, Match, RequestFeatures, Rule
from kzproxy.policy.selectors import LabelRequirement, LabelSelector, Operator
from tests.policy.plain_reading import is_permitted
from tests.policy.samples import allow, asked, decide, deny, match
from tests.policy.small_world import (
    DEFINITIONS,
    engine_of,
    narrow_policies,
    policies,
    requests,
)

LIST = "/api/v1/namespaces"
ALL = match("*", "*")
LABELLED = LabelSelector(
    requirements=(LabelRequirement(key="a", operator=Operator.EXISTS, values=frozenset()),)
)


def listing(*rules: Rule, target: str = LIST) -> Decision:
    return decide(rules, asked("GET", target))


def labelled() -> Match:
    return Match(
        verbs=frozenset({"*"}),
        api_groups=frozenset({"*"}),
        resources=frozenset({"*"}),
        namespace_selector=LABELLED,
    )


@pytest.mark.parametrize("target", [LIST, f"{LIST}?watch=1"])
@pytest.mark.parametrize(
    "rules",
    [
        (allow("some", match("*", "*", namespaces="team-*")),),
        (allow("some", match("list watch", "namespaces", names="team-a")),),
        (allow("some", labelled()),),
        (allow("all", ALL), deny("prod", match("*", "*", namespaces="prod"))),
        (allow("all", ALL), deny("prod", labelled())),
        (
            allow("all", ALL),
            deny("late", ALL, conditions=Conditions(request=RequestFeatures(dry_run=True))),
        ),
    ],
)
def test_where_rules_tell_namespaces_apart_each_is_to_be_judged(
    rules: tuple[Rule, ...], target: str
) -> None:
    decision = listing(*rules, target=target)
    assert isinstance(decision, Permit)
    assert decision.by_namespace


def test_where_none_does_all_are_shown() -> None:
    decision = listing(allow("all", ALL), deny("secrets", match("*", "secrets")))
    assert isinstance(decision, Permit)
    assert not decision.by_namespace


def test_whoever_is_denied_all_is_denied_the_list() -> None:
    everything = (match("*", "*"), match("*", "*", namespaces="*"), match("list", "namespaces"))
    for denied in everything:
        assert isinstance(listing(allow("all", ALL), deny("none", denied)), Deny)


def test_a_rule_that_does_not_list_namespaces_lists_none() -> None:
    for other in (match("get", "*"), match("*", "pods", namespaces="team-*")):
        assert isinstance(listing(allow("some", other)), Deny)


def test_one_that_is_asked_for_by_its_name_must_be_named() -> None:
    rule = allow("some", match("*", "*", namespaces="team-*"))
    by_name = f"{LIST}?fieldSelector=metadata.name%3D"
    assert isinstance(listing(rule, target=f"{by_name}team-a"), Permit)
    assert isinstance(listing(rule, target=f"{by_name}prod"), Deny)


def test_it_rests_on_labels_where_rules_do() -> None:
    assert Dependency.NAMESPACE in listing(allow("some", labelled())).depends_on


@pytest.mark.parametrize(
    "target",
    ["/apis/example.org/v1/namespaces", "/api/v1/pods", f"{LIST}/a", f"{LIST}/a/pods"],
)
def test_nothing_else_is_judged_so(target: str) -> None:
    decision = listing(
        allow("all", ALL), allow("some", match("*", "*", namespaces="b")), target=target
    )
    assert isinstance(decision, Permit)
    assert not decision.by_namespace


_LISTS = st.sampled_from(
    [LIST, f"{LIST}?watch=1", f"{LIST}?fieldSelector=metadata.name%3Ddev", f"{LIST}?limit=5"]
)
_LABELS = ((), (("env", "prod"),), (("team", "a"),), (("env", "prod"), ("team", "a")))


_SOME = st.builds(
    match,
    st.just("*"),
    st.just("*"),
    namespaces=st.sampled_from(["", "dev", "p*", "*"]),
    names=st.sampled_from(["", "dev", "*"]),
)
_TWO = st.tuples(
    st.builds(allow, st.just("a"), _SOME, groups=st.just("system:authenticated")),
    st.builds(deny, st.just("d"), _SOME, groups=st.just("system:authenticated")),
).map(list)


@settings(max_examples=50)
@given(
    policy=policies | narrow_policies() | _TWO | _TWO,
    asked_for=requests(paths=_LISTS),
)
def test_a_list_that_is_relayed_as_it_comes_holds_none_that_may_not_be_seen(
    policy: list[Rule], asked_for: Attributes
) -> None:
    """Whatever namespaces there are, by the plain reading of policy."""
    if asked_for.request.verb not in ("list", "watch"):
        return
    engine = engine_of(policy)
    whole = replace(asked_for, api_object=None)
    decision = engine.decide(whole)
    for name, labels in product(("dev", "prod", "other"), _LABELS):
        info = replace(whole.request, namespace=name, name=name)
        one = replace(whole, request=info, namespace_labels=labels)
        is_seen = is_permitted(policy, one, DEFINITIONS)
        assert isinstance(engine.decide_afresh(one), Permit) is is_seen
        if isinstance(decision, Permit) and whole.request.name in ("", name):
            assert decision.by_namespace or is_seen
