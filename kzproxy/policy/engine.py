"""The policy engine: attributes in, decision out; the only place where a ``Permit`` is made.

``decide`` is a function of its argument and of the policy it was built from: no clock, no I/O.
Default deny; a deny rule wins over every allow rule; a deny rule that cannot be judged denies, an
allow rule that cannot be judged allows nothing.
"""

from datetime import datetime
from functools import cached_property
from itertools import islice
from typing import NamedTuple, TypedDict

from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.shared import Shared
from kzproxy.policy.challenging import is_person, signed_in
from kzproxy.policy.condition import Condition
from kzproxy.policy.condition_check import Compiler
from kzproxy.policy.decision import Cause, Challenge, Decision, Deny, Dependency, Permit
from kzproxy.policy.findings import LOOKED_UP, Findings, asks_for_object, judge
from kzproxy.policy.hint import challenge_hint
from kzproxy.policy.index import CompiledRule, RuleIndex
from kzproxy.policy.memo import DecisionMemo, key_of
from kzproxy.policy.outline import Outline
from kzproxy.policy.reach import (
    allow_reaches,
    deny_reaches,
    lists_namespaces,
    tells_namespaces_apart,
)
from kzproxy.policy.refusing import Asked, Refusal, not_allowed, refused_by_rule, step_ups
from kzproxy.policy.revision import policy_revision
from kzproxy.policy.rules import AccessPolicySet, Effect, Rule
from kzproxy.policy.view import RequestView, earliest
from kzproxy.policy.vocabulary import RESOURCE_VERBS, URL_VERBS

_RESOURCE_VERBS = frozenset(RESOURCE_VERBS)
_URL_VERBS = frozenset(URL_VERBS)
_IDENTITY_ONLY = frozenset({Dependency.IDENTITY})
_NAMESPACE = frozenset({Dependency.NAMESPACE})

# Sign-ins that are tried for one request; rules rarely differ in more.
_MOST_TRIED = 8


class Prospect(NamedTuple):
    """What a decision hangs on.

    Attributes:
        allows: The allow rules that mean the caller and reach the request, whatever else they ask;
            those that lack least come first.
        turns_at: When time alone may turn a denial next; None where it never does.
    """

    allows: tuple[Rule, ...]
    turns_at: datetime | None


class _Found(NamedTuple):
    denies: Findings
    allows: Findings
    asked: Asked


class _Withheld(TypedDict):
    """The fields of a decision that is no permit."""

    attributes: Attributes
    cause: Cause
    rule: str
    hint: str
    matched: tuple[str, ...]
    revision: str
    depends_on: frozenset[Dependency]
    errors: tuple[tuple[str, str], ...]
    unmet: tuple[str, ...]


class PolicyEngine:
    """Judges requests by one policy; a changed policy is another engine.

    Attributes:
        policies: What it judges by.
        revision: Content hash of the policy.
        needs_namespace_labels: Whether any rule looks at the labels of namespaces.
        follows_sessions: Whether any rule asks where sessions are.
    """

    def __init__(self, policies: AccessPolicySet) -> None:
        self.revision = policy_revision(policies)
        self.policies = policies
        compiler = Compiler.of(policies)
        self._definitions = compiler.definitions
        self._denies = RuleIndex(policies.rules, Effect.DENY, compiler)
        self._allows = RuleIndex(policies.rules, Effect.ALLOW, compiler)
        self._memo = DecisionMemo()
        # Thousands of permits are remembered that the same few rules match.
        self._matched = Shared[tuple[str, ...]]()
        compiled = [*self._denies.rules, *self._allows.rules]
        self._selects_by_labels = any(_selects_by_labels(each) for each in compiled)
        self.needs_namespace_labels = self._selects_by_labels or any(
            Dependency.NAMESPACE in each.check.depends_on for each in compiled
        )
        self.follows_sessions = any(Dependency.MOVED in c.check.depends_on for c in compiled)
        self._looks_at_objects = any(Dependency.OBJECT in c.check.depends_on for c in compiled)
        self._looks_further = any(LOOKED_UP & each.depends_on for each in self._allows.rules)

    def decide(self, attributes: Attributes) -> Decision:
        """Judge one request. Cheap enough to be asked again whenever something changes."""
        key = key_of(attributes)
        known = self._memo.recall(key, attributes)
        if known is not None:
            return known
        decision = self.decide_afresh(attributes)
        self._memo.keep(key, decision)
        return decision

    def decide_afresh(self, attributes: Attributes) -> Decision:
        """Judge one request of many that will not be asked again, and remember nothing of it."""
        return self._judged(RequestView(attributes, self._definitions))

    def needs_object(self, attributes: Attributes) -> bool:
        """Whether a rule cannot be judged without the object that the request is about."""
        if not self._looks_at_objects or not attributes.request.is_resource:
            return False
        view = RequestView(attributes, self._definitions)
        return asks_for_object(self._denies, deny_reaches, view, unknown_is=True) or (
            asks_for_object(self._allows, allow_reaches, view, unknown_is=False)
        )

    def prospect(self, attributes: Attributes) -> Prospect:
        """Say which rules could permit a request that is denied, and when time alone may do it."""
        view = RequestView(attributes, self._definitions)
        denies = judge(self._denies, deny_reaches, view, unknown_is=True)
        allows = judge(self._allows, allow_reaches, view, unknown_is=False)
        near = sorted(allows.unmet, key=lambda each: len(each[1]))
        waiting = [rule for rule, unmet in near if all(_may_turn(each) for each in unmet)]
        hopeful = [*allows.matched, *(rule for rule, _ in near)]
        return Prospect(
            allows=tuple([compiled.rule for compiled in hopeful]),
            turns_at=earliest(rule.check.turns_at(view) for rule in (*denies.matched, *waiting)),
        )

    def decide_without_object(self, attributes: Attributes) -> tuple[Decision, bool]:
        """Judge as if every object were as rules ask for; say whether any rule asks for something.

        For questions about what could be done, where there is no object yet. Never remembered.
        """
        view = RequestView(attributes, self._definitions, takes_objects_for_right=True)
        return self._judged(view), view.left_an_object_out

    def altered_since(self, before: "PolicyEngine") -> frozenset[str]:
        """Return the ids of those rules of ``before`` that are gone, or read otherwise."""
        present = {rule.id: rule for rule in self.policies.rules}
        return frozenset(rule.id for rule in before.policies.rules if present.get(rule.id) != rule)

    @cached_property
    def outline(self) -> Outline:
        """What the rules name."""
        return Outline.of(self.policies)

    def _judged(self, view: RequestView) -> Decision:
        attributes = view.attributes
        unreadable = _unreadable(attributes)
        if unreadable:
            return Deny(**self._withheld(attributes, Refusal(Cause.NO_RULE, "", unreadable), []))
        found = self._found(view)
        if isinstance(found, Permit):
            return found
        denies, allows, asked = found
        refusal = refused_by_rule(denies, view)
        if refusal is None:
            challenge = self._challenge(denies, allows, asked, view)
            if challenge is not None:
                return challenge
            refusal = not_allowed(asked, allows, view)
        return Deny(**self._withheld(attributes, refusal, [denies, allows]))

    def _found(self, view: RequestView) -> Permit | _Found:
        denies = judge(self._denies, deny_reaches, view, unknown_is=True)
        allows = judge(self._allows, allow_reaches, view, unknown_is=False)
        asked: Asked = []
        if not denies.matched and not denies.errors:
            for compiled in allows.matched:
                unmet = compiled.obligations.unmet(view)
                if not unmet:
                    return self._permit(compiled, denies, allows, view)
                asked.append((compiled, unmet))
        return _Found(denies, allows, asked)

    def _challenge(
        self, denies: Findings, allows: Findings, asked: Asked, view: RequestView
    ) -> Challenge | None:
        """Return what sign-in would do; each is tried, none guessed."""
        if not is_person(view.attributes.subject):
            return None
        for compiled, step_up in islice(step_ups(asked, allows, view), _MOST_TRIED):
            after = view.with_others(signed_in(view.attributes, step_up))
            if isinstance(self._found(after), Permit):
                names = tuple([each.name for each in compiled.obligations.unmet(view)])
                hint = challenge_hint(compiled, step_up, view)
                refusal = Refusal(Cause.SIGN_IN, compiled.rule.id, hint, names)
                withheld = self._withheld(view.attributes, refusal, [denies, allows])
                return Challenge(step_up=step_up, **withheld)
        return None

    def _permit(
        self, granted: CompiledRule, denies: Findings, allows: Findings, view: RequestView
    ) -> Permit:
        obligations = granted.rule.obligations
        depends_on = granted.depends_on
        if denies.unmet:
            depends_on = depends_on.union(*(rule.depends_on for rule in denies.reached()))
        if self._looks_further:
            depends_on |= allows.looked_up_before(granted)
        if self._selects_by_labels and (denies.consult_labels() or allows.consult_labels()):
            depends_on |= _NAMESPACE
        return Permit(
            attributes=view.attributes,
            rule=granted.rule.id,
            matched=self._matched.one(tuple([compiled.rule.id for compiled in allows.matched])),
            revision=self.revision,
            valid_until=_valid_until(granted, denies, view),
            depends_on=depends_on,
            errors=tuple(allows.errors),
            obligations=obligations,
            by_namespace=lists_namespaces(view.attributes.request)
            and any(map(tells_namespaces_apart, (*denies.candidates, *allows.candidates))),
        )

    def _withheld(
        self,
        attributes: Attributes,
        refusal: Refusal,
        findings: list[Findings],
    ) -> _Withheld:
        reached = [each for found in findings for each in (*found.reached(), *found.failed)]
        matched = [compiled.rule.id for found in findings for compiled in found.matched]
        rests = [rule.depends_on for rule in reached]
        if self._selects_by_labels and any(found.consult_labels() for found in findings):
            rests.append(_NAMESPACE)
        return {
            "attributes": attributes,
            "cause": refusal.cause,
            "rule": refusal.rule_id,
            "hint": refusal.hint,
            "matched": tuple(matched),
            "revision": self.revision,
            "depends_on": _IDENTITY_ONLY.union(*rests),
            "errors": tuple(error for found in findings for error in found.errors),
            "unmet": refusal.unmet,
        }


def _selects_by_labels(compiled: CompiledRule) -> bool:
    return any(match.namespace_selector is not None for match in compiled.rule.match)


def _may_turn(condition: Condition) -> bool:
    return Dependency.TIME in condition.depends_on


def _unreadable(attributes: Attributes) -> str:
    """Say why no rule can judge this; the authenticator and the parser should have refused it."""
    request = attributes.request
    username = attributes.subject.username
    if not username or username.isspace():
        return "the request has no user name"
    if request.verb not in (_RESOURCE_VERBS if request.is_resource else _URL_VERBS):
        return f"no rule can name the verb {request.verb!r}"
    return ""


def _valid_until(granted: CompiledRule, denies: Findings, view: RequestView) -> datetime | None:
    """Return when time alone may end the permit: what it rests on ends, or a deny begins."""
    if Dependency.TIME not in granted.depends_on and not denies.unmet:
        return None
    moments = [granted.check.turns_at(view), granted.obligations.turns_at(view)]
    for _, unmet in denies.unmet:
        moments += [condition.turns_at(view) for condition in unmet]
    return earliest(moments)
