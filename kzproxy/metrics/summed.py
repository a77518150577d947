"""The metrics of several processes as one: text in, text out.

A process that ends takes its gauges with it. Its counters stay in the sum as they were last seen: a
sum that falls would look to Prometheus as if all counters had begun again.
"""

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

_Key = tuple[str, tuple[tuple[str, str], ...]]
_Join = Callable[[float, float], float]

# Where a sum would say nothing: all show the same, or the worst counts, or the latest.
_JOINS: dict[str, _Join] = {
    "kzproxy_audit_blocked": max,
    "kzproxy_build_info": max,
    "kzproxy_config_reload_success": min,
    "kzproxy_signal_stream_enabled": min,
    "kzproxy_store_unreadable_entries": max,
    "kzproxy_signal_stream_verified_timestamp_seconds": max,
}
_LASTING = frozenset({"counter", "histogram"})


@dataclass(slots=True)
class _Total:
    documentation: str
    kind: str
    values: dict[_Key, float] = field(default_factory=dict)

    def add(self, family: Metric) -> None:
        join: _Join = _JOINS.get(family.name, operator.add)
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            before = self.values.get(key)
            self.values[key] = sample.value if before is None else join(before, sample.value)

    def metric(self, name: str) -> Metric:
        metric = Metric(name, self.documentation, self.kind)
        for (sample, labels), value in self.values.items():
            metric.add_sample(sample, dict(labels), value)
        return metric


class SummedMetrics:
    """What several processes have shown, added up."""

    def __init__(self) -> None:
        self._shown: dict[str, list[Metric]] = {}
        self._ended: dict[str, _Total] = {}

    def show(self, process: str, exposition: str) -> None:
        """Take what a living process shows now, in place of what it showed before.

        Args:
            process: A name that it shares with no process before it.
            exposition: Its metrics, in the Prometheus text format.

        Raises:
            ValueError: It is not in that format.
        """
        self._shown[process] = [
            family
            for family in text_string_to_metric_families(exposition)
            if not family.name.endswith("_created")  # when a counter began; no sum of that
        ]

    def end(self, process: str) -> None:
        """Take note that a process has ended."""
        shown = self._shown.pop(process, [])
        _add_up(self._ended, [family for family in shown if family.type in _LASTING])

    def exposition(self) -> bytes:
        """Return the sum in the Prometheus text format."""
        totals = {
            name: _Total(total.documentation, total.kind, dict(total.values))
            for name, total in self._ended.items()
        }
        for shown in self._shown.values():
            _add_up(totals, shown)
        registry = CollectorRegistry()
        registry.register(_Made([total.metric(name) for name, total in totals.items()]))
        return generate_latest(registry)


def _add_up(totals: dict[str, _Total], families: Sequence[Metric]) -> None:
    for family in families:
        total = totals.setdefault(family.name, _Total(family.documentation, family.type))
        total.add(family)


class _Made(Collector):
    """Metrics as they are."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        """Return them."""
        yield from self._metrics
