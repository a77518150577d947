"""What another policy would have answered, where that can be told from what was found out."""

from kzproxy.administrator.shadow import Shadow
from kzproxy.audit.schema import ShadowVerdict
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.obligations import Obligations
from kzproxy.policy.rules import AccessPolicySet, Rule
from tests.policy.samples import allow, asked, match

EVERYTHING = match("*", "*")
PLAIN = allow("plain", EVERYTHING)
REASONED = allow("reasoned", EVERYTHING, obligations=Obligations(reason=True))


def engine_of(*rules: Rule) -> PolicyEngine:
    return PolicyEngine(AccessPolicySet(rules=rules))


def other_answer(in_force: tuple[Rule, ...], shadow: tuple[Rule, ...]) -> ShadowVerdict | None:
    decision = engine_of(*in_force).decide(asked("GET", "/api/v1/namespaces/dev/pods/a"))
    answer = Shadow(engine_of(*shadow)).other_answer(decision)
    return None if answer is None else answer.decision


def test_a_reason_that_nobody_looked_for_is_not_held_to_be_missing() -> None:
    assert other_answer((PLAIN,), (REASONED,)) is ShadowVerdict.UNTOLD


def test_one_that_was_looked_for_and_not_given_is_missing() -> None:
    assert other_answer((REASONED, PLAIN), (REASONED,)) is ShadowVerdict.DENY


def test_who_needs_none_is_answered_all_the_same() -> None:
    assert other_answer((PLAIN,), ()) is ShadowVerdict.DENY
    assert other_answer((PLAIN,), (REASONED, PLAIN)) is None
