"""Why a decision fell as it did, and what would change it.

Nothing is judged here: each part of each rule is put to the engine alone, and each change is tried
on the whole policy, so that an explanation cannot say other than what the engine does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from kzproxy.attributes.attributes import Attributes
from kzproxy.policy.decision import Decision, Deny
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.rules import AccessPolicySet, Match, Rule
from kzproxy.policy.vocabulary import ALL
from kzproxy.policy_tools.alone import (
    ANY_MATCH,
    bare,
    condition_parts,
    matches,
    unmet,
)
from kzproxy.policy_tools.changes import Change, changes
from kzproxy.policy_tools.facts_found import found
from kzproxy.policy_tools.policy_text import MatchText, Place, PolicyText, RuleText


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One thing that a rule asks.

    Attributes:
        name: ``subjects``, ``match``, a condition or ``when``.
        holds: In the sense of the rule: a condition of a deny rule holds where it denies.
        wanted: As written.
        found: What the request has instead or as well.
        error: Why it cannot be judged; empty where it can.
    """

    name: str
    holds: bool
    wanted: object
    found: str
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleReading:
    """One rule, part by part.

    Attributes:
        matched: Whether it matched.
        met: Its obligations that are met, by name.
        unmet: Those that are not; an allow rule with one of them permits nothing.
    """

    rule: str
    effect: str
    place: Place
    matched: bool
    parts: tuple[Part, ...]
    met: tuple[str, ...] = ()
    unmet: tuple[str, ...] = ()

    @property
    def concerns(self) -> bool:
        """Whether it means the user and reaches the request, whatever else it asks."""
        return all(part.holds for part in self.parts[:2])

    @property
    def first_failed(self) -> Part | None:
        """The first part that does not hold."""
        return next((part for part in self.parts if not part.holds), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyExplanation:
    """The decision, every rule in order, and what would make it a permit."""

    decision: Decision
    rules: tuple[RuleReading, ...]
    changes: tuple[Change, ...]


def explain_decision(
    policies: AccessPolicySet, text: PolicyText, attributes: Attributes
) -> PolicyExplanation:
    """Explain how ``attributes`` are judged; ``text`` is what ``policies`` were read from."""
    decision = PolicyEngine(policies).decide(attributes)
    return PolicyExplanation(
        decision=decision,
        rules=tuple(
            _read(policies, rule, written, text, attributes, decision)
            for rule, written in zip(policies.rules, text.rules, strict=True)
        ),
        changes=changes(policies, text, attributes) if isinstance(decision, Deny) else (),
    )


def _read(
    policies: AccessPolicySet,
    rule: Rule,
    written: RuleText,
    text: PolicyText,
    attributes: Attributes,
    decision: Decision,
) -> RuleReading:
    parts = [
        _subjects(policies, rule, written, attributes),
        _match(policies, rule, written, attributes),
        *_conditions(policies, rule, written, text, attributes),
    ]
    missing = unmet(policies, rule, attributes)
    return RuleReading(
        rule=rule.id,
        effect=rule.effect.value,
        place=written.place,
        matched=rule.id in decision.matched,
        parts=tuple(parts),
        met=tuple(name for name in written.obligations if name not in missing),
        unmet=missing,
    )


def _subjects(
    policies: AccessPolicySet, rule: Rule, written: RuleText, attributes: Attributes
) -> Part:
    asked = replace(
        bare(rule.effect, ANY_MATCH),
        groups=rule.groups,
        users=rule.users,
        spiffe_ids=rule.spiffe_ids,
    )
    subject = attributes.subject
    groups = ", ".join(subject.groups) or "no groups"
    return Part(
        name="subjects",
        holds=matches(policies, asked, attributes).holds,
        wanted=[name for _, name in sorted(written.subjects)],
        found=f"{subject.username} ({groups})",
    )


def _match(
    policies: AccessPolicySet, rule: Rule, written: RuleText, attributes: Attributes
) -> Part:
    holds = matches(policies, bare(rule.effect, rule.match), attributes).holds
    request = attributes.request
    where = f" in namespace {request.namespace}" if request.namespace else ""
    what = request.qualified_resource if request.is_resource else request.path
    asked = f"{request.verb} {what}{' ' + request.name if request.name else ''}{where}"
    return Part(
        name="match",
        holds=holds,
        wanted=_wanted(policies, rule, written, attributes) if not holds else "",
        found=asked,
    )


def _wanted(
    policies: AccessPolicySet, rule: Rule, written: RuleText, attributes: Attributes
) -> object:
    """Return the one field that, left open, would let the rule reach the request."""
    for entry, entry_text in zip(rule.match, written.matches, strict=True):
        for name, opened, words in _opened(entry, entry_text):
            if matches(policies, bare(rule.effect, (opened,)), attributes).holds:
                return {name: list(words)}
    return "something else"


_NO_SELECTORS: dict[str, dict[str, object]] = {
    "namespaceSelector": {"namespace_selector": None},
    "labelSelector": {"label_equalities": frozenset()},
    "fieldSelector": {"field_equalities": frozenset()},
}


def _opened(entry: Match, text: MatchText) -> Iterator[tuple[str, Match, Sequence[str]]]:
    everything = frozenset({ALL})
    for name, written in text.selectors.items():
        yield name, replace(entry, **_NO_SELECTORS[name]), [str(written)]  # type: ignore[arg-type]
    if entry.namespaces:
        yield "namespaces", replace(entry, namespaces=()), entry.namespaces
    if entry.names:
        yield "names", replace(entry, names=()), entry.names
    yield "verbs", replace(entry, verbs=everything), text.verbs
    if entry.resources:
        opened = replace(entry, resources=everything, excluded_resources=frozenset())
        yield "resources", opened, text.resources
        yield "apiGroups", replace(entry, api_groups=everything), sorted(entry.api_groups)


def _conditions(
    policies: AccessPolicySet,
    rule: Rule,
    written: RuleText,
    text: PolicyText,
    attributes: Attributes,
) -> Iterator[Part]:
    for name, part in condition_parts(rule.conditions).items():
        asked = replace(
            bare(rule.effect, ANY_MATCH), conditions=part, patches_allowed=rule.patches_allowed
        )
        yield _part(policies, asked, name, written.conditions.get(name, ""), text, attributes)
    if rule.when is not None:
        asked = replace(
            bare(rule.effect, ANY_MATCH), when=rule.when, patches_allowed=rule.patches_allowed
        )
        yield _part(policies, asked, "when", written.when, text, attributes)


def _part(
    policies: AccessPolicySet,
    asked: Rule,
    name: str,
    wanted: object,
    text: PolicyText,
    attributes: Attributes,
) -> Part:
    holding = matches(policies, asked, attributes)
    return Part(
        name=name,
        holds=holding.holds,
        wanted=wanted,
        found=found(name, text, attributes),
        error=holding.error,
    )
