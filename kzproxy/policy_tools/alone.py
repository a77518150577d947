"""Ask the engine about one rule, or a part of one, as if there were no other."""

from dataclasses import dataclass, fields, replace

from kzproxy.attributes.attributes import Attributes
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """Whether it holds; ``error`` says why that cannot be told."""

    holds: bool
    error: str = ""


def matches(policies: AccessPolicySet, rule: Rule, attributes: Attributes) -> Holding:
    """Whether ``rule`` alone matches, in the engine's own words."""
    decision = PolicyEngine(replace(policies, rules=(rule,))).decide(attributes)
    error = next((why for rule_id, why in decision.errors if rule_id == rule.id), "")
    return Holding(holds=rule.id in decision.matched, error=error)


def for_everyone(rule: Rule) -> Rule:
    """Return the rule as if it meant every signed-in user."""
    return replace(rule, groups=frozenset({EVERYONE}))


def bare(effect: Effect, match: tuple[Match, ...]) -> Rule:
    """Return a rule that means everyone and asks for nothing but ``match``."""
    return Rule(id="asked", effect=effect, groups=frozenset({EVERYONE}), match=match)


def condition_parts(conditions: Conditions) -> dict[str, Conditions]:
    """Take conditions apart: the first word of each field, with that part alone."""
    given: dict[str, dict[str, object]] = {}
    for field in fields(conditions):
        value = getattr(conditions, field.name)
        if value != getattr(NO_CONDITIONS, field.name):
            given.setdefault(field.name.split("_")[0], {})[field.name] = value
    return {word: Conditions(**values) for word, values in given.items()}  # type: ignore[arg-type]
