"""What is counted: plain numbers, turned into metrics when somebody asks for them.

A client library's own counters take a lock and look their labels up; a request counts six times,
which cost as much as its system calls. All of it is counted on the one event loop.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from types import TracebackType

from kzproxy.metrics.exposition import Family, Registry, Sample

_TOTAL = "_total"


def samples(
    suffix: str, labels: Sequence[str], figures: Mapping[tuple[str, ...], float]
) -> list[Sample]:
    """Return figures that are found by the values of ``labels``; shown by the labels' names."""
    return [
        (suffix, tuple(sorted(zip(labels, map(str, values), strict=True))), figure)
        for values, figure in figures.items()
    ]


class Tally:
    """Counts events by the values of some labels."""

    def __init__(
        self, name: str, documentation: str, labels: Sequence[str], *, registry: Registry
    ) -> None:
        self._name, self._documentation, self._labels = name, documentation, labels
        self._totals: dict[tuple[str, ...], int] = {} if labels else {(): 0}
        registry.register(name, self.collect)

    def count(self, values: tuple[str, ...] = (), times: int = 1) -> None:
        """Count an event; ``values`` are those of the labels, in their order."""
        totals = self._totals
        totals[values] = totals.get(values, 0) + times

    def collect(self) -> Family:
        """Return the totals as they stand."""
        return Family(
            name=self._name,
            documentation=self._documentation,
            kind="counter",
            samples=samples(_TOTAL, self._labels, self._totals),
        )


class Counter(Tally):
    """A tally for what is counted seldom, named where it is counted."""

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str] = (),
        *,
        registry: Registry,
    ) -> None:
        super().__init__(name, documentation, labels, registry=registry)

    def labels(self, *values: str) -> "Counted":
        """Return what counts under these values of the labels."""
        return Counted(self, values)

    def inc(self) -> None:
        """Count one, where there are no labels."""
        self.count()


class Counted:
    """One figure of a ``Counter``."""

    __slots__ = ("_of", "_values")

    def __init__(self, of: Counter, values: tuple[str, ...]) -> None:
        self._of, self._values = of, values
        of.count(values, times=0)  # It is shown from now on.

    def inc(self, times: int = 1) -> None:
        """Count so many."""
        self._of.count(self._values, times)


class Level:
    """How many of something there are.

    Attributes:
        value: That many; whoever counts changes it.
    """

    def __init__(self, name: str, documentation: str, *, registry: Registry) -> None:
        self._name, self._documentation = name, documentation
        self.value = 0
        registry.register(name, self.collect)

    def collect(self) -> Family:
        """Return it as it stands."""
        return _gauge(self._name, self._documentation, [("", (), self.value)])


class Gauge:
    """Figures that go up and down, by the values of some labels; one of 0 where there are none."""

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str] = (),
        *,
        registry: Registry,
    ) -> None:
        self._name, self._documentation, self._labels = name, documentation, labels
        self._read: Callable[[], float] | None = None
        self.figures: dict[tuple[str, ...], float] = {} if labels else {(): 0}
        registry.register(name, self.collect)

    def labels(self, *values: str) -> "Gauged":
        """Return the figure of these values of the labels."""
        return Gauged(self.figures, values)

    def set(self, value: float) -> None:
        """Set the one figure, where there are no labels."""
        self.figures[()] = value

    def inc(self) -> None:
        """Have one more of it."""
        self.figures[()] += 1

    def dec(self) -> None:
        """Have one less of it."""
        self.figures[()] -= 1

    def set_function(self, read: Callable[[], float]) -> None:
        """Have ``read`` called for the one figure, each time that it is shown."""
        self._read = read

    def collect(self) -> Family:
        """Return the figures as they stand."""
        if self._read is not None:
            self.figures[()] = self._read()
        return _gauge(self._name, self._documentation, samples("", self._labels, self.figures))


class Gauged:
    """One figure of a ``Gauge``."""

    __slots__ = ("_figures", "_values")

    def __init__(self, figures: dict[tuple[str, ...], float], values: tuple[str, ...]) -> None:
        self._figures, self._values = figures, values
        figures.setdefault(values, 0)

    def set(self, value: float) -> None:
        """Set it."""
        self._figures[self._values] = value

    def __enter__(self) -> None:
        """Have one more of it while the block runs."""
        self._figures[self._values] += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Have one less again."""
        self._figures[self._values] -= 1


class Durations:
    """Counts durations by how long they are; ``bounds`` ascend."""

    def __init__(
        self,
        name: str,
        documentation: str,
        *,
        bounds: Sequence[float],
        registry: Registry,
    ) -> None:
        self._name, self._documentation = name, documentation
        self._bounds = bounds
        # The last is of all that are longer.
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        registry.register(name, self.collect)

    def observe(self, seconds: float) -> None:
        """Count one."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._sum += seconds

    def collect(self) -> Family:
        """Return the counts as they stand: of each bound, how many were no longer."""
        bounds = [*(str(float(bound)) for bound in self._bounds), "+Inf"]
        buckets: list[Sample] = [
            ("_bucket", (("le", bound),), count)
            for bound, count in zip(bounds, accumulate(self._counts), strict=True)
        ]
        return Family(
            name=self._name,
            documentation=self._documentation,
            kind="histogram",
            samples=[
                *buckets,
                ("_count", (), sum(self._counts)),
                ("_sum", (), self._sum),
            ],
        )


def _gauge(name: str, documentation: str, figures: Sequence[Sample]) -> Family:
    return Family(name=name, documentation=documentation, kind="gauge", samples=figures)
