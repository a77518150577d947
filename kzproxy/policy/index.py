"""Find the few rules that can concern a request, out of many.

Two look-ups: by what is asked (verb, group, resource), then by who asks. What is left, names,
namespaces and conditions, is judged rule by rule.
"""

from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter

import msgspec

from kzproxy.attributes.identity import Identity
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.policy.condition_check import Compiler, ConditionCheck
from kzproxy.policy.decision import Dependency
from kzproxy.policy.glob import Names
from kzproxy.policy.obligation_check import ObligationCheck, obligations_rest_on
from kzproxy.policy.rules import EVERYONE, Effect, Match, Rule
from kzproxy.policy.vocabulary import ALL, NODE_PROXY, resource_key

# So many kinds of request are remembered; Kubernetes has a few hundred resources, and a caller
# who makes some up must not fill the memory.
_MAX_REMEMBERED_KINDS = 4096

_BY_ORDER = attrgetter("order")

Kind = tuple[str, ...]
"""Verb, and for a resource its group, name and subresource; a verb alone for other URLs."""


class CompiledRule(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A rule with its place in the files and its conditions ready.

    Attributes:
        depends_on: What conditions and obligations rest on.
    """

    order: int
    rule: Rule
    check: ConditionCheck
    obligations: ObligationCheck
    depends_on: frozenset[Dependency]


class CompiledMatch:
    """One ``match`` of a rule, with its names ready.

    Attributes:
        is_simple: It asks for nothing but verbs, groups, resources and perhaps namespaces.
    """

    __slots__ = (
        "compiled",
        "excluded",
        "is_simple",
        "match",
        "names",
        "namespaces",
        "order",
        "urls",
    )

    def __init__(self, compiled: CompiledRule, match: Match) -> None:
        self.compiled = compiled
        self.order = compiled.order
        self.match = match
        self.namespaces = Names(match.namespaces) if match.namespaces else None
        self.names = Names(match.names) if match.names else None
        self.excluded = frozenset(resource_key(each) for each in match.excluded_resources)
        # A URL pattern is a glob whose only star stands at its end; the loader sees to that.
        self.urls = Names(tuple(match.non_resource_urls)) if match.non_resource_urls else None
        self.is_simple = not (
            match.names
            or match.excluded_resources
            or match.non_resource_urls
            or match.namespace_selector
            or match.label_equalities
            or match.field_equalities
        )


class RuleIndex:
    """The rules of one effect, found by request and subject.

    Wildcards of allow rules never reach ``nodes/proxy``; those of deny rules do.
    """

    def __init__(self, rules: Iterable[Rule], effect: Effect, compiler: Compiler) -> None:
        self.rules: list[CompiledRule] = []
        self._effect = effect
        self._by_kind: dict[Kind, list[CompiledMatch]] = {}
        self._remembered: dict[Kind, _SubjectTable] = {}
        for order, rule in enumerate(rules):
            if rule.effect is effect:
                check = compiler.check(rule.conditions, rule.when)
                rests = check.depends_on | obligations_rest_on(rule.obligations)
                self._add(
                    CompiledRule(
                        order=order,
                        rule=rule,
                        check=check,
                        obligations=ObligationCheck(rule.obligations),
                        depends_on=rests,
                    )
                )

    def candidates(self, subject: Identity, kind: Kind) -> Sequence[CompiledMatch]:
        """Return the matches whose subject, verb, group and resource fit, in file order."""
        table = self._remembered.get(kind)
        if table is None:
            table = _SubjectTable(self._of_kind(kind))
            # Who makes some up must not keep the others from being remembered either.
            if len(self._remembered) >= _MAX_REMEMBERED_KINDS:
                self._remembered.clear()
            self._remembered[kind] = table
        return table.of(subject) if table.any else ()

    def _add(self, compiled: CompiledRule) -> None:
        self.rules.append(compiled)
        for match in compiled.rule.match:
            candidate = CompiledMatch(compiled, match)
            for key in _written_kinds(match):
                self._by_kind.setdefault(key, []).append(candidate)

    def _of_kind(self, kind: Kind) -> list[CompiledMatch]:
        keys = self._covering_kinds(kind)
        return [candidate for key in keys for candidate in self._by_kind.get(key, ())]

    def _covering_kinds(self, kind: Kind) -> Iterator[Kind]:
        verb, *asked = kind
        if not asked:
            yield from ((verb,), (ALL,))
            return
        group, resource, subresource = asked
        for written in self._covering_resources(resource, subresource):
            yield from ((v, g, written) for v in (verb, ALL) for g in (group, ALL))

    def _covering_resources(self, resource: str, subresource: str) -> tuple[str, ...]:
        if not subresource:
            return (resource, ALL)
        asked = f"{resource}/{subresource}"
        if self._effect is Effect.ALLOW and asked == NODE_PROXY:
            return (asked,)
        return (asked, f"{resource}/*", f"*/{subresource}", ALL)


class _SubjectTable:
    """The matches of one kind of request, by who may be meant."""

    __slots__ = ("_by_group", "_by_spiffe_id", "_by_user", "_everyone", "any")

    def __init__(self, candidates: Iterable[CompiledMatch]) -> None:
        self._by_user: dict[str, list[CompiledMatch]] = {}
        self._by_group: dict[str, list[CompiledMatch]] = {}
        self._by_spiffe_id: list[tuple[Names, CompiledMatch]] = []
        # A match that names a verb and ``*`` besides is found twice.
        ordered = sorted(dict.fromkeys(candidates), key=_BY_ORDER)
        self.any = bool(ordered)
        for candidate in ordered:
            for user in candidate.compiled.rule.users:
                self._by_user.setdefault(user, []).append(candidate)
            if patterns := candidate.compiled.rule.spiffe_ids:
                self._by_spiffe_id.append((Names(patterns), candidate))
            for group in candidate.compiled.rule.groups:
                self._by_group.setdefault(group, []).append(candidate)
        self._everyone = self._by_group.get(EVERYONE)

    def of(self, subject: Identity) -> Sequence[CompiledMatch]:
        """Return each match that means the subject once, in file order."""
        by_group = self._by_group
        found = [part for group in subject.groups if (part := by_group.get(group)) is not None]
        if self._everyone is not None:
            found.append(self._everyone)
        if (of_user := self._by_user.get(subject.username)) is not None:
            found.append(of_user)
        if self._by_spiffe_id and (spiffe_id := subject.spiffe_id):
            found.append([each for names, each in self._by_spiffe_id if names.hold(spiffe_id)])
        if len(found) < 2:  # Mostly one group of many is named, and its rules are in order.
            return found[0] if found else ()
        return sorted({each: None for part in found for each in part}, key=_BY_ORDER)


def kind_of(request: RequestInfo) -> Kind:
    """Return what rules are found by."""
    if not request.is_resource:
        return (request.verb,)
    return (request.verb, request.api_group, request.resource, request.subresource)


def _written_kinds(match: Match) -> Iterator[Kind]:
    for verb in match.verbs:
        if match.non_resource_urls:
            yield (verb,)
        for group in match.api_groups:
            yield from ((verb, group, key) for key in {resource_key(r) for r in match.resources})
