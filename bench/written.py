"""Where the figures are kept: ``bench/results/latest.json``, and their page in docs/."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import decisions, live_streams, workers
from bench.report import table, taken_of, verdict

_REPOSITORY = Path(__file__).parents[1]
RESULTS = _REPOSITORY / "bench" / "results" / "latest.json"
PAGE = _REPOSITORY / "docs" / "performance.md"
_NUMBERS = re.compile(r"\[\n([-\d.e,\s]+)\]")
_BEGIN, _END = "<!-- figures: written by make bench -->", "<!-- end of the figures -->"


def write_document(measured: Mapping[str, Any]) -> None:
    """Write ``latest.json``."""
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(_on_one_line(json.dumps(measured, indent=2, ensure_ascii=False)) + "\n")


def _on_one_line(written: str) -> str:
    """Return JSON with each list of numbers on one line: they are many, and read as rows."""
    return _NUMBERS.sub(lambda found: f"[{', '.join(found[1].replace(',', ' ').split())}]", written)


def write_part(key: str, part: Mapping[str, Any]) -> None:
    """Put ``part`` into ``latest.json`` and its words into the page; all else stays as it is."""
    measured = json.loads(RESULTS.read_text()) | {key: part}
    write_document(measured)
    write_page(measured)


def write_page(measured: Mapping[str, Any]) -> None:
    """Put the tables into the page; all else in it is left as it is."""
    PAGE.write_text(page_with(PAGE.read_text(), measured))


def page_with(page: str, measured: Mapping[str, Any]) -> str:
    """Return ``page`` with the figures of ``measured``.

    Raises:
        ValueError: The page has no place for them.
    """
    head, begin, rest = page.partition(_BEGIN)
    _, end, tail = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"the page lacks {_BEGIN} or {_END}")
    return f"{head}{begin}\n{figures_of(measured)}\n{end}{tail}"


def figures_of(measured: Mapping[str, Any]) -> str:
    """Return what stands between the marks."""
    found = taken_of(measured)
    loads = measured["load_averages"]
    versions = ", ".join(f"{name} {number}" for name, number in measured["versions"].items())
    machine = ", ".join(f"{name} {value}" for name, value in measured["machine"].items())
    alone, streams = measured.get(decisions.KEY), measured.get(live_streams.KEY)
    several = measured.get(workers.KEY)
    return (
        f"\nMeasured {measured['date']} at commit `{measured['commit']}`: medians of"
        f" {measured['repetitions']} repetitions, under load of {measured['rounds']} rounds each;"
        f" load average {min(loads)} to {max(loads)}.\n"
        f"Versions: {versions}. Machine: {machine}.\n\n"
        f"{table(found)}\n\n{verdict(found)}\n"
        + (f"\n{decisions.words(alone)}\n" if alone is not None else "")
        + (f"\n{live_streams.words(streams)}\n" if streams else "")
        + (f"\n{workers.words(several)}\n" if several else "")
    )
