"""Deny rules on reading that leave open what is answered with the object too.

kube-apiserver answers a patch with the whole object, one that changes nothing and a dry run among
them; a deletion of many with all of them; and the deletion of one with what is kept for its
finalizers. RBAC does not ask for ``get`` then.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from kzproxy.policy.glob import Names
from kzproxy.policy.rules import EVERYONE
from kzproxy.policy.vocabulary import ALL
from kzproxy.policy_tools.covering import (
    asks_no_more,
    covering,
    excluded,
    pattern_holds,
    positive,
)
from kzproxy.policy_tools.finding import Finding, Lint
from kzproxy.policy_tools.policy_text import MatchText, PolicyText, RuleText

_ANSWERED_WITH_THE_OBJECT = ("patch", "delete", "deletecollection")


def read_by_change(text: PolicyText) -> Iterator[Finding]:
    """Find deny rules on ``get`` whose people may have the object by a change."""
    allows = [rule for rule in text.rules if rule.effect == "allow"]
    denies = [rule for rule in text.rules if rule.effect == "deny"]
    for rule in denies:
        others = [other for other in denies if asks_no_more(other, rule)]
        means = [other for other in allows if _may_mean_the_same(rule, other)]
        for match in rule.matches:
            open_ways = list(_open_ways(rule, match, others, means))
            if open_ways:
                verbs = " and ".join(dict.fromkeys(verb for verb, _ in open_ways))
                by = ", ".join(dict.fromkeys(other for _, other in open_ways))
                yield Finding(
                    lint=Lint.READ_BY_CHANGE,
                    place=match.place,
                    rule=rule.id,
                    message="the answer to a patch, and to some deletions, holds the object, in a"
                    f" dry run too, and {by} allows them; add {verbs}",
                )


def _may_mean_the_same(rule: RuleText, other: RuleText) -> bool:
    both = rule.subjects | other.subjects
    return ("groups", EVERYONE) in both or not rule.subjects.isdisjoint(other.subjects)


def _open_ways(
    rule: RuleText, match: MatchText, others: Sequence[RuleText], allows: Sequence[RuleText]
) -> Iterator[tuple[str, str]]:
    """Yield each verb that reads too, with an allow rule for it."""
    kinds = [kind for kind in positive(match.resources) if kind != ALL and "/" not in kind]
    if "get" not in match.verbs or not kinds:
        return
    for verb in _ANSWERED_WITH_THE_OBJECT:
        wanted = replace(match, verbs=(verb,), resources=tuple(kinds))
        for other in allows:
            within = [_within(each, wanted) for each in other.matches if _may_allow(each, wanted)]
            if any(not covering(replace(rule, matches=(each,)), others) for each in within):
                yield verb, other.id
                break


def _within(match: MatchText, wanted: MatchText) -> MatchText:
    """Return what of ``wanted`` an allow rule's ``match`` reaches, or more."""
    return replace(
        wanted,
        namespaces=wanted.namespaces or match.namespaces,
        names=wanted.names or match.names,
    )


def _may_allow(match: MatchText, wanted: MatchText) -> bool:
    left_out = excluded(match.resources)
    return (
        not {ALL, *wanted.verbs}.isdisjoint(match.verbs)
        and _meet(match.api_groups, wanted.api_groups)
        and _meet(match.namespaces, wanted.namespaces)
        and _meet(match.names, wanted.names)
        and any(
            pattern_holds(pattern, kind, "allow")
            for pattern in positive(match.resources)
            for kind in wanted.resources
            if kind not in left_out
        )
    )


def _meet(some: Sequence[str], others: Sequence[str]) -> bool:
    """Whether two lists of names and globs surely have something in common; empty is all."""
    if not some or not others:
        return True
    return any(map(Names(some).hold, others)) or any(map(Names(others).hold, some))
