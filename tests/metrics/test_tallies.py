"""Figures are shown as Prometheus' own library would show its own."""

from enum import StrEnum

import prometheus_client as theirs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.metrics.exposition import Registry
from kzproxy.metrics.tallies import Counter, Durations, Gauge, Level, Tally


class Ends(StrEnum):
    NORMAL = "normal"


class Both:
    """Our registry and theirs."""

    def __init__(self) -> None:
        self.ours = Registry()
        self.theirs = theirs.CollectorRegistry()

    def agree(self) -> bool:
        """Compare what they show, but for when each counter of theirs was made."""
        lines = theirs.generate_latest(self.theirs).split(b"\n")
        wanted = [line for line in lines if b"_created" not in line]
        return self.ours.exposition().split(b"\n") == wanted


def test_a_tally_is_shown_as_the_librarys_counter_is() -> None:
    both = Both()
    tally = Tally("things", "Things.", ("verb", "end"), registry=both.ours)
    counter = theirs.Counter("things", "Things.", ("verb", "end"), registry=both.theirs)
    for values in (("get", Ends.NORMAL), ("list", "other"), ("get", "normal")):
        tally.count(values)
        counter.labels(*values).inc()
    tally.count(("get", "normal"), times=3)
    counter.labels("get", "normal").inc(3)

    assert both.agree()


@given(name=st.text(max_size=6) | st.sampled_from(['"', "\\", "\n", '\\"', "\\n", "é", "{}"]))
def test_any_text_is_shown_as_the_library_shows_it(name: str) -> None:
    both = Both()
    Counter("things", name, ("of",), registry=both.ours).labels(name).inc(2)
    theirs.Counter("things", name, ("of",), registry=both.theirs).labels(name).inc(2)

    assert both.agree()


def test_counters_and_gauges_are_shown_before_anything_is_counted() -> None:
    both = Both()
    Counter("seen", "Seen.", registry=both.ours)
    theirs.Counter("seen", "Seen.", registry=both.theirs)
    Counter("by", "By.", ("one",), registry=both.ours).labels("a")
    theirs.Counter("by", "By.", ("one",), registry=both.theirs).labels("a")
    Gauge("there", "There.", registry=both.ours)
    theirs.Gauge("there", "There.", registry=both.theirs)

    assert both.agree()


def test_a_gauge_goes_up_and_down_as_the_librarys_does() -> None:
    both = Both()
    own, others = (
        Gauge("there", "There.", registry=both.ours),
        theirs.Gauge("there", "There.", registry=both.theirs),
    )
    for gauge in (own, others):
        gauge.inc()
        gauge.inc()
        gauge.dec()
    assert both.agree()
    for gauge in (own, others):
        gauge.set(2.5)
    assert both.agree()
    for gauge in (own, others):
        gauge.set_function(lambda: 7)
    assert both.agree()


def test_what_is_in_progress_is_counted_while_it_is() -> None:
    both = Both()
    own = Gauge("there", "There.", ("kind",), registry=both.ours)
    others = theirs.Gauge("there", "There.", ("kind",), registry=both.theirs)
    with own.labels("watch"), others.labels("watch").track_inprogress():
        assert b'{kind="watch"} 1.0' in both.ours.exposition()
        assert both.agree()
    assert both.agree()


def test_a_level_is_shown_as_the_librarys_gauge_is() -> None:
    both = Both()
    Level("things", "Things.", registry=both.ours).value += 2
    theirs.Gauge("things", "Things.", registry=both.theirs).set(2)

    assert both.agree()


@given(st.lists(st.floats(min_value=0, max_value=100) | st.sampled_from([0.005, 0.1, 60.0])))
def test_durations_are_shown_as_the_librarys_histogram_is(seconds: list[float]) -> None:
    both = Both()
    bounds = (0.005, 0.1, 3, 60)
    durations = Durations("seconds", "Time.", bounds=bounds, registry=both.ours)
    histogram = theirs.Histogram("seconds", "Time.", buckets=bounds, registry=both.theirs)
    for each in seconds:
        durations.observe(each)
        histogram.observe(each)

    assert both.agree()


def test_two_metrics_of_one_name_are_a_bug() -> None:
    registry = Registry()
    Level("things", "Things.", registry=registry)
    with pytest.raises(ValueError, match="things"):
        Gauge("things", "Others.", registry=registry)
