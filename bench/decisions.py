"""Decisions by themselves, by a thousand mixed rules: what must be reached, and how it is written.

They need no other system to be compared with, so that they can be measured alone, in seconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.report import markdown, number, spread

KEY = "decisions"
"""Of their part of ``latest.json``."""

# By key, a list over the repetitions.
Taken = Mapping[str, Sequence[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Decisions of one kind.

    Attributes:
        key: As ``bench.mixed_rules`` calls it.
        title: For people.
        limit: What the median of them may take, in microseconds.
    """

    key: str
    title: str
    limit: float

    @property
    def p50(self) -> str:
        """The key of their median."""
        return f"{self.key}_p50_us"

    @property
    def p99(self) -> str:
        """The key of what all but one in a hundred stay under."""
        return f"{self.key}_p99_us"


# All but the last on facts that were never seen.
KINDS = (
    Kind(key="plain", title="by subject and namespace", limit=15.0),
    Kind(key="place", title="network, calendar, tier", limit=15.0),
    Kind(key="sign_in", title="sign-in, named condition, obligation", limit=15.0),
    Kind(key="expression", title="an expression in CEL", limit=60.0),
    Kind(key="known", title="taken before", limit=2.0),
)
LOAD = "load_s"
LIMITS = {LOAD: 1.0} | {kind.p50: kind.limit for kind in KINDS}


def part(taken: Taken, *, date: str, commit: str, load_averages: Sequence[float]) -> dict[str, Any]:
    """Return what ``latest.json`` holds of them under ``KEY``; see ``Circumstances``."""
    figures = {key: spread(values) for key, values in taken.items()}
    return {
        "date": date,
        "commit": commit,
        "repetitions": len(taken[LOAD]),
        "load_averages": [round(each, 2) for each in load_averages],
        "floors": {
            key: {
                "found": figures[key]["median"],
                "limit": limit,
                "reached": figures[key]["median"] <= limit,
            }
            for key, limit in LIMITS.items()
        },
        "figures": figures,
    }


def words(held: Mapping[str, Any]) -> str:
    """Return such a part as a paragraph and a Markdown table."""
    loads, load = held["load_averages"], held["floors"][LOAD]
    return (
        f"Decisions by 1,000 mixed rules, measured {held['date']} at commit `{held['commit']}`:"
        f" medians of {held['repetitions']} repetitions, load average {min(loads)} to"
        f" {max(loads)}. The rules are read and checked in {load['found']:.2f} s of"
        f" CPU, at most {load['limit']:.2f}.\n\n{_table(held)}"
    )


def missed(held: Mapping[str, Any]) -> list[str]:
    """Return the keys of what is not reached."""
    return [key for key, floor in held["floors"].items() if not floor["reached"]]


def _table(held: Mapping[str, Any]) -> str:
    rows = []
    for kind in KINDS:
        floor, p99 = held["floors"][kind.p50], held["figures"][kind.p99]["median"]
        found, limit = floor["found"], floor["limit"]
        rows.append(
            [
                kind.title,
                number(found, 2),
                number(p99, 1),
                number(limit, 2),
                "yes" if floor["reached"] else f"no: {found / limit:.2f} times as much",
            ]
        )
    return markdown(["one decision, µs", "p50", "p99", "p50 at most", "reached"], rows)
