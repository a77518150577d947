"""Names with ``*``."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.policy.glob import Names


@pytest.mark.parametrize(
    ("patterns", "name", "is_held"),
    [
        (["dev"], "dev", True),
        (["dev"], "dev-1", False),
        (["dev-*"], "dev-1", True),
        (["dev-*"], "dev-", True),
        (["dev-*"], "dev", False),
        (["*-dev"], "team-dev", True),
        (["a*a"], "a", False),
        (["a*a"], "aa", True),
        (["*"], "anything", True),
        (["*b*"], "abc", True),
        (["*a*a"], "a", False),
        (["a*b*c"], "a-c-b-c", True),
        (["a*b*c"], "a-c", False),
        (["dev", "prod-*"], "prod-eu", True),
        (["d.v"], "dev", False),
    ],
)
def test_a_star_stands_for_any_run_of_characters(patterns, name, is_held):
    assert Names(patterns).hold(name) is is_held


@given(pattern=st.text("ab*", max_size=8), name=st.text("ab", max_size=8))
def test_a_glob_reads_as_the_regular_expression_that_says_the_same(pattern, name):
    expression = ".*".join(re.escape(piece) for piece in pattern.split("*"))

    assert Names([pattern]).hold(name) is (re.fullmatch(expression, name) is not None)
