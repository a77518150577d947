"""What is measured of a running system: one function a group of figures.

Every function returns figures by their keys (bench/figures.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from bench.load import AS_OBJECTS, Door, Plan, Report
from bench.running import Running, Weighed

BODY_BYTES = 50 * 1024 * 1024
CONNECTIONS = 200
CONCURRENCY = 32
WATCHES = 1000
# Of a connection's life one request is the least.
_NEW_CONNECTIONS_AT_ONCE = 8
_MEBI = 1024 * 1024
_MEGA = 1e6
_MILLI = 1e3
# What the policy permits from any device.
_OPEN_TARGETS = ("/version", "/api/v1")
_NAMESPACE = "/api/v1/namespaces/apps-0"
_WATCH_TARGETS = tuple(
    f"/api/v1/namespaces/apps-{number}/configmaps?watch=true" for number in range(10)
)

_WITHOUT_PROXY = frozenset(
    {
        "small_rps",
        "small_p50_ms",
        "small_p99_ms",
        "seq_cold_p50_us",
        "seq_p50_us",
        "seq_p99_us",
        "conn_per_s",
        "down_mb_per_s",
        "up_mb_per_s",
        "event_p50_ms",
        "event_p99_ms",
        "event_last_ms",
        "list_wall_ms",
        "list_mb",
    }
)

Values = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How long is measured.

    Attributes:
        repetitions: Of everything but lists, each system started anew.
        rounds: Within each, of what is compared under load.
        event_rounds: The same of events to watches, which take long to open.
        small_seconds: Of small requests over many connections, each time.
        sequential_seconds: Of small requests on one connection, each time.
        connection_seconds: Of new connections, each time.
        bodies: Large bodies each way, each time.
        events: Sent to all watches, each time.
        lists: Of 5,000 objects from the real kube-apiserver, each time; 0 leaves it out.
        direct_whole: Whether everything is measured without a proxy too, and not only what is
            subtracted from the others.
        sequential_targets: So many, by all identities, are asked for on one connection: first each
            once, and then at random. None for all.
    """

    repetitions: int
    rounds: int
    event_rounds: int
    small_seconds: float
    sequential_seconds: float
    connection_seconds: float
    bodies: int
    events: int
    lists: int
    direct_whole: bool = True
    sequential_targets: int | None = None


def at_rest(running: Running) -> Values:
    """Measure what it costs to be there."""
    return {
        "ready_ms": running.ready_seconds * _MILLI,
        "idle_rss_mib": running.resident_bytes() / _MEBI,
    }


def cold(running: Running, targets: tuple[str, ...]) -> Values:
    """Ask for each of identities x targets once: nothing of it was ever seen before."""
    plan = Plan(
        mode="closed-loop",
        targets=targets,
        connections=CONNECTIONS,
        concurrency=CONCURRENCY,
        once=True,
    )
    return {"cold_cpu_us": running.weigh(plan).cpu_us_each}


def small(running: Running, targets: tuple[str, ...], seconds: float) -> Values:
    """Ask at random among identities x targets, many at a time, connections being kept."""
    plan = Plan(
        mode="closed-loop",
        targets=targets,
        connections=CONNECTIONS,
        concurrency=CONCURRENCY,
        warmup=CONNECTIONS * 3,
        seconds=seconds,
    )
    weighed = running.weigh(plan)
    latency = weighed.report.latency
    return {
        "small_cpu_us": weighed.cpu_us_each,
        "small_rps": weighed.report.answers / weighed.report.seconds,
        "small_p50_ms": latency["p50_us"] / _MILLI,
        "small_p99_ms": latency["p99_us"] / _MILLI,
    }


def sequential_cold(running: Running, targets: tuple[str, ...]) -> Values:
    """Ask on one connection for each of identities x targets once.

    They are new with that connection's certificate and address.
    """
    plan = Plan(mode="closed-loop", targets=targets, rotate_tokens=True, once=True)
    return {"seq_cold_p50_us": running.weigh(plan).report.latency["p50_us"]}


def sequential(running: Running, targets: tuple[str, ...], seconds: float) -> Values:
    """Ask one at a time on one connection, at random and by the tokens of all identities."""
    plan = Plan(
        mode="closed-loop", targets=targets, rotate_tokens=True, warmup=300, seconds=seconds
    )
    weighed = running.weigh(plan)
    latency = weighed.report.latency
    return {
        "seq_p50_us": latency["p50_us"],
        "seq_p99_us": latency["p99_us"],
        "seq_cpu_us": weighed.cpu_us_each,
    }


def connections(running: Running, targets: tuple[str, ...], seconds: float) -> Values:
    """Open a connection for every request, TLS handshake and all.

    Where a system has such doors, also with a device certificate shown, and with none.
    """
    system = running.system
    weighed = _new_connections(running, targets, seconds, system.door)
    found = {
        "conn_cpu_us": weighed.cpu_us_each,
        "conn_per_s": weighed.report.answers / weighed.report.seconds,
    }
    others = {
        "conn_device_cpu_us": system.door_with_devices,
        "conn_plain_cpu_us": system.door_without_devices,
    }
    for key, door in others.items():
        if door == system.door:
            found[key] = weighed.cpu_us_each
        elif door is not None:
            found[key] = _new_connections(running, _OPEN_TARGETS, seconds, door).cpu_us_each
    return found


def _new_connections(
    running: Running, targets: tuple[str, ...], seconds: float, door: Door
) -> Weighed:
    plan = Plan(
        mode="new-connections",
        targets=targets,
        concurrency=_NEW_CONNECTIONS_AT_ONCE,
        seconds=seconds,
    )
    return running.weigh(plan, door)


def bodies(running: Running, count: int) -> Values:
    """Move bodies of 50 MiB, down and up, on one connection."""
    down = Plan(
        mode="bodies",
        targets=(f"{_NAMESPACE}/configmaps/bytes-{BODY_BYTES}",),
        warmup=1,
        count=count,
        check_target=False,
    )
    up = Plan(
        mode="bodies",
        targets=(f"{_NAMESPACE}/configmaps",),
        warmup=1,
        count=count,
        upload_bytes=BODY_BYTES,
    )
    return _moved("down", running.weigh(down)) | _moved("up", running.weigh(up))


def _moved(way: str, weighed: Weighed) -> Values:
    megabytes = weighed.report.bytes / _MEGA
    return {
        f"{way}_cpu_us_per_mb": weighed.cpu_seconds * _MEGA / megabytes,
        f"{way}_mb_per_s": megabytes / weighed.report.seconds,
    }


def watches(running: Running, events: int) -> Values:
    """Open a thousand watches, weigh them, and send events to all of them."""
    plan = Plan(
        mode="watches",
        targets=_WATCH_TARGETS,
        connections=WATCHES,
        count=events,
        check_target=False,
    )
    before = running.resident_bytes()
    used: list[float] = []
    with running.loader.begin(running.system.door, plan) as load:
        opened = running.resident_bytes()
        used.append(running.cpu_seconds())
        report = load.go_and_hold(lambda: used.append(running.cpu_seconds()))
    running.reports.append(report)
    return {
        "watch_rss_mib": opened / _MEBI,
        "watch_kib_each": (opened - before) / 1024 / WATCHES,
        "event_cpu_us": (used[1] - used[0]) / report.answers * _MEGA,
        **_delays(report),
    }


def events(running: Running, count: int) -> Values:
    """Open a thousand watches once more, and send events: what they weigh is told by the first."""
    return {
        key: value for key, value in watches(running, count).items() if key.startswith("event_")
    }


def _delays(report: Report) -> Values:
    last = sorted(report.event_last_us)
    return {
        "event_p50_ms": report.latency["p50_us"] / _MILLI,
        "event_p99_ms": report.latency["p99_us"] / _MILLI,
        "event_last_ms": last[len(last) // 2] / _MILLI,
    }


def lists(running: Running, target: str, count: int) -> Values:
    """Get a long list from the real kube-apiserver, again and again."""
    plan = Plan(
        mode="bodies",
        targets=(target,),
        warmup=2,
        count=count,
        check_target=False,
        accept=AS_OBJECTS,
    )
    weighed = running.weigh(plan)
    return {
        "list_cpu_ms": weighed.cpu_us_each / _MILLI,
        "list_wall_ms": weighed.report.latency["p50_us"] / _MILLI,
        "list_mb": weighed.report.bytes / weighed.report.answers / _MEGA,
    }


def without_proxy(values: Mapping[str, float]) -> Values:
    """Return what can be said where there is no proxy: times and rates, and nobody's CPU."""
    return {key: value for key, value in values.items() if key in _WITHOUT_PROXY}


def beyond(values: Mapping[str, float], direct: Mapping[str, float]) -> Values:
    """Return what a system adds to the latency on one connection without any."""
    if "seq_p50_us" not in values:
        return {}
    return {
        "seq_added_p50_us": values["seq_p50_us"] - direct["seq_p50_us"],
        "seq_added_p99_us": values["seq_p99_us"] - direct["seq_p99_us"],
    }
