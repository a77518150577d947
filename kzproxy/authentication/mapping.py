"""What the expressions of an issuer make of a token's claims."""

from typing import TYPE_CHECKING

from kzproxy.attributes.identity import SPIFFE_ID_EXTRA, ExtraValues
from kzproxy.attributes.spiffe import SpiffeId
from kzproxy.authentication.claim_expressions import (
    claims_facts,
    claims_rule,
    claims_value,
    user_facts,
    user_rule,
)
from kzproxy.authentication.names import name_fault
from kzproxy.authentication.settings import ExtraClaim, JwtIssuerSettings, ValidationRule
from kzproxy.authentication.validity import VerifiedClaims
from kzproxy.errors.kinds import Unauthenticated
from kzproxy.expressions.errors import ExpressionFailedError

if TYPE_CHECKING:
    from kzproxy.expressions.language import Facts, Program, Value

MAX_GROUPS = 1000
"""Each group is one header line and one authorizer call on every request, and the decision log's
lists end here. Active Directory ends at 1,015 groups a person, Entra puts at most 200 into a token.
More is refused and not cut off: a group left out could be the one that a deny rule names."""


def mapped_text(claims: VerifiedClaims, expression: str, field: str) -> str:
    """Map claims to one text; it may be empty.

    Raises:
        Unauthenticated: The expression has no result, or one of another type.
    """
    value = _result(claims, expression, field)
    if not isinstance(value, str):
        raise Unauthenticated(f"`{field}` does not give a string for this token")
    return value


def mapped_names(claims: VerifiedClaims, expression: str, field: str) -> tuple[str, ...]:
    """Map claims to names, as kube-apiserver's convertCELValueToStringList: null and "" are none.

    Raises:
        Unauthenticated: The expression has no result, one of another type, or too many names.
    """
    value = _result(claims, expression, field)
    listed = value if isinstance(value, list) else [] if value is None else [value]
    names = [item for item in listed if item != ""]
    if len(names) > MAX_GROUPS:
        raise Unauthenticated(f"`{field}` gives more than {MAX_GROUPS} values for this token")
    return tuple(_name(name, field) for name in names)


def mapped_extra(claims: VerifiedClaims, mappings: tuple[ExtraClaim, ...]) -> ExtraValues:
    """Map claims to extra; a key whose values are empty is left out.

    Raises:
        Unauthenticated: An expression has no result, or not one that an extra can be.
    """
    pairs = [
        (mapping.key, mapped_names(claims, mapping.expression, f"extra {mapping.key}"))
        for mapping in mappings
    ]
    for key, values in pairs:
        if key == SPIFFE_ID_EXTRA and values:
            _check_spiffe_id(values)
    return tuple((key, values) for key, values in pairs if values)


def check_claim_rules(claims: VerifiedClaims, rules: tuple[ValidationRule, ...]) -> None:
    """Hold claims against an issuer's ``claimValidationRules``.

    Raises:
        Unauthenticated: One does not hold, or nobody can tell.
    """
    for rule in rules:
        try:
            program = claims_rule(rule.expression)
            _require(rule, program, claims_facts(program, claims), "claimValidationRules")
        except ExpressionFailedError as error:
            raise _no_answer("claimValidationRules", error) from error


def check_user_rules(
    issuer: JwtIssuerSettings,
    claims: VerifiedClaims,
    username: str,
    uid: str,
    groups: tuple[str, ...],
    extra: ExtraValues,
) -> None:
    """Hold the user that claims were mapped to against an issuer's ``userValidationRules``.

    Raises:
        Unauthenticated: One does not hold, or nobody can tell.
    """
    if not issuer.user_rules:
        return
    token_id = claims.get("jti")
    facts = user_facts(username, uid, groups, extra, token_id if isinstance(token_id, str) else "")
    for rule in issuer.user_rules:
        try:
            _require(rule, user_rule(rule.expression), facts, "userValidationRules")
        except ExpressionFailedError as error:
            raise _no_answer("userValidationRules", error) from error


def _require(rule: ValidationRule, program: "Program", facts: "Facts", field: str) -> None:
    if not program.truth(facts):
        said = f": {rule.message}" if rule.message else ""
        raise Unauthenticated(f"the token does not meet `{field}`{said}")


def _result(claims: VerifiedClaims, expression: str, field: str) -> "Value | None":
    try:
        program = claims_value(expression)
        return program.result(claims_facts(program, claims))
    except ExpressionFailedError as error:
        raise _no_answer(field, error) from error


def _no_answer(field: str, error: ExpressionFailedError) -> Unauthenticated:
    # Why may repeat what the token says, so only our own log is told.
    return Unauthenticated(f"`{field}` has no result for this token's claims", detail=str(error))


def _name(value: object, field: str) -> str:
    if not isinstance(value, str):
        raise Unauthenticated(f"`{field}` gives neither a string nor a list of strings")
    fault = name_fault(value)
    if fault:
        raise Unauthenticated(f"`{field}` gives a value that {fault}")
    return value


def _check_spiffe_id(values: tuple[str, ...]) -> None:
    if len(values) != 1:
        raise Unauthenticated(f"`extra {SPIFFE_ID_EXTRA}` gives more than one SPIFFE ID")
    try:
        SpiffeId.parse(values[0])
    except ValueError as error:
        raise Unauthenticated(f"`extra {SPIFFE_ID_EXTRA}` gives no SPIFFE ID: {error}") from error
