"""What has been found of all systems, and what must hold of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.figures import KZPROXY, NGINX
from bench.ledger import MismatchError, Records, check_records
from bench.running import Running
from bench.systems.system import System


@dataclass(slots=True, kw_only=True)
class Found:
    """The figures of all systems.

    Attributes:
        figures: By system, then by key, in the order in which they were taken.
        ciphers: What each system agreed on with its clients.
        load_averages: Of the machine, before each repetition.
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
        """Add what was measured of a system."""
        own = self.figures.setdefault(system, {})
        for key, value in values.items():
            own.setdefault(key, []).append(value)

    def add_round(self, values: Mapping[str, Mapping[str, float]]) -> None:
        """Add what was measured of each system, by name, one right after the other."""
        for system, own in values.items():
            self.add(system, own)


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
