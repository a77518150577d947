"""Label selectors are met as Kubernetes meets them."""

import pytest

from kzproxy.policy.selectors import (
    LabelRequirement,
    LabelSelector,
    Operator,
    asked_equalities,
    equalities,
)

VALUES = frozenset({"a", "b"})


@pytest.mark.parametrize(
    ("operator", "of_a", "of_c", "of_none"),
    [
        (Operator.IN, True, False, False),
        (Operator.NOT_IN, False, True, True),
        (Operator.EXISTS, True, True, False),
        (Operator.DOES_NOT_EXIST, False, False, True),
    ],
)
def test_each_operator_asks_for_the_label_or_for_its_want(operator, of_a, of_c, of_none):
    values = VALUES if operator in (Operator.IN, Operator.NOT_IN) else frozenset()
    asked = LabelSelector(
        requirements=(LabelRequirement(key="team", operator=operator, values=values),)
    )

    assert asked.selects((("team", "a"), ("x", "y"))) is of_a
    assert asked.selects((("team", "c"),)) is of_c
    assert asked.selects((("x", "a"),)) is of_none


def test_all_requirements_must_be_met():
    both = LabelSelector(
        requirements=tuple(LabelRequirement(key=key, operator=Operator.EXISTS) for key in "ab")
    )

    assert both.selects((("a", ""), ("b", "")))
    assert not both.selects((("a", ""),))


@pytest.mark.parametrize("selector", ["a", "!a", "a=b,c", "a!=b", "a in (b)", "a=b,,c=d", ""])
def test_what_is_no_list_of_equalities_is_none(selector):
    assert equalities(selector) is None


def test_of_a_request_only_what_is_sure_counts():
    assert equalities("a=b,c==d") == {("a", "b"), ("c", "d")}
    assert asked_equalities("x,a=b,y in (c,d=e)") == {("a", "b")}
    assert asked_equalities("a=b\\,c=d") == frozenset()
