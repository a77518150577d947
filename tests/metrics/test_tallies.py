"""Plain numbers are shown as the library would show its own."""

from enum import StrEnum

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from kzproxy.metrics.tallies import Durations, Level, Tally


class Ends(StrEnum):
    NORMAL = "normal"


def shown(registry: CollectorRegistry) -> list[str]:
    """Return the lines of a registry, but for when each counter was made."""
    lines = generate_latest(registry).decode().splitlines()
    return [line for line in lines if "_created" not in line]


def test_a_tally_is_shown_as_the_librarys_counter_is() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    tally = Tally("things", "Things.", ("verb", "end"), registry=ours)
    counter = Counter("things", "Things.", ("verb", "end"), registry=theirs)
    for values in (("get", Ends.NORMAL), ("list", "other"), ("get", "normal")):
        tally.count(values)
        counter.labels(*values).inc()
    tally.count(("get", "normal"), times=3)
    counter.labels("get", "normal").inc(3)

    assert shown(ours) == shown(theirs)


def test_a_level_is_shown_as_the_librarys_gauge_is() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    Level("things", "Things.", registry=ours).value += 2
    Gauge("things", "Things.", registry=theirs).set(2)

    assert shown(ours) == shown(theirs)


@given(st.lists(st.floats(min_value=0, max_value=100) | st.sampled_from([0.005, 0.1, 60.0])))
def test_durations_are_shown_as_the_librarys_histogram_is(seconds: list[float]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    bounds = (0.005, 0.1, 3, 60)
    durations = Durations("seconds", "Time.", bounds=bounds, registry=ours)
    histogram = Histogram("seconds", "Time.", buckets=bounds, registry=theirs)
    for each in seconds:
        durations.observe(each)
        histogram.observe(each)

    assert shown(ours) == shown(theirs)
