"""What every request counts: plain numbers, turned into metrics when somebody asks for them.

The library's own counters take a lock and look their labels up; a request counts six times, which
cost as much as its system calls. All of it is counted on the one event loop.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector


class Tally(Collector):
    """Counts events by the values of some labels."""

    def __init__(
        self, name: str, documentation: str, labels: Sequence[str], *, registry: CollectorRegistry
    ) -> None:
        self._name, self._documentation, self._labels = name, documentation, labels
        self._totals: dict[tuple[str, ...], int] = {}
        registry.register(self)

    def count(self, values: tuple[str, ...], times: int = 1) -> None:
        """Count an event; ``values`` are those of the labels, in their order."""
        totals = self._totals
        totals[values] = totals.get(values, 0) + times

    def collect(self) -> Iterator[Metric]:
        """Return the totals as they stand."""
        found = CounterMetricFamily(self._name, self._documentation, labels=self._labels)
        for values, total in self._totals.items():
            found.add_metric([str(value) for value in values], total)
        yield found


class Level(Collector):
    """How many of something there are.

    Attributes:
        value: That many; whoever counts changes it.
    """

    def __init__(self, name: str, documentation: str, *, registry: CollectorRegistry) -> None:
        self._name, self._documentation = name, documentation
        self.value = 0
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Return it as it stands."""
        yield GaugeMetricFamily(self._name, self._documentation, value=self.value)


class Durations(Collector):
    """Counts durations by how long they are; ``bounds`` ascend."""

    def __init__(
        self,
        name: str,
        documentation: str,
        *,
        bounds: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        self._name, self._documentation = name, documentation
        self._bounds = bounds
        # The last is of all that are longer.
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        registry.register(self)

    def observe(self, seconds: float) -> None:
        """Count one."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._sum += seconds

    def collect(self) -> Iterator[Metric]:
        """Return the counts as they stand: of each bound, how many were no longer."""
        bounds = [*(str(float(bound)) for bound in self._bounds), "+Inf"]
        counts = accumulate(self._counts)
        yield HistogramMetricFamily(
            self._name,
            self._documentation,
            buckets=list(zip(bounds, counts, strict=True)),
            sum_value=self._sum,
        )
