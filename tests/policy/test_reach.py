"""What asks for more than an allow rule names is not reached by it, whatever else the rule asks."""

import pytest
from msgspec.structs import replace

from kzproxy.policy.decision import Permit
from kzproxy.policy.rules import Match
from tests.policy.samples import allow, asked, decide, deny, match

SELECTED = frozenset({("team", "a")})
QUERY = "labelSelector=team%3Da"


def is_permitted(written: Match, target: str) -> bool:
    return isinstance(decide([allow("r", written)], asked("GET", target)), Permit)


@pytest.mark.parametrize("namespaces", ["*", "dev", "*v"])
def test_all_namespaces_at_once_are_no_namespace_that_is_named(namespaces):
    pods = match("list", "pods", namespaces=namespaces)
    narrower = [
        replace(pods, label_equalities=SELECTED),
        replace(pods, excluded_resources=frozenset({"secrets"})),
        replace(pods, names=("*",)),
    ]
    for written in narrower:
        query = f"{QUERY}&fieldSelector=metadata.name%3Dp"
        assert is_permitted(written, f"/api/v1/namespaces/dev/pods?{query}")
        assert not is_permitted(written, f"/api/v1/pods?{query}")


def test_a_list_of_namespaces_must_select_what_the_rule_selects_too():
    written = replace(match("list", "namespaces"), label_equalities=SELECTED)

    assert is_permitted(written, f"/api/v1/namespaces?{QUERY}")
    assert not is_permitted(written, "/api/v1/namespaces?labelSelector=team%3Db")
    assert not is_permitted(written, "/api/v1/namespaces")


def test_what_selects_nothing_is_not_what_a_rule_for_a_selection_names():
    written = replace(match("*", "pods"), label_equalities=SELECTED)

    assert not is_permitted(written, f"/api/v1/namespaces/dev/pods/web?{QUERY}")


def test_one_namespace_is_judged_by_its_name_and_many_by_each():
    written = match("get list", "namespaces", namespaces="dev")

    assert is_permitted(written, "/api/v1/namespaces/dev")
    assert not is_permitted(written, "/api/v1/namespaces/prod")
    for target in ("/api/v1/namespaces", "/api/v1/namespaces?fieldSelector=metadata.name%3Ddev"):
        decision = decide([allow("r", written)], asked("GET", target))
        assert isinstance(decision, Permit)
        assert decision.by_namespace


def test_what_is_left_out_of_a_rule_is_left_out_of_lists_of_namespaces_too():
    but = replace(match("*", "*"), excluded_resources=frozenset({"namespaces"}))
    everything = allow("all", match("*", "*"))
    request = asked("GET", "/api/v1/namespaces")

    assert not is_permitted(but, "/api/v1/namespaces")
    assert is_permitted(but, "/api/v1/pods")
    assert isinstance(decide([everything, deny("d", but)], request), Permit)


def test_a_list_must_select_by_fields_what_the_rule_selects():
    written = replace(match("list", "pods"), field_equalities=frozenset({("spec.nodeName", "n")}))

    assert is_permitted(
        written, "/api/v1/pods?fieldSelector=spec.nodeName%3Dn,status.phase%3DFailed"
    )
    assert not is_permitted(written, "/api/v1/pods?fieldSelector=spec.nodeName%3Dm")
    assert not is_permitted(written, "/api/v1/pods?labelSelector=spec.nodeName%3Dn")
    assert not is_permitted(written, "/api/v1/pods")
