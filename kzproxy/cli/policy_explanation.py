"""An explanation as text and as JSON."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from kzproxy.audit.visible import visible
from kzproxy.cli.policy_flow import decision_line, flow
from kzproxy.policy.decision import Challenge, Permit
from kzproxy.policy_tools.explain import PolicyExplanation, Standing
from kzproxy.policy_tools.rule_reading import Part, RuleReading
from kzproxy.policy_tools.run_cases import decision_word

if TYPE_CHECKING:
    from kzproxy.policy.expression_values import Valued

_MOST_TEXT = 160


def explanation_lines(
    explanation: PolicyExplanation, notes: Sequence[str], *, show_all: bool
) -> Iterator[str]:
    """Give the lines of a text; ``notes`` come first."""
    yield from notes
    yield decision_line(explanation.decision)
    hidden = 0
    for rule in explanation.rules:
        if show_all or rule.concerns or rule.error or rule.rule in _named(explanation):
            yield from _rule_lines(rule)
        else:
            hidden += 1
    if hidden:
        yield f"({hidden} more rules mean others or other requests; --all shows them)"
    if isinstance(explanation.decision, Permit):
        yield "kube-apiserver judges after kzproxy, by its own RBAC."
    else:
        yield from _advice(explanation)


def _named(explanation: PolicyExplanation) -> tuple[str, ...]:
    """Return the rules that are spoken of."""
    standing = explanation.standing
    return (explanation.decision.rule, standing.nearest if standing is not None else "")


def _advice(explanation: PolicyExplanation) -> Iterator[str]:
    standing = explanation.standing
    if standing is not None and (standing.is_several or not explanation.changes):
        yield _standing_line(standing)
    if explanation.changes:
        yield "It would be allowed to:"
        yield from (f"  - {change.text}" for change in explanation.changes)
    else:
        yield (
            "None of the sign-ins, devices, networks, places, times, reasons, dry runs and groups"
            " that were tried would change it."
        )


def _standing_line(standing: Standing) -> str:
    rules = " and ".join(standing.denies)
    word = "deny rule" if len(standing.denies) == 1 else "deny rules"
    parts = [f"{word} {rules} would have to spare it"] if standing.denies else []
    if standing.needs_allow:
        nearest = f" ({standing.nearest} comes nearest)" if standing.nearest else ""
        parts.append(f"a rule would have to allow it{nearest}")
    several = "several rules stand against it, and all of them must change: "
    return f"As it is asked now, {several if standing.is_several else ''}{', and '.join(parts)}."


def _rule_lines(rule: RuleReading) -> Iterator[str]:
    place = f"{rule.place.source}:{rule.place.line}"
    yield f"{_mark(rule)} {rule.effect} rule {rule.rule} ({place}){_outcome(rule)}"
    failed = rule.first_failed
    for part in rule.parts:
        yield from _part_lines(part, is_first_failed=part is failed)
    yield from (f"    [yes] obligation {name}" for name in rule.met)
    yield from (f"    [no ] obligation {name}   <- not met" for name in rule.unmet)


def _mark(rule: RuleReading) -> str:
    return "!" if rule.error else "+" if rule.matched else "-"


def _outcome(rule: RuleReading) -> str:
    if rule.error:
        effect = "so it denies" if rule.effect == "deny" else "so it allows nothing"
        return f": cannot be judged, {effect}"
    if not rule.matched:
        return ": does not match"
    return ": matches, but permits nothing" if rule.unmet else ""


def _part_lines(part: Part, *, is_first_failed: bool) -> Iterator[str]:
    mark = "err" if part.error else "yes" if part.holds else "no "
    # An expression follows, part by part.
    wanted = f" {_one_line(flow(part.wanted))}" if part.wanted and part.values is None else ""
    arrow = "   <- first that fails" if is_first_failed else ""
    if is_first_failed and part.error:
        arrow = "   <- cannot be judged"
    yield f"    [{mark}] {part.name}{wanted}{arrow}"
    if part.found:
        yield f"          found: {_one_line(part.found)}"
    if part.values is not None:
        yield from _value_lines(part.values, "          ")
    elif part.error:
        yield f"          error: {_one_line(part.error)}"


def _value_lines(valued: "Valued", indent: str) -> Iterator[str]:
    yield f"{indent}{_one_line(valued.text)} -> {visible(valued.value or valued.error)}"
    for part in valued.parts:
        yield from _value_lines(part, f"{indent}  ")


def _one_line(text: str) -> str:
    one = " ".join(text.split())
    return visible(one, _MOST_TEXT)


def explanation_json(explanation: PolicyExplanation, notes: Sequence[str]) -> dict[str, object]:
    """Return what tools read."""
    decision, standing = explanation.decision, explanation.standing
    return {
        "decision": decision_word(decision),
        "rule": decision.rule,
        "cause": "" if isinstance(decision, Permit) else decision.cause.value,
        "hint": "" if isinstance(decision, Permit) else decision.hint,
        "command": decision.step_up.command if isinstance(decision, Challenge) else "",
        "notes": list(notes),
        "rules": [_rule_json(rule) for rule in explanation.rules],
        "changes": [
            {"kinds": [kind.value for kind in change.kinds], "text": change.text}
            for change in explanation.changes
        ],
        "standing": None
        if standing is None
        else {
            "denies": list(standing.denies),
            "needsAllow": standing.needs_allow,
            "nearest": standing.nearest,
        },
    }


def _rule_json(rule: RuleReading) -> dict[str, object]:
    return {
        "rule": rule.rule,
        "effect": rule.effect,
        "source": rule.place.source,
        "line": rule.place.line,
        "column": rule.place.column,
        "matched": rule.matched,
        "error": rule.error,
        "firstFailed": rule.first_failed.name if rule.first_failed is not None else "",
        "met": list(rule.met),
        "unmet": list(rule.unmet),
        "parts": [
            {
                "name": part.name,
                "holds": part.holds,
                "wanted": part.wanted,
                "found": part.found,
                "error": part.error,
                "values": _values_json(part.values) if part.values is not None else None,
            }
            for part in rule.parts
        ],
    }


def _values_json(valued: "Valued") -> dict[str, object]:
    return {
        "text": valued.text,
        "value": valued.value,
        "error": valued.error,
        "parts": [_values_json(part) for part in valued.parts],
    }
