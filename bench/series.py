"""Measure one system once, and hold it to account."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.figures import KZPROXY, NGINX
from bench.ledger import MismatchError, Records, check_audit_ids, check_records, check_upstream
from bench.machine import load_average
from bench.measures import Values
from bench.programs import say
from bench.running import Running, running
from bench.stage import Stage
from bench.systems.system import System


@dataclass(slots=True, kw_only=True)
class Found:
    """The figures of all systems, a list over the repetitions each.

    Attributes:
        figures: By system, then by key.
        ciphers: What each system agreed on with its clients.
        load_averages: Of the machine, before each system's turn.
        decisions: By key, those of ``bench.mixed_rules``.
        streams: The part of ``latest.json`` on live streams; empty where they were not measured.
        workers: The same on a second worker.
    """

    figures: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    ciphers: dict[str, str] = field(default_factory=dict)
    load_averages: list[float] = field(default_factory=list)
    decisions: dict[str, list[float]] = field(default_factory=dict)
    streams: dict[str, Any] = field(default_factory=dict)
    workers: dict[str, Any] = field(default_factory=dict)

    def add_decisions(self, values: Mapping[str, float]) -> None:
        """Add a repetition's values of decisions by themselves."""
        for key, value in values.items():
            self.decisions.setdefault(key, []).append(value)

    def add(self, system: str, values: Mapping[str, float]) -> None:
        """Add a repetition's values."""
        own = self.figures.setdefault(system, {})
        for key, value in values.items():
            own.setdefault(key, []).append(value)


def measure_once(
    stage: Stage, system: System, target: str, measure: Callable[[Running], Values], found: Found
) -> Values:
    """Start ``system`` before the fixed upstream, measure, stop, and hold it to account.

    Raises:
        CannotRunError: It does not start, or an answer is wrong.
        MismatchError: Answers, upstream requests and records are not the same.
    """
    found.load_averages.append(load_average())
    before = stage.upstream.counts()
    with running(system, stage.loader, stage.cores.proxy, target) as run:
        values = measure(run)
    counts = stage.upstream.counts().since(before)
    check_upstream(system.name, run.reports, counts)
    if system.impersonates:
        check_audit_ids(system.name, run.reports, counts)
    check_decisions(system, run)
    found.ciphers[system.name] = f"{cipher_of(run)}; upstream {counts.cipher_suite}"
    say(f"{system.name}: {len(run.reports)} loads, {counts.requests} requests, all accounted for")
    return values


def check_decisions(system: System, run: Running) -> Records:
    """Compare a system's answers with its decision log, and remove that, which is large.

    Returns:
        What the log held; nothing where the system has none.

    Raises:
        MismatchError: They are not the same.
    """
    logs = system.decision_logs
    records = Records.read(logs)
    if logs:
        check_records(system.name, run.reports, records)
    for log in logs:
        log.unlink()
    return records


def check_equal_terms(found: Found) -> None:
    """Compare what nginx and kzproxy agreed on, with clients and with the upstream.

    Raises:
        MismatchError: Their ciphers differ: their CPU must not be compared then.
    """
    ours, theirs = found.ciphers[KZPROXY], found.ciphers[NGINX]
    if ours != theirs:
        raise MismatchError(f"kzproxy has {ours}, nginx has {theirs}")


def cipher_of(run: Running) -> str:
    """Return what was agreed on with its clients."""
    return ", ".join(sorted({report.cipher for report in run.reports} - {""}))
