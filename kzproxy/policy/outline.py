"""What the rules of a policy name, for questions about all that there is."""

from collections.abc import Iterator
from itertools import product

import msgspec

from kzproxy.attributes.identity import Identity
from kzproxy.policy.examples import Examples
from kzproxy.policy.glob import WILDCARD, Names
from kzproxy.policy.rules import EVERYONE, AccessPolicySet, Effect, Match, Rule

_TOLD_APART = frozenset({"namespace", "name", "resource"})


class Outline(msgspec.Struct, frozen=True, kw_only=True):
    """What rules name.

    Attributes:
        examples: Something of each kind that rules deny or leave out.
        paths: Of URLs, in allow rules.
        names: Of objects, in allow rules; those without a wildcard.
        limited: Allow rules that hold for some objects only, which RBAC has no words for.
    """

    examples: Examples
    paths: tuple[str, ...]
    names: tuple[str, ...]
    limited: tuple[Rule, ...]

    @classmethod
    def of(cls, policies: AccessPolicySet) -> "Outline":
        """Read it off a policy."""
        known = policies.rules
        allows = [rule for rule in known if rule.effect is Effect.ALLOW]
        matches = [match for rule in allows for match in rule.match]
        denied = [match for rule in known if rule.effect is Effect.DENY for match in rule.match]
        names = (name for match in matches for name in match.names if WILDCARD not in name)
        paths = (path for match in matches for path in sorted(match.non_resource_urls))
        return cls(
            examples=Examples.of(denied, matches, _told(policies)),
            paths=tuple(dict.fromkeys(paths)),
            names=tuple(dict.fromkeys(names)),
            limited=tuple(rule for rule in allows if any(map(_is_limited, rule.match))),
        )

    def limited_for(self, subject: Identity) -> tuple[str, ...]:
        """Return the ids of the limited rules that mean ``subject``."""
        return tuple(rule.id for rule in self.limited if _means(rule, subject))


def _told(policies: AccessPolicySet) -> Iterator[tuple[str, str]]:
    """Return what each expression reads of the object asked for, with the texts in it.

    An expression can tell one namespace or name from all others only by a text that it holds.
    """
    of_rules = (rule.when for rule in policies.rules)
    of_conditions = (condition.when for condition in policies.conditions)
    for when in (*of_rules, *of_conditions, *(tier.when for tier in policies.tiers)):
        if when is not None:
            reads = {name.removeprefix("request.") for name in when.reads}
            yield from product(sorted(reads & _TOLD_APART), when.texts)


def _is_limited(match: Match) -> bool:
    has_globs = any(WILDCARD in name for name in match.names)
    return has_globs or bool(match.label_equalities or match.field_equalities)


def _means(rule: Rule, subject: Identity) -> bool:
    if EVERYONE in rule.groups or subject.username in rule.users:
        return True
    spiffe_id = subject.spiffe_id
    return not rule.groups.isdisjoint(subject.groups) or bool(
        spiffe_id and Names(rule.spiffe_ids).hold(spiffe_id)
    )
