"""Finding the rules that can concern a request."""

from hypothesis import given
from hypothesis import strategies as st

from kzproxy.attributes.request_info import RequestInfo
from kzproxy.policy.condition_check import Compiler
from kzproxy.policy.index import RuleIndex, kind_of
from kzproxy.policy.rules import AccessPolicySet, Effect
from tests.policy.samples import allow, asked, deny, match, subject

COMPILER = Compiler.of(AccessPolicySet(rules=()))


def found(rules, target, *, effect=Effect.ALLOW, who=None):
    index = RuleIndex(rules, effect, COMPILER)
    request = RequestInfo.parse("GET", target)
    return [c.compiled.rule.id for c in index.candidates(who or subject(), kind_of(request))]


def test_rules_come_in_the_order_of_the_files_however_they_are_found():
    rules = [
        allow("everyone", match("*", "pods"), groups="system:authenticated"),
        allow("group", match("get", "*"), groups="dev"),
        allow("user", match("get", "pods"), users="ann"),
        allow("everyone-again", match("get", "*"), groups="system:authenticated"),
    ]

    assert found(rules, "/api/v1/namespaces/dev/pods/p") == [rule.id for rule in rules]


def test_a_rule_is_found_once_by_user_group_and_wildcard_together():
    rule = allow("r", match("* get", "* pods", groups=["", "*"]), users="ann", groups="dev")

    assert found([rule], "/api/v1/namespaces/dev/pods/p", who=subject("ann", "dev dev")) == ["r"]


def test_each_effect_has_its_own_index():
    rules = [allow("a", match("*", "*")), deny("d", match("*", "*"))]

    assert found(rules, "/api/v1/pods") == ["a"]
    assert found(rules, "/api/v1/pods", effect=Effect.DENY) == ["d"]


def test_rules_for_resources_and_for_urls_do_not_meet():
    rules = [allow("resource", match("*", "*")), allow("url", match("*", urls="*"))]

    assert found(rules, "/api/v1/pods") == ["resource"]
    assert found(rules, "/version") == ["url"]


def test_a_resource_that_is_called_like_a_wildcard_reaches_no_more_than_the_wildcard():
    rules = [allow("named", match("get", "nodes/proxy")), allow("all", match("get", "pods/*"))]

    assert found(rules, "/api/v1/namespaces/dev/*/x") == []
    assert found(rules, "/api/v1/namespaces/dev/*/x/*") == []


@given(names=st.lists(st.text("abcdefgh", min_size=1, max_size=6), max_size=50))
def test_made_up_resources_get_the_same_answer_whether_remembered_or_not(names):
    index = RuleIndex([allow("r", match("get", "*"))], Effect.ALLOW, COMPILER)
    requests = [RequestInfo.parse("GET", f"/api/v1/namespaces/dev/{n}/x") for n in names]

    answers = [
        len(index.candidates(subject(), kind_of(request))) for request in [*requests, *requests]
    ]

    assert answers == [1] * len(answers)


def test_made_up_resources_do_not_fill_the_memory():
    index = RuleIndex([allow("r", match("get", "*"))], Effect.ALLOW, COMPILER)
    for number in range(5000):
        request = asked("GET", f"/api/v1/namespaces/dev/r{number}/x").request
        assert index.candidates(subject(), kind_of(request))

    assert len(index._remembered) <= 4096


def test_made_up_resources_keep_no_other_from_being_remembered():
    index = RuleIndex([allow("a", match("get", "pods"))], Effect.ALLOW, COMPILER)
    for number in range(5000):
        request = RequestInfo.parse("GET", f"/api/v1/namespaces/dev/made-up-{number}")
        index.candidates(subject(), kind_of(request))
    pods = kind_of(RequestInfo.parse("GET", "/api/v1/namespaces/dev/pods/p"))

    assert index.candidates(subject(), pods) is index.candidates(subject(), pods)
