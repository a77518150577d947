"""One rule, part by part: which parts hold, what they want and what the request has.

Nothing is judged here: each part is put to the engine alone, so that a reading cannot say other
than what the engine does.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from kzproxy.attributes.attributes import Attributes
from kzproxy.policy.condition_check import Compiler
from kzproxy.policy.decision import Decision
from kzproxy.policy.rules import AccessPolicySet, Match, Rule
from kzproxy.policy.view import RequestView
from kzproxy.policy.vocabulary import ALL
from kzproxy.policy_tools.alone import ANY_MATCH, bare, condition_parts, matches, unmet
from kzproxy.policy_tools.facts_found import found
from kzproxy.policy_tools.policy_text import MatchText, Place, PolicyText, RuleText

if TYPE_CHECKING:  # CEL weighs 14 MiB: only a policy with an expression has it loaded.
    from kzproxy.policy.expression_values import Valued


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a rule asks.

    Attributes:
        name: ``subjects``, ``match``, a condition or ``when``.
        holds: In the sense of the rule: a condition of a deny rule holds where it denies.
        wanted: As written.
        found: What the request has instead or as well.
        error: Why it cannot be judged; empty where it can.
        values: Of an expression, part by part; None for anything else.
    """

    name: str
    holds: bool
    wanted: object
    found: str
    error: str = ""
    values: "Valued | None" = None


class RuleReading(msgspec.Struct, frozen=True, kw_only=True):
    """One rule, part by part.

    Attributes:
        matched: Whether it matched.
        met: Its obligations that are met, by name.
        unmet: Those that are not; an allow rule with one of them permits nothing.
        error: Why the whole of it could not be judged; a deny rule denies then, an allow rule
            allows nothing. Empty where it could.
    """

    rule: str
    effect: str
    place: Place
    matched: bool
    parts: tuple[Part, ...]
    met: tuple[str, ...] = ()
    unmet: tuple[str, ...] = ()
    error: str = ""

    @property
    def concerns(self) -> bool:
        """Whether it means the user and reaches the request, whatever else it asks."""
        return all(part.holds for part in self.parts[:2])

    @property
    def first_failed(self) -> Part | None:
        """The first part that does not hold."""
        return next((part for part in self.parts if not part.holds), None)


class RuleReader:
    """Reads the rules of one policy for one request.

    ``text`` is what ``policies`` were read from, ``decision`` what they came to.
    """

    def __init__(
        self,
        policies: AccessPolicySet,
        text: PolicyText,
        attributes: Attributes,
        decision: Decision,
    ) -> None:
        self._policies = policies
        self._text = text
        self._attributes = attributes
        self._decision = decision
        self._view = RequestView(attributes, Compiler.of(policies).definitions)

    def read_all(self) -> tuple[RuleReading, ...]:
        """Read every rule, in order."""
        pairs = zip(self._policies.rules, self._text.rules, strict=True)
        return tuple(self._read(rule, written) for rule, written in pairs)

    def _read(self, rule: Rule, written: RuleText) -> RuleReading:
        missing = unmet(self._policies, rule, self._attributes)
        return RuleReading(
            rule=rule.id,
            effect=rule.effect.value,
            place=written.place,
            matched=rule.id in self._decision.matched,
            parts=(
                self._subjects(rule, written),
                self._match(rule, written),
                *self._conditions(rule, written),
            ),
            met=tuple(name for name in written.obligations if name not in missing),
            unmet=missing,
            error=next((why for rule_id, why in self._decision.errors if rule_id == rule.id), ""),
        )

    def _subjects(self, rule: Rule, written: RuleText) -> Part:
        asked = replace(
            bare(rule.effect, ANY_MATCH),
            groups=rule.groups,
            users=rule.users,
            spiffe_ids=rule.spiffe_ids,
        )
        subject = self._attributes.subject
        workload = f"; workload {subject.spiffe_id}" if subject.spiffe_id else ""
        groups = ", ".join(subject.groups) or "no groups"
        return Part(
            name="subjects",
            holds=matches(self._policies, asked, self._attributes).holds,
            wanted=[name for _, name in sorted(written.subjects)],
            found=f"{subject.username} ({groups}{workload})",
        )

    def _match(self, rule: Rule, written: RuleText) -> Part:
        holds = self._reaches(rule, rule.match)
        request = self._attributes.request
        where = f" in namespace {request.namespace}" if request.namespace else ""
        what = request.qualified_resource if request.is_resource else request.path
        asked = f"{request.verb} {what}{' ' + request.name if request.name else ''}{where}"
        return Part(
            name="match",
            holds=holds,
            wanted="" if holds else self._wanted(rule, written),
            found=asked + self._selected(rule),
        )

    def _selected(self, rule: Rule) -> str:
        """Say what the rule's selectors look at."""
        request, labels = self._attributes.request, self._attributes.namespace_labels
        facts = []
        if any(match.namespace_selector is not None for match in rule.match):
            known = [f"{key}={value}" for key, value in labels or ()]
            written = "not known" if labels is None else ",".join(known) or "none"
            facts.append(f"labels of the namespace {written}")
        if any(match.label_equalities for match in rule.match):
            facts.append(f"label selector {request.label_selector or 'none'}")
        if any(match.field_equalities for match in rule.match):
            facts.append(f"field selector {request.field_selector or 'none'}")
        return "".join(f", {fact}" for fact in facts)

    def _reaches(self, rule: Rule, match: tuple[Match, ...]) -> bool:
        return matches(self._policies, bare(rule.effect, match), self._attributes).holds

    def _wanted(self, rule: Rule, written: RuleText) -> object:
        """Return the one field that, left open, would let the rule reach the request."""
        for entry, entry_text in zip(rule.match, written.matches, strict=True):
            for name, opened, words in _opened(entry, entry_text):
                if self._reaches(rule, (opened,)):
                    return {name: list(words)}
        return "something else"

    def _conditions(self, rule: Rule, written: RuleText) -> Iterator[Part]:
        asked = replace(bare(rule.effect, ANY_MATCH), patches_allowed=rule.patches_allowed)
        for name, part in condition_parts(rule.conditions).items():
            wanted = written.conditions.get(name, "")
            yield self._part(replace(asked, conditions=part), name, wanted)
        if rule.when is not None:
            from kzproxy.policy.expression_values import values_in

            when = self._part(replace(asked, when=rule.when), "when", written.when)
            yield replace(when, values=values_in(rule.when.text, self._view.facts))

    def _part(self, asked: Rule, name: str, wanted: object) -> Part:
        holding = matches(self._policies, asked, self._attributes)
        return Part(
            name=name,
            holds=holding.holds,
            wanted=wanted,
            found=found(name, self._text, self._view, wanted),
            error=holding.error,
        )


_NO_SELECTORS: dict[str, dict[str, Any]] = {
    "namespaceSelector": {"namespace_selector": None},
    "labelSelector": {"label_equalities": frozenset()},
    "fieldSelector": {"field_equalities": frozenset()},
}


def _opened(entry: Match, text: MatchText) -> Iterator[tuple[str, Match, Sequence[str]]]:
    everything = frozenset({ALL})
    for name, written in text.selectors.items():
        yield name, replace(entry, **_NO_SELECTORS[name]), [str(written)]
    if entry.namespaces:
        yield "namespaces", replace(entry, namespaces=()), entry.namespaces
    if entry.names:
        yield "names", replace(entry, names=()), entry.names
    yield "verbs", replace(entry, verbs=everything), text.verbs
    if entry.resources:
        opened = replace(entry, resources=everything, excluded_resources=frozenset())
        yield "resources", opened, text.resources
        yield "apiGroups", replace(entry, api_groups=everything), sorted(entry.api_groups)
    if entry.non_resource_urls:
        yield "nonResourceURLs", replace(entry, non_resource_urls=everything), text.urls
