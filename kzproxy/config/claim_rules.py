"""``claimValidationRules`` and ``userValidationRules`` of an AuthenticationConfiguration."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from kzproxy.authentication.claim_expressions import claims_rule, user_rule
from kzproxy.authentication.settings import RequiredClaim, ValidationRule
from kzproxy.config.document import Node
from kzproxy.expressions.errors import ExpressionError

if TYPE_CHECKING:
    from kzproxy.expressions.language import Program


class Seen:
    """What must not come twice in a file."""

    def __init__(self) -> None:
        self._values: dict[str, set[str]] = {}

    def once(self, node: Node, kind: str, value: str) -> None:
        """Record a mistake at ``node`` where the value was there before."""
        values = self._values.setdefault(kind, set())
        if value and value in values:
            node.mistake(f"{kind} {value} is there twice; keep one")
        values.add(value)


def compiled(node: Node, compile_it: Callable[[str], "Program"]) -> None:
    """Compile an expression; what is wrong with it is a mistake at ``node``."""
    text = node.string()
    if not text:
        return
    try:
        compile_it(text)
    except ExpressionError as error:
        node.mistake(f"line {error.line}, column {error.column} of the expression: {error.message}")


def claim_rules(
    fields: dict[str, Node],
) -> tuple[tuple[RequiredClaim, ...], tuple[ValidationRule, ...]]:
    """Read ``claimValidationRules``: those by claim, and those by expression."""
    seen = Seen()
    nodes = fields["claimValidationRules"].sequence() if "claimValidationRules" in fields else []
    rules = [_claim_rule(node, seen) for node in nodes]
    return (
        tuple(rule for rule in rules if isinstance(rule, RequiredClaim)),
        tuple(rule for rule in rules if isinstance(rule, ValidationRule)),
    )


def _claim_rule(node: Node, seen: Seen) -> RequiredClaim | ValidationRule:
    fields = node.mapping(optional=("claim", "requiredValue", "expression", "message"))
    if "expression" in fields:
        for name in ("claim", "requiredValue"):
            if name in fields:
                fields[name].mistake("may not be set beside expression")
        return _validation_rule(fields, claims_rule, seen)
    if "claim" not in fields:
        node.mistake("claim or expression must be set here")
    elif "message" in fields:
        fields["message"].mistake("belongs to expression and may not be set beside claim")
    claim = fields["claim"].string() if "claim" in fields else ""
    if "claim" in fields:
        seen.once(fields["claim"], "claim", claim)
    value = fields["requiredValue"].string(may_be_empty=True) if "requiredValue" in fields else ""
    return RequiredClaim(claim=claim, value=value)


def user_rules(fields: dict[str, Node]) -> tuple[ValidationRule, ...]:
    """Read ``userValidationRules``."""
    seen = Seen()
    nodes = fields["userValidationRules"].sequence() if "userValidationRules" in fields else []
    rules = [node.mapping(required=("expression",), optional=("message",)) for node in nodes]
    return tuple(_validation_rule(rule, user_rule, seen) for rule in rules)


def _validation_rule(
    fields: dict[str, Node], compile_it: Callable[[str], "Program"], seen: Seen
) -> ValidationRule:
    text = fields["expression"].string()
    seen.once(fields["expression"], "expression", text)
    compiled(fields["expression"], compile_it)
    message = fields["message"].string(may_be_empty=True) if "message" in fields else ""
    return ValidationRule(expression=text, message=message)
