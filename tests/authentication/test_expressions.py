import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.authentication.expressions import (
    MAX_CLAIM_LEVELS,
    claims_facts,
    claims_rule,
    claims_value,
    reads_claim,
    selects,
    user_facts,
    user_rule,
)
from kzproxy.expressions.errors import ExpressionFailedError


def result(expression: str, **claims: object) -> object:
    program = claims_value(expression)
    return program.result(claims_facts(program, claims))


def test_an_expression_is_given_the_claims_it_names_and_no_others() -> None:
    """One claim that cannot be read does not keep another from being read."""
    assert result("claims.a", a="x", b="y\0") == "x"
    with pytest.raises(ExpressionFailedError):
        result("claims.b", a="x", b="y\0")


@pytest.mark.parametrize("claim", [10**400, float("inf"), -float("inf")])
def test_a_number_that_go_cannot_read_has_no_result(claim: object) -> None:
    with pytest.raises(ExpressionFailedError):
        result("claims.a", a=claim)


def test_deep_claims_have_no_result() -> None:
    def nested(levels: int) -> object:
        return json.loads("[" * levels + "]" * levels)

    program = claims_rule("claims.a == claims.a")
    assert program.truth(claims_facts(program, {"a": nested(MAX_CLAIM_LEVELS)}))
    for levels in (MAX_CLAIM_LEVELS + 1, 300, 900):
        with pytest.raises(ExpressionFailedError):
            claims_facts(program, {"a": nested(levels)})


@pytest.mark.parametrize(
    ("expression", "selected", "read"),
    [
        ("claims.email", True, True),
        ("claims.?email.orValue('')", True, True),
        ("has(claims.email) ? 'a' : 'b'", True, True),
        ("claims['email']", False, True),
        ("claims[?'email'].orValue('')", False, True),
        ("claims.x.email", False, False),
        ("claims.emails", False, False),
    ],
)
def test_an_expression_says_which_claims_it_reads(
    expression: str, selected: bool, read: bool
) -> None:
    program = claims_value(expression)
    assert (selects(program, "email"), reads_claim(program, "email")) == (selected, read)


def test_a_user_has_the_id_of_the_token_among_the_extra() -> None:
    rule = user_rule("user.extra['authentication.kubernetes.io/credential-id'][0] == 'JTI=7'")
    assert rule.truth(user_facts("a", "", (), (), "7"))
    with pytest.raises(ExpressionFailedError):
        rule.truth(user_facts("a", "", (), (), ""))


_JSON = st.recursive(
    st.none() | st.booleans() | st.text(max_size=5) | st.integers() | st.floats(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from("abc"), _JSON))
def test_any_claims_have_a_result_or_none(claims: dict[str, object]) -> None:
    for text in ("claims.a", "claims.?b.orValue([])", "dyn(claims.c).map(x, x)"):
        try:
            program = claims_value(text)
            value = program.result(claims_facts(program, claims))
        except ExpressionFailedError:
            continue
        assert value is None or isinstance(value, str | bool | list)
