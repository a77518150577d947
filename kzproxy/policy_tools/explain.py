"""Why a decision fell as it did, and what would change it.

Nothing is judged here: each part of each rule is put to the engine alone, and each change is tried
on the whole policy, so that an explanation cannot say other than what the engine does.
"""

import msgspec
from msgspec.structs import replace

from kzproxy.attributes.attributes import Attributes
from kzproxy.policy.decision import Decision, NotPermitted, Permit
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.rules import AccessPolicySet, Effect
from kzproxy.policy_tools.changes import Change, changes
from kzproxy.policy_tools.policy_text import PolicyText
from kzproxy.policy_tools.rule_reading import RuleReader, RuleReading


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Which rules would have to be others for the same request to be permitted, all of them.

    Attributes:
        denies: The deny rules that match or cannot be judged.
        needs_allow: Whether no allow rule would permit it even without those.
        nearest: The allow rule that comes nearest then; empty where none means the user.
    """

    denies: tuple[str, ...]
    needs_allow: bool
    nearest: str = ""

    @property
    def is_several(self) -> bool:
        """Whether one rule would not be enough."""
        return len(self.denies) + self.needs_allow > 1


class PolicyExplanation(msgspec.Struct, frozen=True, kw_only=True):
    """The decision, every rule in order, and what would make it a permit.

    Attributes:
        changes: Of the request; each was tried.
        standing: What stands in the way in the policy; None where it is permitted.
    """

    decision: Decision
    rules: tuple[RuleReading, ...]
    changes: tuple[Change, ...]
    standing: Standing | None = None


def explain_decision(
    policies: AccessPolicySet, text: PolicyText, attributes: Attributes
) -> PolicyExplanation:
    """Explain how ``attributes`` are judged; ``text`` is what ``policies`` were read from."""
    decision = PolicyEngine(policies).decide(attributes)
    rules = RuleReader(policies, text, attributes, decision).read_all()
    if isinstance(decision, Permit):
        return PolicyExplanation(decision=decision, rules=rules, changes=())
    return PolicyExplanation(
        decision=decision,
        rules=rules,
        changes=changes(policies, text, attributes),
        standing=_standing(policies, decision),
    )


def _standing(policies: AccessPolicySet, decision: NotPermitted) -> Standing:
    against = {*decision.matched, *(rule_id for rule_id, _ in decision.errors)}
    denies = tuple(r.id for r in policies.rules if r.effect is Effect.DENY and r.id in against)
    spared = replace(policies, rules=tuple(r for r in policies.rules if r.id not in denies))
    without = PolicyEngine(spared).decide(decision.attributes)
    needs_allow = not isinstance(without, Permit)
    return Standing(denies=denies, needs_allow=needs_allow, nearest=without.rule * needs_allow)
