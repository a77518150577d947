from prometheus_client.parser import text_string_to_metric_families

from kzproxy.metrics.registry import Metrics
from kzproxy.metrics.summed import SummedMetrics


def shown(metrics: Metrics) -> str:
    return metrics.exposition().decode()


def value(summed: SummedMetrics, name: str, **labels: str) -> float | None:
    text = summed.exposition().decode()
    found = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if (sample.name, sample.labels) == (name, labels)
    ]
    assert len(found) <= 1
    return found[0] if found else None


def two() -> tuple[Metrics, Metrics, SummedMetrics]:
    """Two workers that have counted something, and their sum."""
    one, other, summed = Metrics("1"), Metrics("1"), SummedMetrics()
    for metrics, times in ((one, 2), (other, 3)):
        for _ in range(times):
            metrics.decisions.count(("permit", "allow-rule"))
        metrics.connections.value = times
        metrics.request_seconds.observe(0.01 * times)
    other.decisions.count(("deny", "no-rule"))
    summed.show("1.1", shown(one))
    summed.show("2.1", shown(other))
    return one, other, summed


def test_counters_gauges_and_histograms_are_added_up_by_their_labels() -> None:
    _, _, summed = two()
    permit = {"decision": "permit", "cause": "allow-rule"}
    deny = {"decision": "deny", "cause": "no-rule"}

    assert value(summed, "kzproxy_access_decisions_total", **permit) == 5
    assert value(summed, "kzproxy_access_decisions_total", **deny) == 1
    assert value(summed, "kzproxy_connections") == 5
    assert value(summed, "kzproxy_request_duration_seconds_count") == 2
    assert value(summed, "kzproxy_request_duration_seconds_bucket", le="0.025") == 1
    assert value(summed, "kzproxy_request_duration_seconds_bucket", le="+Inf") == 2


def test_what_a_worker_shows_later_takes_the_place_of_what_it_showed() -> None:
    one, _, summed = two()
    one.connections.value = 10
    summed.show("1.1", shown(one))

    assert value(summed, "kzproxy_connections") == 13


def test_the_version_is_not_added_up() -> None:
    _, _, summed = two()

    assert value(summed, "kzproxy_build_info", version="1") == 1


def test_one_worker_that_could_not_reload_is_seen() -> None:
    one, _, summed = two()
    assert value(summed, "kzproxy_config_reload_success") == 1
    one.reload_success.set(0)
    summed.show("1.1", shown(one))

    assert value(summed, "kzproxy_config_reload_success") == 0


def test_a_log_that_cannot_be_written_is_1_for_however_many_workers() -> None:
    one, other, summed = two()
    for name, metrics in (("1.1", one), ("2.1", other)):
        metrics.follow_state("kzproxy_audit_blocked", "Whether.", lambda: True)
        summed.show(name, shown(metrics))

    assert value(summed, "kzproxy_audit_blocked") == 1


def test_a_worker_that_ends_takes_its_gauges_along_and_leaves_its_counters() -> None:
    _, _, summed = two()
    permit = {"decision": "permit", "cause": "allow-rule"}
    summed.end("1.1")
    assert value(summed, "kzproxy_connections") == 3
    assert value(summed, "kzproxy_access_decisions_total", **permit) == 5

    again = Metrics("1")
    again.decisions.count(tuple(permit.values()))
    summed.show("1.2", shown(again))
    summed.end("1.2")

    assert value(summed, "kzproxy_access_decisions_total", **permit) == 6
    assert value(summed, "kzproxy_request_duration_seconds_count") == 2


def test_a_worker_that_ended_before_it_showed_anything_counts_for_nothing() -> None:
    _, _, summed = two()
    before = summed.exposition()
    summed.end("3.1")

    assert summed.exposition() == before


def test_the_sum_has_every_metric_of_a_worker_and_no_other() -> None:
    one, _, summed = two()

    def names(text: str) -> set[str]:
        return {family.name for family in text_string_to_metric_families(text)}

    own = {name for name in names(shown(one)) if not name.endswith("_created")}
    assert names(summed.exposition().decode()) == own
