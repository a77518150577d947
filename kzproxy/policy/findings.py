"""What the rules of one effect say to a request."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from kzproxy.attributes.attributes import Attributes
from kzproxy.policy.condition import Condition
from kzproxy.policy.decision import Dependency
from kzproxy.policy.index import CompiledMatch, CompiledRule, RuleIndex, kind_of
from kzproxy.policy.view import RequestView

Reaches = Callable[[CompiledMatch, Attributes], bool]

LOOKED_UP = frozenset({Dependency.REASON, Dependency.NAMESPACE})
"""What is found out only where a decision rests on it, after a first one without it."""


class Findings(NamedTuple):
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

    def looked_up_before(self, granted: CompiledRule) -> frozenset[Dependency]:
        """Return what has to be looked up to tell whether a rule before ``granted`` permits."""
        before = [one for one in (*self.reached(), *self.failed) if one.order < granted.order]
        rests = frozenset[Dependency]().union(*(one.depends_on for one in before))
        return rests & LOOKED_UP

    def consult_labels(self) -> bool:
        """Whether the labels of the namespace decide what reaches the request."""
        return any(each.match.namespace_selector is not None for each in self.candidates)


def judge(index: RuleIndex, reaches: Reaches, view: RequestView, *, unknown_is: bool) -> Findings:
    """Put a request to all rules that can concern it; never raises."""
    attributes = view.attributes
    candidates = index.candidates(attributes.subject, kind_of(attributes.request))
    if not candidates:
        return Findings()
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
    return Findings(candidates, matched, unmet_rules, failed, errors)


def asks_for_object(
    index: RuleIndex, reaches: Reaches, view: RequestView, *, unknown_is: bool
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
