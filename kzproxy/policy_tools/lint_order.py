"""Rules that other rules leave nothing to decide."""

from collections.abc import Iterator

from kzproxy.policy_tools.covering import asks_no_more, covering
from kzproxy.policy_tools.finding import Finding, Lint
from kzproxy.policy_tools.policy_text import PolicyText, RuleText


def always_denied(text: PolicyText) -> Iterator[Finding]:
    """Find allow rules whose every request a deny rule refuses without a condition."""
    denies = [rule for rule in text.rules if rule.effect == "deny" and is_unconditional(rule)]
    for rule in text.rules:
        if rule.effect != "allow":
            continue
        by = covering(rule, denies)
        if by:
            message = f"allows nothing: {_named(by)} denies all of it, whatever the context"
            yield Finding(lint=Lint.ALWAYS_DENIED, place=rule.place, rule=rule.id, message=message)


def covered(text: PolicyText) -> Iterator[Finding]:
    """Find rules that an earlier rule of the same effect always comes before."""
    for number, rule in enumerate(text.rules):
        earlier = [
            other
            for other in text.rules[:number]
            if other.effect == rule.effect and asks_no_more(other, rule)
        ]
        by = covering(rule, earlier)
        if by:
            message = f"decides nothing: {_named(by)} before it covers all of it and asks no more"
            yield Finding(lint=Lint.COVERED, place=rule.place, rule=rule.id, message=message)


def is_unconditional(rule: RuleText) -> bool:
    """Whether a rule decides on all that it matches, whatever the context."""
    return not rule.conditions and not rule.when and not rule.needs and not _selects(rule)


def _selects(rule: RuleText) -> bool:
    return any(match.selectors for match in rule.matches)


def _named(rules: tuple[RuleText, ...]) -> str:
    word = "rule" if len(rules) == 1 else "rules"
    return f"{word} {', '.join(rule.id for rule in rules)}"
