"""Why nothing is permitted, and what sign-ins might change that."""

from collections.abc import Iterator
from typing import NamedTuple

from kzproxy.policy.challenging import of_rule
from kzproxy.policy.condition_check import CannotBeJudged
from kzproxy.policy.decision import Cause
from kzproxy.policy.findings import Findings
from kzproxy.policy.hint import denied_hint, elsewhere_hint, obligation_hint, unmet_hint
from kzproxy.policy.index import CompiledRule
from kzproxy.policy.obligation_check import Unmet
from kzproxy.policy.step_up import StepUp
from kzproxy.policy.view import RequestView

Asked = list[tuple[CompiledRule, tuple[Unmet, ...]]]
"""The allow rules that match, with their obligations that are not met."""


class Refusal(NamedTuple):
    """Why; see ``NotPermitted``."""

    cause: Cause
    rule_id: str
    hint: str
    unmet: tuple[str, ...] = ()


def refused_by_rule(denies: Findings, view: RequestView) -> Refusal | None:
    """Return why the request is denied whatever is allowed; None where nothing denies it."""
    if denies.matched:
        rule = denies.matched[0]
        return Refusal(Cause.DENY_RULE, rule.rule.id, denied_hint(rule, view))
    if denies.errors:
        rule_id, error = denies.errors[0]
        hint = f"deny rule {rule_id} cannot be judged{_why(error)}; an administrator must mend it"
        return Refusal(Cause.RULE_ERROR, rule_id, hint)
    return None


def step_ups(
    asked: Asked, allows: Findings, view: RequestView
) -> Iterator[tuple[CompiledRule, StepUp]]:
    """Yield the rules that a sign-in alone may have permit, those that lack least first."""
    near = sorted(allows.unmet, key=lambda each: len(each[1]))
    for compiled in (*(rule for rule, _ in asked), *(rule for rule, _ in near)):
        step_up = _step_up(compiled, view)
        if step_up is not None:
            yield compiled, step_up


def _step_up(compiled: CompiledRule, view: RequestView) -> StepUp | None:
    try:
        return of_rule(compiled, view)
    except Exception:  # noqa: BLE001 - what cannot be judged is no sign-in's to mend
        return None


def not_allowed(asked: Asked, allows: Findings, view: RequestView) -> Refusal:
    """Return why no allow rule permits."""
    if asked:
        compiled, unmet = asked[0]
        names = tuple([each.name for each in unmet])
        hint = obligation_hint(compiled, unmet)
        return Refusal(Cause.OBLIGATION, compiled.rule.id, hint, names)
    return Refusal(Cause.NO_RULE, *_nearest(allows, view))


def _nearest(allows: Findings, view: RequestView) -> tuple[str, str]:
    """Return id and hint of the allow rule that lacks least; empty if none means this subject."""
    if allows.unmet:
        compiled, unmet = min(allows.unmet, key=lambda near: len(near[1]))
        return compiled.rule.id, unmet_hint(compiled, unmet, view)
    for rule_id, error in allows.errors:
        return rule_id, f"rule {rule_id} cannot be judged, so it allows nothing{_why(error)}"
    for candidate in allows.candidates:
        if view.attributes.request.is_resource:
            return candidate.compiled.rule.id, elsewhere_hint(candidate, view)
    return "", ""


def _why(error: str) -> str:
    """Say what was not known; what else may go wrong in a rule is for its administrator alone."""
    kind, _, text = error.partition(": ")
    return f" ({text})" if kind == CannotBeJudged.__name__ else ""
