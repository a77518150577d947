"""The kinds of sign-in that a policy asks for."""

from kzproxy.policy_tools.strengths import Strength, strengths
from tests.policy_tools.policies import PODS, rule, text_of, written

DEFINITIONS = (
    "conditions:\n  fresh: {authentication: {methods: [hwk]}}\n"
    "tiers:\n- {level: 1, name: t, conditions: {authentication: {issuers: [https://i.example]}}}\n"
)


def test_sign_ins_are_found_wherever_they_are_asked_for(tmp_path):
    more = "conditions: {all: [fresh]}, obligations: {mfa: {classes: [phr, phrh]}}"
    path = written(tmp_path, rule("a", "allow", PODS, more), DEFINITIONS)
    found = strengths(text_of(path))
    assert Strength(wanted_class="phr") in found
    assert Strength(methods=("hwk",)) in found
    assert Strength(issuer="https://i.example") in found
    together = Strength(wanted_class="phr", methods=("hwk",), issuer="https://i.example")
    assert together in found
    assert together.words() == "class phr, method hwk, issuer https://i.example"
    assert Strength() not in found


def test_what_an_expression_may_want_of_a_sign_in_is_tried(tmp_path):
    when = 'when: \'authentication.acr == "phr" || "hwk" in authentication.amr\''
    path = written(tmp_path, rule("a", "allow", PODS, when))
    found = strengths(text_of(path))
    assert Strength(wanted_class="phr") in found
    assert Strength(methods=("hwk",)) in found
    when = "when: 'request.name == \"phr\"'"
    path = written(tmp_path, rule("a", "allow", PODS, when))
    assert strengths(text_of(path)) == []
