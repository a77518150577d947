"""docs/reference/request-attributes.md is true of the code and of the tables."""

import re
from pathlib import Path

from kzproxy.attributes.path import SLASHED_PATHS, may_end_with_slash
from kzproxy.attributes.query import SINGLE_VALUE_KEYS
from tests.attributes import request_lines

PAGE_FILE = Path(__file__).parents[2] / "docs/reference/request-attributes.md"
PAGE = PAGE_FILE.read_text(encoding="utf-8")
# Decided by other rooms, whose tests show them.
ELSEWHERE = {"P15", "P16"}


def test_every_row_is_on_the_page_once():
    assert re.findall(r"^\| (P\d+) \|", PAGE, re.MULTILINE) == [f"P{n}" for n in range(1, 21)]


def test_every_row_that_is_decided_here_is_in_the_tables():
    ids = {
        row[0].partition("-")[0]
        for table in vars(request_lines).values()
        if isinstance(table, list)
        for row in table
    }
    assert {f"P{n}" for n in range(1, 21)} - ids == ELSEWHERE


def test_the_page_lists_the_paths_that_may_end_with_a_slash():
    listed = PAGE.partition("A trailing slash is\n")[2].partition(" only")[0]
    paths = set(re.findall(r"`(/[^`]*)`", listed))
    of_groups = {"/api/VERSION/", "/apis/GROUP/", "/apis/GROUP/VERSION/"}
    assert paths == SLASHED_PATHS | of_groups
    assert all(may_end_with_slash(re.sub("[A-Z]+", "a1", path)) for path in paths)


def test_the_page_lists_the_control_keys():
    listed = re.search(r"at most once: `([^`]*)`", PAGE)
    assert listed
    assert listed[1].split() == sorted(SINGLE_VALUE_KEYS)
