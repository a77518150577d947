"""What clients saw: answers, and failures that a kill may explain."""

from collections import Counter
from dataclasses import dataclass, field

from kzproxy.clock.system import Clock
from soak.accounting import Answer
from soak.verdict import Line

# A connection that waits to be accepted by a killed worker ends with it; a kubectl command asks
# several times. What begins later has no excuse.
_AFTERMATH_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Something that a client did not get.

    Attributes:
        broken: Whether the connection failed: no kill explains a wrong answer.
    """

    what: str
    why: str
    began: float
    ended: float
    broken: bool


@dataclass(slots=True)
class Tally:
    """Counts as the run goes; times are seconds since its making."""

    clock: Clock
    answers: list[Answer] = field(default_factory=list)
    requests: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    kills: list[float] = field(default_factory=list)
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = self.clock.monotonic()

    def now(self) -> float:
        """Return the seconds since the beginning."""
        return self.clock.monotonic() - self._began

    def answered(self, what: str, audit_id: str, status: int | None = None) -> None:
        """Take an answer; without an audit id it has no record, which is told at the end."""
        self.answers.append(Answer(audit_id=audit_id, what=what, status=status))

    def failed(self, what: str, why: str, began: float, *, broken: bool) -> None:
        """Take a failure of what began at ``began`` and has ended now."""
        failure = Failure(what=what, why=why, began=began, ended=self.now(), broken=broken)
        self.failures.append(failure)

    def killed(self) -> None:
        """Note that a worker is killed now."""
        self.kills.append(self.now())

    def line(self) -> Line:
        """Say that nothing failed but what a kill explains."""
        unexplained = [failure for failure in self.failures if not self._is_explained(failure)]
        explained = len(self.failures) - len(unexplained)
        return Line(
            name="no client failed but for a kill",
            found=f"{sum(self.requests.values())} things done, {explained} failed by kills",
            problems=tuple(
                f"{each.began:.1f} to {each.ended:.1f} s: {each.what}: {each.why}"
                for each in unexplained
            ),
        )

    def _is_explained(self, failure: Failure) -> bool:
        return failure.broken and any(
            failure.began - _AFTERMATH_SECONDS <= kill <= failure.ended for kill in self.kills
        )
