"""docs/reference/attack-catalogue.md is true of the tests."""

import ast
import re
import subprocess
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

REPOSITORY = Path(__file__).parents[2]
PAGE = REPOSITORY / "docs/reference/attack-catalogue.md"
_HERE = "tests/attacks/"

# How many rows each family has. A row is never renumbered: tests carry its id.
FAMILIES = {
    "P": 20, "B2.": 25, "E1.": 6, "E2.": 10, "E3.": 13,
    "E4.": 8, "E5.": 8, "E6.": 13, "E7.": 8, "E8.": 4, "E9.": 8,
}  # fmt: skip
IDS = [f"{family}{number}" for family, count in FAMILIES.items() for number in range(1, count + 1)]
# Every row of these has a test; those of the others may wait for their part of kzproxy.
_NOW = ("P", "B2.", "E1.", "E2.", "E3.", "E6.")
# Shown elsewhere alone: kube-apiserver does not misbehave on demand, an issuer's faults need a
# clock that can be set, and signing in is the client's.
_ELSEWHERE = {"E1.2", "E6.4", "E6.10"}


class Row(NamedTuple):
    """A row of the page."""

    id: str
    tried: str
    required: str
    tests: list[str]


def rows() -> list[Row]:
    lines = [line for line in PAGE.read_text().splitlines() if re.match(r"\| [A-Z]\d", line)]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [
        Row(name, tried, required, re.findall(r"`([^`]+)`", tests))
        for name, tried, required, tests in cells
    ]


ROWS = rows()


@cache
def functions(path: str) -> set[str]:
    tree = ast.parse((REPOSITORY / path).read_text())
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


@cache
def collected() -> dict[str, set[str]]:
    """Return the tests of tests/attacks, parameters left off, with the row ids they carry."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, _HERE], cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=True
    )
    found: dict[str, set[str]] = defaultdict(set)
    for line in done.stdout.splitlines():
        if match := re.match(r"(tests/attacks/\S+?::test_\w+)(\[.*\])?$", line):
            test, parameters = match.groups()
            found[test] |= ids_of(test.partition("::")[2], parameters or "")
    return found


def ids_of(function: str, parameters: str) -> set[str]:
    """Read the rows that a test is of: from its name, or from its parameters' ids."""
    return {
        *(f"P{number}" for number in re.findall(r"(?<=_)P(\d+)(?=_)", function)),
        *(f"{family}.{n}" for family, n in re.findall(r"(?<=_)(B2|E\d)_(\d+)(?=_)", function)),
        *re.findall(r"(?<![\w.])(P\d+|(?:B2|E\d)\.\d+)(?![\w.])", parameters),
    }


def test_every_row_is_on_the_page_once_and_in_order() -> None:
    assert [row.id for row in ROWS] == IDS


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_a_row_says_what_is_tried_and_what_must_come_of_it(row: Row) -> None:
    assert row.tried
    assert row.required
    assert row.tests or row.required.startswith("later: ")


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.id.startswith(_NOW)], ids=lambda row: row.id
)
def test_a_row_of_today_is_tried_before_the_real_api_server(row: Row) -> None:
    assert not row.required.startswith("later: ")
    here = [test for test in row.tests if test.startswith(_HERE)]
    assert bool(here) != (row.id in _ELSEWHERE)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_every_test_that_is_named_exists(row: Row) -> None:
    for test in row.tests:
        path, _, function = test.partition("::")
        assert function in functions(path), test


def test_every_attack_is_named_in_the_row_whose_id_it_carries() -> None:
    """And no other: both ways."""
    ignored = {"test_catalogue.py"}
    here = {
        (row_id, test)
        for test, ids in collected().items()
        if Path(test.partition("::")[0]).name not in ignored
        for row_id in ids or {"none"}
    }
    named = {(row.id, test) for row in ROWS for test in row.tests if test.startswith(_HERE)}
    assert here - named == set(), "not on the page"
    assert named - here == set(), "on the page, but without the row's id"
    assert len(here) > 100
