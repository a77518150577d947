"""docs/reference/expressions.md tells what the code does."""

import re
from pathlib import Path

import pytest

from kzproxy.expressions.checks import MAX_ADDITIONS, MAX_NESTED_WALKS
from kzproxy.expressions.library import KUBERNETES_FUNCTIONS, OPERATORS
from kzproxy.expressions.source import MAX_SOURCE_CHARACTERS
from kzproxy.policy.expression import ATTRIBUTES

REFERENCE = (Path(__file__).parents[2] / "docs" / "reference" / "expressions.md").read_text()


def test_every_attribute_is_told_and_no_other() -> None:
    section = REFERENCE[REFERENCE.index("## Attributes") : REFERENCE.index("## Functions")]
    assert re.findall(r"^\| `([A-Za-z_.]+)` \|", section, re.MULTILINE) == list(ATTRIBUTES)


@pytest.mark.parametrize(
    "name", sorted((KUBERNETES_FUNCTIONS | {"glob"}) - set(OPERATORS) - {"_?._", "_[?_]"})
)
def test_every_function_is_told(name: str) -> None:
    assert re.search(rf"\b{re.escape(name)}\b", REFERENCE[REFERENCE.index("## Functions") :])


@pytest.mark.parametrize(
    ("limit", "value"),
    [
        ("length", MAX_SOURCE_CHARACTERS),
        ("walks in one another", MAX_NESTED_WALKS),
        ("`+`", MAX_ADDITIONS),
    ],
)
def test_a_limit_is_told_as_it_is(limit: str, value: int) -> None:
    line = re.search(rf"^\| {re.escape(limit)} \| (\d+)", REFERENCE, re.MULTILINE)
    assert line is not None
    assert int(line[1]) == value
