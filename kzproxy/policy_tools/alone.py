"""Ask the engine about one rule, or a part of one, as if there were no other."""

import msgspec
from msgspec.structs import fields, replace

from kzproxy.attributes.attributes import Attributes
from kzproxy.policy.decision import NotPermitted
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.rules import (
    EVERYONE,
    NO_CONDITIONS,
    AccessPolicySet,
    Conditions,
    Effect,
    Match,
    Rule,
)
from kzproxy.policy.vocabulary import ALL, NODE_PROXY

ANY_MATCH = (
    Match(
        verbs=frozenset({ALL}),
        api_groups=frozenset({ALL}),
        resources=frozenset({ALL, NODE_PROXY}),
    ),
    Match(verbs=frozenset({ALL}), non_resource_urls=frozenset({ALL})),
)
# Fields of Conditions that policies write otherwise.
_WORDS = {
    "device_enrolled": "device",
    "device_tier": "device",
    "device_below_tier": "device",
    "sign_in": "authentication",
    "session_max_age": "session",
    "session_kept": "session",
    "session_max_risk": "session",
    "session_same_address": "session",
    "session_same_country": "session",
    "workloads": "workload",
    "api_object": "object",
    "all_of": "all",
    "any_of": "any",
    "none_of": "none",
}


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """Whether it holds; ``error`` says why that cannot be told."""

    holds: bool
    error: str = ""


def matches(policies: AccessPolicySet, rule: Rule, attributes: Attributes) -> Holding:
    """Whether ``rule`` alone matches, in the engine's own words."""
    decision = PolicyEngine(replace(policies, rules=(rule,))).decide(attributes)
    error = next((why for rule_id, why in decision.errors if rule_id == rule.id), "")
    return Holding(holds=rule.id in decision.matched, error=error)


def unmet(policies: AccessPolicySet, rule: Rule, attributes: Attributes) -> tuple[str, ...]:
    """Return the obligations of ``rule`` that are not met, whatever else it asks."""
    asked = replace(bare(rule.effect, ANY_MATCH), obligations=rule.obligations)
    decision = PolicyEngine(replace(policies, rules=(asked,))).decide(attributes)
    return decision.unmet if isinstance(decision, NotPermitted) else ()


def bare(effect: Effect, match: tuple[Match, ...]) -> Rule:
    """Return a rule that means everyone and asks for nothing but ``match``."""
    return Rule(id="asked", effect=effect, groups=frozenset({EVERYONE}), match=match)


def condition_parts(conditions: Conditions) -> dict[str, Conditions]:
    """Take conditions apart, by the words of the language."""
    given: dict[str, dict[str, object]] = {}
    for field in fields(conditions):
        value = getattr(conditions, field.name)
        if value != getattr(NO_CONDITIONS, field.name):
            given.setdefault(_WORDS.get(field.name, field.name), {})[field.name] = value
    return {word: Conditions(**values) for word, values in given.items()}  # type: ignore[arg-type]
