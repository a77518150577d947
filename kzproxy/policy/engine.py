"""The policy engine: attributes in, decision out; the only place where a ``Permit`` is made.

``decide`` is a function of its argument and of the policy it was built from: no clock, no I/O.
Default deny; a deny rule wins over every allow rule; a deny rule that cannot be judged denies, an
allow rule that cannot be judged allows nothing.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cached_property
from typing import NamedTuple

from kzproxy.attributes.attributes import Attributes
from kzproxy.policy.condition import Condition
from kzproxy.policy.condition_check import Compiler
from kzproxy.policy.decision import Cause, Decision, Deny, Dependency, Permit
from kzproxy.policy.hint import denied_hint, elsewhere_hint, obligation_hint, unmet_hint
from kzproxy.policy.index import CompiledMatch, CompiledRule, RuleIndex, kind_of
from kzproxy.policy.memo import DecisionMemo, key_of
from kzproxy.policy.obligation_check import Unmet
from kzproxy.policy.outline import Outline
from kzproxy.policy.reach import (
    allow_reaches,
    deny_reaches,
    lists_namespaces,
    tells_namespaces_apart,
)
from kzproxy.policy.revision import policy_revision
from kzproxy.policy.rules import AccessPolicySet, Effect, Rule
from kzproxy.policy.view import RequestView, earliest
from kzproxy.policy.vocabulary import RESOURCE_VERBS, URL_VERBS

_RESOURCE_VERBS = frozenset(RESOURCE_VERBS)
_URL_VERBS = frozenset(URL_VERBS)
_IDENTITY_ONLY = frozenset({Dependency.IDENTITY})
_NAMESPACE = frozenset({Dependency.NAMESPACE})

_Reaches = Callable[[CompiledMatch, Attributes], bool]


class _Findings(NamedTuple):
    """What the rules of one effect say to a request.

    Attributes:
        candidates: The matches whose subject, verb, group and resource fit.
        matched: The rules that match, in file order.
        unmet: The rules that reach the request but for these conditions.
        failed: The rules that could not be judged.
        errors: Their ids, with what went wrong.
    """

    candidates: Sequence[CompiledMatch] = ()
    matched: Sequence[CompiledRule] = ()
    unmet: Sequence[tuple[CompiledRule, tuple[Condition, ...]]] = ()
    failed: Sequence[CompiledRule] = ()
    errors: Sequence[tuple[str, str]] = ()

    def reached(self) -> list[CompiledRule]:
        """Return every rule that reaches the request, whether its conditions hold or not."""
        return [*self.matched, *(compiled for compiled, _ in self.unmet)]

    def consult_labels(self) -> bool:
        """Whether the labels of the namespace decide what reaches the request."""
        return any(each.match.namespace_selector is not None for each in self.candidates)


class Prospect(NamedTuple):
    """What a decision hangs on.

    Attributes:
        allows: The allow rules that mean the caller and reach the request, whatever else they ask;
            those that lack least come first.
        turns_at: When time alone may turn a denial next; None where it never does.
    """

    allows: tuple[Rule, ...]
    turns_at: datetime | None


class _Refusal(NamedTuple):
    cause: Cause
    rule_id: str
    hint: str
    unmet: tuple[str, ...] = ()


class PolicyEngine:
    """Judges requests by one policy; a changed policy is another engine.

    Attributes:
        revision: Content hash of the policy.
        needs_namespace_labels: Whether any rule looks at the labels of namespaces.
        follows_sessions: Whether any rule asks where sessions are.
    """

    def __init__(self, policies: AccessPolicySet) -> None:
        self.revision = policy_revision(policies)
        self._policies = policies
        compiler = Compiler.of(policies)
        self._definitions = compiler.definitions
        self._denies = RuleIndex(policies.rules, Effect.DENY, compiler)
        self._allows = RuleIndex(policies.rules, Effect.ALLOW, compiler)
        self._memo = DecisionMemo()
        compiled = [*self._denies.rules, *self._allows.rules]
        self._selects_by_labels = any(_selects_by_labels(each) for each in compiled)
        self.needs_namespace_labels = self._selects_by_labels or any(
            Dependency.NAMESPACE in each.check.depends_on for each in compiled
        )
        self.follows_sessions = any(Dependency.MOVED in c.check.depends_on for c in compiled)
        self._looks_at_objects = any(Dependency.OBJECT in c.check.depends_on for c in compiled)

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
        return _asks_for_object(self._denies, deny_reaches, view, unknown_is=True) or (
            _asks_for_object(self._allows, allow_reaches, view, unknown_is=False)
        )

    def prospect(self, attributes: Attributes) -> Prospect:
        """Say which rules could permit a request that is denied, and when time alone may do it."""
        view = RequestView(attributes, self._definitions)
        denies = _judge(self._denies, deny_reaches, view, unknown_is=True)
        allows = _judge(self._allows, allow_reaches, view, unknown_is=False)
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

    @cached_property
    def outline(self) -> Outline:
        """What the rules name."""
        return Outline.of(self._policies)

    def _judged(self, view: RequestView) -> Decision:
        attributes = view.attributes
        unreadable = _unreadable(attributes)
        if unreadable:
            return self._deny(attributes, _Refusal(Cause.NO_RULE, "", unreadable), [])
        denies = _judge(self._denies, deny_reaches, view, unknown_is=True)
        allows = _judge(self._allows, allow_reaches, view, unknown_is=False)
        asked: list[tuple[CompiledRule, tuple[Unmet, ...]]] = []
        refusal = _denied(denies, view)
        if refusal is None:
            for compiled in allows.matched:
                unmet = compiled.obligations.unmet(view)
                if not unmet:
                    return self._permit(compiled, denies, allows, view)
                asked.append((compiled, unmet))
            refusal = _not_allowed(asked, allows, view)
        return self._deny(attributes, refusal, [denies, allows])

    def _permit(
        self, granted: CompiledRule, denies: _Findings, allows: _Findings, view: RequestView
    ) -> Permit:
        obligations = granted.rule.obligations
        depends_on = granted.depends_on
        if denies.unmet:
            depends_on = depends_on.union(*(rule.depends_on for rule in denies.reached()))
        if self._selects_by_labels and (denies.consult_labels() or allows.consult_labels()):
            depends_on |= _NAMESPACE
        return Permit(
            attributes=view.attributes,
            rule=granted.rule.id,
            matched=tuple([compiled.rule.id for compiled in allows.matched]),
            revision=self.revision,
            valid_until=_valid_until(granted, denies, view),
            depends_on=depends_on,
            errors=tuple(allows.errors),
            obligations=obligations,
            by_namespace=lists_namespaces(view.attributes.request)
            and any(map(tells_namespaces_apart, (*denies.candidates, *allows.candidates))),
        )

    def _deny(
        self,
        attributes: Attributes,
        refusal: _Refusal,
        findings: list[_Findings],
    ) -> Deny:
        reached = [each for found in findings for each in (*found.reached(), *found.failed)]
        matched = [compiled.rule.id for found in findings for compiled in found.matched]
        rests = [rule.depends_on for rule in reached]
        if self._selects_by_labels and any(found.consult_labels() for found in findings):
            rests.append(_NAMESPACE)
        return Deny(
            attributes=attributes,
            cause=refusal.cause,
            rule=refusal.rule_id,
            hint=refusal.hint,
            matched=tuple(matched),
            revision=self.revision,
            depends_on=_IDENTITY_ONLY.union(*rests),
            errors=tuple(error for found in findings for error in found.errors),
            unmet=refusal.unmet,
        )


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


def _judge(
    index: RuleIndex, reaches: _Reaches, view: RequestView, *, unknown_is: bool
) -> _Findings:
    attributes = view.attributes
    candidates = index.candidates(attributes.subject, kind_of(attributes.request))
    if not candidates:
        return _Findings()
    matched: list[CompiledRule] = []
    unmet_rules: list[tuple[CompiledRule, tuple[Condition, ...]]] = []
    failed: list[CompiledRule] = []
    errors: list[tuple[str, str]] = []
    judged: CompiledRule | None = None
    for candidate in candidates:
        compiled = candidate.compiled
        # The matches of one rule stand side by side; the first that reaches is enough.
        if compiled is judged:
            continue
        try:
            if not reaches(candidate, attributes):
                continue
            judged = compiled
            unmet = compiled.check.unmet(
                view, unknown_is=unknown_is, patches_allowed=compiled.rule.patches_allowed
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not let anyone in
            failed.append(compiled)
            errors.append((compiled.rule.id, f"{type(error).__name__}: {error}"))
            continue
        if unmet:
            unmet_rules.append((compiled, unmet))
        else:
            matched.append(compiled)
    return _Findings(candidates, matched, unmet_rules, failed, errors)


def _asks_for_object(
    index: RuleIndex, reaches: _Reaches, view: RequestView, *, unknown_is: bool
) -> bool:
    """Whether a rule reaches the request, looks at its object, and hangs on nothing else."""
    return any(
        reaches(candidate, view.attributes)
        and all(
            _may_hold(each, view, unknown_is=unknown_is)
            for each in candidate.compiled.check.conditions
        )
        for candidate in index.candidates(view.attributes.subject, kind_of(view.attributes.request))
        if Dependency.OBJECT in candidate.compiled.check.depends_on
    )


def _may_hold(condition: Condition, view: RequestView, *, unknown_is: bool) -> bool:
    if Dependency.OBJECT in condition.depends_on:
        return True
    try:
        value = condition.value(view)
    except Exception:  # noqa: BLE001 - the decision will say what is wrong with it
        return True
    return unknown_is if value is None else value


def _denied(denies: _Findings, view: RequestView) -> _Refusal | None:
    """Return why the request is denied whatever is allowed; None where nothing denies it."""
    if denies.matched:
        rule = denies.matched[0]
        return _Refusal(Cause.DENY_RULE, rule.rule.id, denied_hint(rule, view))
    if denies.errors:
        rule_id = denies.errors[0][0]
        hint = f"deny rule {rule_id} cannot be judged; an administrator must mend it"
        return _Refusal(Cause.RULE_ERROR, rule_id, hint)
    return None


def _not_allowed(
    asked: list[tuple[CompiledRule, tuple[Unmet, ...]]], allows: _Findings, view: RequestView
) -> _Refusal:
    if asked:
        compiled, unmet = asked[0]
        names = tuple([each.name for each in unmet])
        hint = obligation_hint(compiled, unmet)
        return _Refusal(Cause.OBLIGATION, compiled.rule.id, hint, names)
    return _Refusal(Cause.NO_RULE, *_nearest(allows, view))


def _nearest(allows: _Findings, view: RequestView) -> tuple[str, str]:
    """Return id and hint of the allow rule that lacks least; empty if none means this subject."""
    if allows.unmet:
        compiled, unmet = min(allows.unmet, key=lambda near: len(near[1]))
        return compiled.rule.id, unmet_hint(compiled, unmet, view)
    failed = {rule_id for rule_id, _ in allows.errors}
    for candidate in allows.candidates:
        if view.attributes.request.is_resource and candidate.compiled.rule.id not in failed:
            return candidate.compiled.rule.id, elsewhere_hint(candidate, view)
    return "", ""


def _valid_until(granted: CompiledRule, denies: _Findings, view: RequestView) -> datetime | None:
    """Return when time alone may end the permit: what it rests on ends, or a deny begins."""
    if Dependency.TIME not in granted.depends_on and not denies.unmet:
        return None
    moments = [granted.check.turns_at(view), granted.obligations.turns_at(view)]
    for _, unmet in denies.unmet:
        moments += [condition.turns_at(view) for condition in unmet]
    return earliest(moments)
