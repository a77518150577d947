"""The figures as a table for people and as JSON for machines."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.figures import (
    FIGURES,
    FLOORS,
    KZPROXY,
    NGINX,
    Taken,
    median_of,
    ratio_of,
    ratios_to_nginx,
    standings,
)

_NOTHING = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """Where and when was measured.

    Attributes:
        date: ISO 8601, UTC.
        repetitions: Of everything but lists, each system started anew.
        rounds: Within each, of what is compared under load.
        commit: Of kzproxy; ``-dirty`` where files differed from it, ``A..B`` where it changed.
        versions: Of everything that was measured or measured with.
        machine: Processor, cores, kernel, file system.
        ciphers: What each system agreed on with its clients.
        load_averages: Of the machine, before each repetition.
    """

    date: str
    commit: str
    repetitions: int
    rounds: int
    versions: Mapping[str, str]
    machine: Mapping[str, str]
    ciphers: Mapping[str, str]
    load_averages: Sequence[float]


def document(circumstances: Circumstances, found: Taken) -> dict[str, Any]:
    """Return what ``bench/results/latest.json`` holds."""
    return {
        "date": circumstances.date,
        "commit": circumstances.commit,
        "repetitions": circumstances.repetitions,
        "rounds": circumstances.rounds,
        "versions": dict(circumstances.versions),
        "machine": dict(circumstances.machine),
        "ciphers": dict(circumstances.ciphers),
        "load_averages": [round(each, 2) for each in circumstances.load_averages],
        "ratios_to_nginx": ratios_to_nginx(found),
        "floors": {
            each.floor.name: {
                "beside": each.floor.beside,
                "found": round(each.found, 3),
                "limit": each.floor.limit,
                "reached": each.reached,
            }
            for each in standings(found)
        },
        "systems": {
            system: {key: _in_full(values) for key, values in own.items()}
            for system, own in found.items()
        },
    }


def taken_of(document: Mapping[str, Any]) -> Taken:
    """Return the figures that a document holds."""
    return {
        system: {key: values["taken"] for key, values in own.items()}
        for system, own in document["systems"].items()
    }


def table(found: Taken) -> str:
    """Return the medians as a Markdown table, kzproxy's ratio to nginx and its floor at the end."""
    systems = sorted(found, key=lambda name: name == KZPROXY)  # ours last, the others as they came
    limits = {floor.key: floor.limit for floor in FLOORS if floor.beside == NGINX}
    rows = [
        [
            figure.title,
            *(number(median_of(found, system, figure.key), figure.decimals) for system in systems),
            number(ratio_of(found, figure.key, NGINX), 2),
            number(limits.get(figure.key), 2),
        ]
        for figure in FIGURES
        if any(figure.key in found[system] for system in systems)
    ]
    return markdown(["", *systems, f"{KZPROXY} ÷ {NGINX}", "at most"], rows)


def verdict(found: Taken) -> str:
    """Return every floor and where kzproxy stands, as a Markdown table."""
    rows = [
        [
            each.floor.name,
            f"÷ {each.floor.beside}" if each.floor.beside else "itself",
            number(each.found, 2),
            number(each.floor.limit, 2),
            "yes" if each.reached else f"no: {each.found / each.floor.limit:.2f} times as much",
        ]
        for each in standings(found)
    ]
    return markdown(["floor", "taken", "found", "at most", "reached"], rows)


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return median, least and greatest."""
    return {
        "median": round(statistics.median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
    }


def _in_full(values: Sequence[float]) -> dict[str, Any]:
    return {**spread(values), "taken": [round(value, 3) for value in values]}


def number(value: float | None, decimals: int) -> str:
    """Write a figure for a table; a dash where there is none."""
    return _NOTHING if value is None else f"{value:,.{decimals}f}"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table whose columns line up in a terminal too."""
    widths = [max(len(cell) for cell in column) for column in zip(header, *rows, strict=True)]
    lines = [header, ["-" * width for width in widths], *rows]
    return "\n".join(_line(line, widths) for line in lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
    return f"| {' | '.join(padded)} |"
