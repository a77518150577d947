"""Values of policies, and decisions, in one line."""

from kzproxy.policy.decision import Challenge, Decision, Permit


def flow(value: object) -> str:
    """Return a value of a policy file in one line."""
    if isinstance(value, dict):
        return ", ".join(f"{name}: {flow(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return ", ".join(flow(inner) for inner in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def decision_line(decision: Decision) -> str:
    """Return a decision in one line."""
    if isinstance(decision, Permit):
        return f"allowed by rule {decision.rule}"
    word = "challenged" if isinstance(decision, Challenge) else "denied"
    rule = f", rule {decision.rule}" if decision.rule else ""
    return f"{word} ({decision.cause}{rule}): {decision.hint or 'no rule means this'}"
