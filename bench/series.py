"""Run the systems in turn, again and again, so that none has the machine at its best alone."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.ledger import Records, check_audit_ids, check_records, check_upstream
from bench.machine import load_average
from bench.measures import Values
from bench.programs import say
from bench.running import Running, running
from bench.stage import Stage
from bench.systems.system import Site, System

Maker = Callable[[Site], System]


@dataclass(slots=True, kw_only=True)
class Found:
    """The figures of all systems, a list over the repetitions each.

    Attributes:
        figures: By system, then by key.
        ciphers: What each system agreed on with its clients.
        load_averages: Of the machine, before each system's turn.
    """

    figures: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    ciphers: dict[str, str] = field(default_factory=dict)
    load_averages: list[float] = field(default_factory=list)

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
    note_cipher(found, run)
    say(f"{system.name}: {len(run.reports)} loads, {counts.requests} requests, all accounted for")
    return values


def check_decisions(system: System, run: Running) -> None:
    """Compare a system's answers with its decision log, and remove that, which is large.

    Raises:
        MismatchError: They are not the same.
    """
    logs = system.decision_logs
    if not logs:
        return
    check_records(system.name, run.reports, Records.read(logs))
    for log in logs:
        log.unlink()


def note_cipher(found: Found, run: Running) -> None:
    """Keep what was agreed on."""
    agreed = {report.cipher for report in run.reports} - {""}
    found.ciphers[run.system.name] = ", ".join(sorted(agreed))


def repeat(
    stage: Stage,
    makers: Sequence[Maker],
    repetitions: int,
    target: str,
    measure: Callable[[Running], Values],
) -> Iterable[tuple[int, Found]]:
    """Measure every system once a repetition; gives what has been found so far after each."""
    found = Found()
    for repetition in range(repetitions):
        for number, maker in enumerate(makers):
            system = maker(stage.site(f"{repetition}-{number}"))
            found.add(system.name, measure_once(stage, system, target, measure, found))
        yield repetition, found
