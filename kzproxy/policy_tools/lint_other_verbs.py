"""Deny rules on one verb that leave another open by which the same is done.

What can be got can be listed and watched, an update can be a patch, and many deletions one. And
kube-apiserver answers a patch with the whole object, one that changes nothing and a dry run among
them; a deletion of many with all of them; and the deletion of one with what is kept for its
finalizers. RBAC does not ask for ``get`` then.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec.structs import replace

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

_ANSWERED_WITH_THE_OBJECT = {"get": ("patch", "delete", "deletecollection")}
_DO_THE_SAME = {
    "get": ("list", "watch"),
    "list": ("watch",),
    "update": ("patch",),
    "patch": ("update",),
    "delete": ("deletecollection",),
}


def read_by_change(text: PolicyText) -> Iterator[Finding]:
    """Find deny rules on ``get`` whose people may have the object by a change."""
    for rule, match, verbs, by in _left_open(text, _ANSWERED_WITH_THE_OBJECT):
        yield Finding(
            lint=Lint.READ_BY_CHANGE,
            place=match.place,
            rule=rule.id,
            message="the answer to a patch, and to some deletions, holds the object, in a dry run"
            f" too, and {by} allows them; add {verbs}",
        )


def verb_alone(text: PolicyText) -> Iterator[Finding]:
    """Find deny rules whose people may do the same by another verb."""
    for rule, match, verbs, by in _left_open(text, _DO_THE_SAME):
        yield Finding(
            lint=Lint.VERB_ALONE,
            place=match.place,
            rule=rule.id,
            message=f"the same is done by {verbs}, which {by} allows; add {verbs}",
        )


def _left_open(
    text: PolicyText, ways: Mapping[str, tuple[str, ...]]
) -> Iterator[tuple[RuleText, MatchText, str, str]]:
    """Yield each entry of a deny rule that leaves verbs open, those, and who allows them."""
    allows = [rule for rule in text.rules if rule.effect == "allow"]
    denies = [rule for rule in text.rules if rule.effect == "deny"]
    for rule in denies:
        others = [other for other in denies if asks_no_more(other, rule)]
        means = [other for other in allows if _may_mean_the_same(rule, other)]
        for match in rule.matches:
            verbs = dict.fromkeys(way for verb in match.verbs for way in ways.get(verb, ()))
            found = list(
                _open(rule, match, [v for v in verbs if v not in match.verbs], others, means)
            )
            if found:
                by = ", ".join(dict.fromkeys(other for _, other in found))
                yield rule, match, " and ".join(verb for verb, _ in found), by


def _may_mean_the_same(rule: RuleText, other: RuleText) -> bool:
    both = rule.subjects | other.subjects
    return ("groups", EVERYONE) in both or not rule.subjects.isdisjoint(other.subjects)


def _open(
    rule: RuleText,
    match: MatchText,
    verbs: Iterable[str],
    others: Sequence[RuleText],
    allows: Sequence[RuleText],
) -> Iterator[tuple[str, str]]:
    """Yield each of ``verbs`` that an allow rule leaves open, with that rule."""
    for verb in verbs:
        wanted = replace(match, verbs=(verb,), resources=tuple(_kinds(match, verb)))
        for other in allows:
            within = [_within(each, wanted) for each in other.matches if _may_allow(each, wanted)]
            if any(not covering(replace(rule, matches=(each,)), others) for each in within):
                yield verb, other.id
                break


def _kinds(match: MatchText, verb: str) -> Iterator[str]:
    """Return the resources that have the verb; namespaces are not deleted many at a time."""
    for kind in positive(match.resources):
        is_plain = "/" not in kind and (kind, verb) != ("namespaces", "deletecollection")
        if kind != ALL and (is_plain or ("/" in kind and verb in ("update", "patch"))):
            yield kind


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
