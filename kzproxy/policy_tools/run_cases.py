"""Put cases to the engine, and see what they have tried."""

from collections.abc import Sequence

import msgspec

from kzproxy.policy.decision import Challenge, Decision, Deny, Permit
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy_tools.case_file import Case, CaseFile, Coverage, Expectation
from kzproxy.policy_tools.policy_text import Place, RuleText

# Kept while a request runs, so that no case can fail to meet them.
_KEPT_LATER = frozenset({"maxSession", "idle"})


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a decision was not."""

    field: str
    expected: str
    actual: str


class CaseResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one case; it passed where nothing differs."""

    case: Case
    decision: Decision
    differences: tuple[Difference, ...]


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """What no case has tried."""

    rule: str
    place: Place
    message: str


class FileResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one file; it passed where no case differs and nothing was left out."""

    file: CaseFile
    results: tuple[CaseResult, ...]
    gaps: tuple[Gap, ...]

    @property
    def passed(self) -> bool:
        """Whether all is as expected and all was tried."""
        return not self.gaps and not any(result.differences for result in self.results)


def run_case_file(file: CaseFile) -> FileResult:
    """Judge every case of ``file`` by its policies."""
    engine = PolicyEngine(file.policies)
    results = tuple(_run(case, engine) for case in file.cases)
    rules = file.text.rules
    return FileResult(
        file=file,
        results=results,
        gaps=(*_rule_gaps(rules, results, file), *_obligation_gaps(rules, results, file)),
    )


def _run(case: Case, engine: PolicyEngine) -> CaseResult:
    decision = engine.decide(case.attributes)
    differences = tuple(_differences(case.expectation, decision))
    return CaseResult(case=case, decision=decision, differences=differences)


def _differences(expected: Expectation, decision: Decision) -> list[Difference]:
    cause, hint = "", ""
    unmet: tuple[str, ...] = ()
    if not isinstance(decision, Permit):
        cause, unmet, hint = decision.cause.value, decision.unmet, decision.hint
    found = [
        ("decision", expected.decision, decision_word(decision)),
        ("rule", expected.rule, decision.rule),
        ("cause", expected.cause, cause),
        ("unmet", _listed(expected.unmet), _listed(unmet)),
    ]
    differences = [
        Difference(field=field, expected=wanted, actual=actual or "")
        for field, wanted, actual in found
        if wanted is not None and wanted != actual
    ]
    if expected.hint_contains is not None and expected.hint_contains not in hint:
        differences.append(
            Difference(field="hintContains", expected=expected.hint_contains, actual=hint)
        )
    return differences


def decision_word(decision: Decision) -> str:
    """Return what test cases call it."""
    match decision:
        case Permit():
            return "allow"
        case Challenge():
            return "challenge"
        case Deny():
            return "deny"


def _listed(names: Sequence[str] | None) -> str | None:
    return None if names is None else ", ".join(sorted(names))


def _rule_gaps(
    rules: Sequence[RuleText], results: Sequence[CaseResult], file: CaseFile
) -> list[Gap]:
    gaps: list[Gap] = []
    for rule in rules:
        matched = [rule.id in result.decision.matched for result in results]
        if file.rule_coverage is not Coverage.NONE and not any(matched):
            gaps.append(_gap(rule, "no case matches it"))
        if file.rule_coverage is Coverage.BOTH and all(matched):
            gaps.append(_gap(rule, "no case is without it"))
    return gaps


def _obligation_gaps(
    rules: Sequence[RuleText], results: Sequence[CaseResult], file: CaseFile
) -> list[Gap]:
    gaps: list[Gap] = []
    for rule in rules:
        for name in sorted(rule.obligations):
            met, unmet = _tried(rule.id, name, results)
            if file.obligation_coverage is not Coverage.NONE and not met:
                gaps.append(_gap(rule, f"no case meets its obligation {name}"))
            is_asked = file.obligation_coverage is Coverage.BOTH and name not in _KEPT_LATER
            if is_asked and not unmet:
                gaps.append(_gap(rule, f"no case fails to meet its obligation {name}"))
    return gaps


def _tried(rule_id: str, name: str, results: Sequence[CaseResult]) -> tuple[bool, bool]:
    """Return whether the obligation was met by a case, and whether one did not meet it."""
    about = [result.decision for result in results if result.decision.rule == rule_id]
    met = any(isinstance(decision, Permit) for decision in about)
    unmet = any(not isinstance(d, Permit) and name in d.unmet for d in about)
    return met, unmet


def _gap(rule: RuleText, message: str) -> Gap:
    return Gap(rule=rule.id, place=rule.place, message=message)
