"""Decisions by themselves: their floors and their table."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from bench import decisions
from bench.decisions import KINDS, LIMITS, LOAD, missed, words

TAKEN = {LOAD: [0.5, 0.7, 0.6]} | {
    key: [kind.limit] for kind in KINDS for key in (kind.p50, kind.p99)
}


def part(taken: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    return decisions.part(taken, date="2026-01-02", commit="0123abc", load_averages=[0.123])


def test_the_part_holds_medians_spread_and_floors() -> None:
    held = part(TAKEN)

    assert (held["commit"], held["repetitions"], held["load_averages"]) == ("0123abc", 3, [0.12])
    assert held["figures"][LOAD] == {"median": 0.6, "min": 0.5, "max": 0.7}
    assert held["floors"][LOAD] == {"found": 0.6, "limit": 1.0, "reached": True}


@pytest.mark.parametrize("key", LIMITS)
def test_every_floor_is_missed_just_beyond_its_limit(key: str) -> None:
    assert missed(part(TAKEN)) == []
    assert missed(part(TAKEN | {key: [LIMITS[key] * 1.01]})) == [key]


def test_the_limits_are_those_that_were_asked_for() -> None:
    assert sorted(LIMITS.values()) == [1.0, 2.0, 15.0, 15.0, 15.0, 60.0]


def test_the_table_has_a_line_for_each_kind_and_says_what_is_missed() -> None:
    slow = KINDS[0]
    written = words(part(TAKEN | {slow.p50: [30.0]}))

    assert "at commit `0123abc`" in written
    assert "in 0.60 s of CPU, at most 1.00" in written
    lines = written.splitlines()[-len(KINDS) :]
    assert [kind.title in line for kind, line in zip(KINDS, lines, strict=True)] == [True] * 5
    assert "no: 2.00 times as much" in lines[0]
    assert lines[1].rstrip(" |").endswith("yes")
