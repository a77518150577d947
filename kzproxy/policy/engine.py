"""The policy engine: attributes in, decision out; the only place where a ``Permit`` is made.

``decide`` is a function of its argument and of the policy it was built from: no clock, no I/O.
Default deny; a deny rule wins over every allow rule; a deny rule that cannot be judged denies, an
allow rule that cannot be judged allows nothing.
"""

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.policy.decision import Cause, Decision, Deny, Dependency, Permit
from kzproxy.policy.hint import denied_hint, elsewhere_hint, unmet_hint
from kzproxy.policy.index import CompiledMatch, CompiledRule, RuleIndex
from kzproxy.policy.reach import allow_reaches, deny_reaches
from kzproxy.policy.revision import policy_revision
from kzproxy.policy.rules import AccessPolicySet, Effect
from kzproxy.policy.vocabulary import RESOURCE_VERBS, URL_VERBS

_RESOURCE_VERBS = frozenset(RESOURCE_VERBS)
_URL_VERBS = frozenset(URL_VERBS)
_IDENTITY_ONLY = frozenset({Dependency.IDENTITY})


class _Findings:
    """What the rules of one effect say to a request.

    Attributes:
        candidates: The matches whose subject, verb, group and resource fit.
        matched: The rules that match, in file order.
        unmet: The rules that reach the request but for these conditions.
        errors: The rules that could not be judged, with what went wrong.
    """

    __slots__ = ("candidates", "errors", "matched", "unmet")

    def __init__(self, candidates: list[CompiledMatch]) -> None:
        self.candidates = candidates
        self.matched: list[CompiledRule] = []
        self.unmet: list[tuple[CompiledRule, tuple[Dependency, ...]]] = []
        self.errors: list[tuple[str, str]] = []

    def reached(self) -> list[CompiledRule]:
        """Return every rule that reaches the request, whether its conditions hold or not."""
        return [*self.matched, *(compiled for compiled, _ in self.unmet)]


class _Refusal(NamedTuple):
    cause: Cause
    rule_id: str
    hint: str


class PolicyEngine:
    """Judges requests by one policy; a changed policy is another engine.

    Attributes:
        revision: Content hash of the policy.
    """

    def __init__(self, policies: AccessPolicySet) -> None:
        self.revision = policy_revision(policies)
        self._denies = RuleIndex(policies.rules, Effect.DENY)
        self._allows = RuleIndex(policies.rules, Effect.ALLOW)

    def decide(self, attributes: Attributes) -> Decision:
        """Judge one request. Cheap enough to be asked again whenever something changes."""
        unreadable = _unreadable(attributes)
        if unreadable:
            return self._deny(attributes, _Refusal(Cause.NO_RULE, "", unreadable), [])
        denies = _judge(self._denies, deny_reaches, attributes)
        allows = _judge(self._allows, allow_reaches, attributes)
        refusal = _refusal(denies, allows, attributes)
        if refusal is not None:
            return self._deny(attributes, refusal, [denies, allows])
        return self._permit(attributes, denies, allows)

    def needs_object(self, attributes: Attributes) -> bool:  # noqa: ARG002 - no rule can ask yet
        """Whether a rule that could match, all else being met, asks for the object."""
        return False

    def _permit(self, attributes: Attributes, denies: _Findings, allows: _Findings) -> Permit:
        granted = allows.matched[0]
        depends_on = granted.check.depends_on
        if denies.unmet:
            depends_on = depends_on.union(*(rule.check.depends_on for rule in denies.reached()))
        return Permit(
            attributes=attributes,
            rule=granted.rule.id,
            matched=tuple([compiled.rule.id for compiled in allows.matched]),
            revision=self.revision,
            valid_until=_valid_until(granted, denies, attributes.environment.received_at),
            depends_on=depends_on,
            errors=tuple(allows.errors),
        )

    def _deny(
        self,
        attributes: Attributes,
        refusal: _Refusal,
        findings: list[_Findings],
    ) -> Deny:
        reached = [compiled for found in findings for compiled in found.reached()]
        matched = [compiled.rule.id for found in findings for compiled in found.matched]
        return Deny(
            attributes=attributes,
            cause=refusal.cause,
            rule=refusal.rule_id,
            hint=refusal.hint,
            matched=tuple(matched),
            revision=self.revision,
            depends_on=_IDENTITY_ONLY.union(*(rule.check.depends_on for rule in reached)),
            errors=tuple(error for found in findings for error in found.errors),
        )


def _unreadable(attributes: Attributes) -> str:
    """Say why no rule can judge this; the authenticator and the parser should have refused it."""
    request = attributes.request
    if not attributes.subject.username.strip():
        return "the request has no user name"
    if request.verb not in (_RESOURCE_VERBS if request.is_resource else _URL_VERBS):
        return f"no rule can name the verb {request.verb!r}"
    return ""


def _judge(
    index: RuleIndex,
    reaches: Callable[[CompiledMatch, RequestInfo], bool],
    attributes: Attributes,
) -> _Findings:
    request = attributes.request
    candidates = index.candidates(attributes.subject, request)
    found = _Findings(candidates)
    judged: CompiledRule | None = None
    for candidate in candidates:
        compiled = candidate.compiled
        # The matches of one rule stand side by side; the first that reaches is enough.
        if compiled is judged:
            continue
        try:
            if not reaches(candidate, request):
                continue
            judged = compiled
            unmet = compiled.check.unmet(attributes)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not let anyone in
            found.errors.append((compiled.rule.id, f"{type(error).__name__}: {error}"))
            continue
        if unmet:
            found.unmet.append((compiled, unmet))
        else:
            found.matched.append(compiled)
    return found


def _refusal(denies: _Findings, allows: _Findings, attributes: Attributes) -> _Refusal | None:
    """Return why the request is denied; None only where an allow rule matched and no deny did."""
    if denies.matched:
        rule = denies.matched[0]
        return _Refusal(Cause.DENY_RULE, rule.rule.id, denied_hint(rule, attributes))
    if denies.errors:
        rule_id = denies.errors[0][0]
        hint = f"deny rule {rule_id} cannot be judged; an administrator must mend it"
        return _Refusal(Cause.RULE_ERROR, rule_id, hint)
    if not allows.matched:
        return _Refusal(Cause.NO_RULE, *_nearest(allows, attributes))
    return None


def _nearest(allows: _Findings, attributes: Attributes) -> tuple[str, str]:
    """Return id and hint of the allow rule that lacks least; empty if none means this subject."""
    if allows.unmet:
        compiled, unmet = min(allows.unmet, key=lambda near: len(near[1]))
        return compiled.rule.id, unmet_hint(compiled, unmet, attributes)
    failed = {rule_id for rule_id, _ in allows.errors}
    for candidate in allows.candidates:
        if attributes.request.is_resource and candidate.compiled.rule.id not in failed:
            return candidate.compiled.rule.id, elsewhere_hint(candidate, attributes.request)
    return "", ""


def _valid_until(granted: CompiledRule, denies: _Findings, at: datetime) -> datetime | None:
    """Return when time alone may end the permit: its window ends, or that of a deny begins."""
    if not denies.unmet and not granted.check.conditions.time:
        return None
    turns = [compiled for compiled, unmet in denies.unmet if Dependency.TIME in unmet]
    if granted.check.conditions.time:
        turns.append(granted)
    moments = [compiled.check.span(at).until for compiled in turns]
    return min((moment for moment in moments if moment is not None), default=None)
