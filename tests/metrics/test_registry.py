import re
from pathlib import Path

from kzproxy.administrator.lease import EndCause
from kzproxy.metrics.registry import Metrics
from kzproxy.metrics.summed import SummedMetrics

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"


def test_a_total_counted_elsewhere_is_read_at_each_scrape() -> None:
    metrics = Metrics("1")
    total = [3]
    metrics.follow("kzproxy_things", "Things.", lambda: total[0])

    assert b"kzproxy_things_total 3.0" in metrics.exposition()
    total[0] = 4
    assert b"kzproxy_things_total 4.0" in metrics.exposition()


def test_a_state_known_elsewhere_is_read_at_each_scrape() -> None:
    metrics = Metrics("1")
    states = [False]
    metrics.follow_state("kzproxy_on", "Whether it is on.", lambda: states[0])

    assert b"kzproxy_on 0.0" in metrics.exposition()
    states[0] = True
    assert b"kzproxy_on 1.0" in metrics.exposition()


def test_totals_counted_elsewhere_by_labels_are_read_at_each_scrape() -> None:
    metrics = Metrics("1")
    totals: dict[tuple[str, ...], int] = {("a", "b"): 3}
    metrics.follow_each("kzproxy_things", "Things.", ("one", "other"), lambda: totals)

    assert b'kzproxy_things_total{one="a",other="b"} 3.0' in metrics.exposition()
    totals["c", "d"] = 1
    assert b'kzproxy_things_total{one="c",other="d"} 1.0' in metrics.exposition()


def test_an_alarm_is_there_before_it_goes_off() -> None:
    """``increase()`` does not see a first event whose series begins with it."""
    shown = Metrics("1").exposition()
    assert b'kzproxy_upstream_rejections_total{code="403"} 0.0' in shown


def test_two_workers_metrics_are_apart() -> None:
    one, other = Metrics("1"), Metrics("1")
    one.connections.value += 1

    assert b"kzproxy_connections 1.0" in one.exposition()
    assert b"kzproxy_connections 0.0" in other.exposition()


def test_every_metric_is_documented_and_nothing_else() -> None:
    source = (
        Path("kzproxy/metrics/registry.py").read_text()
        + Path("kzproxy/server/services.py").read_text()
        + Path("kzproxy/server/kept_posture.py").read_text()
        + Path("kzproxy/server/kept_devices.py").read_text()
    )
    named = set(re.findall(r'"(kzproxy_[a-z_]+)"', source))
    documented = set(
        re.findall(r"^\| `(kzproxy_[a-z_]+?)(?:_total)?`", DOCUMENT.read_text(), re.MULTILINE)
    )

    assert named == documented


def test_every_cause_of_a_cut_is_documented() -> None:
    row = re.search(
        r"^\| `kzproxy_stream_cuts_total` .*`cause` \(([^)]*)\)", DOCUMENT.read_text(), re.MULTILINE
    )
    assert row is not None
    assert row[1].split(", ") == [cause.value for cause in EndCause]


def test_numbers_known_elsewhere_by_labels_may_fall_and_workers_show_the_greatest() -> None:
    metrics, numbers = Metrics("1"), {("device",): 3}
    name = "kzproxy_store_unreadable_entries"
    metrics.follow_gauges(name, "Entries.", ("kind",), lambda: numbers)
    summed = SummedMetrics()
    for process, number in (("1", 2), ("2", 1)):
        numbers["device",] = number
        summed.show(process, metrics.exposition().decode())

    assert f'{name}{{kind="device"}} 1.0'.encode() in metrics.exposition()
    assert f'{name}{{kind="device"}} 2.0'.encode() in summed.exposition()
