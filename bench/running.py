"""One system while it runs: asked, weighed, and at its end held to account."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from bench.load import Door, Loader, Plan, Report
from bench.machine import cpu_seconds, pinned, resident_bytes
from bench.process import Process
from bench.programs import CannotRunError
from bench.systems.system import System

# Long enough for a heap to settle, and for a log's last lines to be written.
SETTLE_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """A report, and the CPU that the system's processes used within its window."""

    report: Report
    cpu_seconds: float

    @property
    def cpu_us_each(self) -> float:
        """CPU for one answer, or event."""
        return self.cpu_seconds / self.report.answers * 1e6


@dataclass(slots=True, kw_only=True)
class Running:
    """A system that answers.

    Attributes:
        ready_seconds: From its start to its first right answer.
        reports: Of everything that it was asked.
        round_number: In which it is: all systems are asked the same in one, and other things in the
            next.
    """

    system: System
    process: Process
    loader: Loader
    ready_seconds: float
    reports: list[Report] = field(default_factory=list)
    round_number: int = 0

    def weigh(self, plan: Plan, door: Door | None = None) -> Weighed:
        """Have the plan carried out, and read CPU at both ends of its window.

        Args:
            plan: What is asked.
            door: Where; at the system's own door by default.

        Raises:
            CannotRunError: An answer was wrong, or there was none.
        """
        used: list[float] = []
        seeded = replace(plan, seed=self.round_number)
        try:
            report = self.loader.run(
                door or self.system.door, seeded, lambda: used.append(self.cpu_seconds())
            )
        except CannotRunError as error:
            raise CannotRunError(f"{self.system.name}: {error}") from error
        self.reports.append(report)
        return Weighed(report=report, cpu_seconds=used[1] - used[0])

    def cpu_seconds(self) -> float:
        """Return what its processes have used since they began."""
        return cpu_seconds(self.process.pid)

    def resident_bytes(self) -> int:
        """Return its processes' memory, once they have settled."""
        time.sleep(SETTLE_SECONDS)
        return resident_bytes(self.process.pid)


@contextmanager
def running(
    system: System, loader: Loader, core: int | None, target: str, wrap: Sequence[str] = ()
) -> Iterator[Running]:
    """Start a system and give it once it has answered ``target``; it is stopped at the end."""
    plan = Plan(mode="until-ready", targets=(target,), check_target=False)
    with loader.begin(system.door, plan) as waiting:
        begun = time.perf_counter()
        process = system.start([*pinned(core, ()), *wrap])
        try:
            try:
                report = waiting.go(process.check)
            except CannotRunError as error:
                raise CannotRunError(f"{system.name}: {error}: {process.last_words()}") from error
            seconds = time.perf_counter() - begun
            yield Running(
                system=system,
                process=process,
                loader=loader,
                ready_seconds=seconds,
                reports=[report],
            )
        finally:
            process.stop()
