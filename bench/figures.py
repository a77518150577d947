"""What the figures are called, which ratios are taken of them, and what must be reached."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# By system, then by figure: what was taken, in that order.
Taken = Mapping[str, Mapping[str, Sequence[float]]]

NGINX, KZPROXY, DIRECT = "nginx", "kzproxy", "direct"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One row of the table.

    Attributes:
        key: As the measures call it.
        title: With the unit.
        decimals: As it is printed.
    """

    key: str
    title: str
    decimals: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """What kzproxy must reach: figure ÷ the same figure of ``beside``, at most ``limit``.

    Attributes:
        name: As ``ratios_to_nginx`` calls it, where it is one of them.
        beside: The system that is divided by; empty where the figure itself is meant.
    """

    name: str
    key: str
    beside: str
    limit: float


FIGURES = (
    Figure(key="small_cpu_us", title="small GET, warm: CPU, µs", decimals=1),
    Figure(key="cold_cpu_us", title="small GET, cold: CPU, µs", decimals=1),
    Figure(key="small_rps", title="small GET, warm: requests/s", decimals=0),
    Figure(key="small_p50_ms", title="… p50, ms", decimals=2),
    Figure(key="small_p99_ms", title="… p99, ms", decimals=2),
    Figure(key="seq_cold_p50_us", title="one connection, cold: p50, µs", decimals=0),
    Figure(key="seq_p50_us", title="one connection: p50, µs", decimals=0),
    Figure(key="seq_p99_us", title="one connection: p99, µs", decimals=0),
    Figure(key="seq_added_p50_us", title="one connection: added p50, µs", decimals=0),
    Figure(key="seq_added_p99_us", title="one connection: added p99, µs", decimals=0),
    Figure(key="conn_cpu_us", title="new connection: CPU, µs", decimals=0),
    Figure(key="conn_device_cpu_us", title="… a device certificate shown: CPU, µs", decimals=0),
    Figure(key="conn_plain_cpu_us", title="… none shown: CPU, µs", decimals=0),
    Figure(key="conn_per_s", title="new connections/s", decimals=0),
    Figure(key="down_cpu_us_per_mb", title="50 MiB down: CPU, µs/MB", decimals=0),
    Figure(key="down_mb_per_s", title="50 MiB down: MB/s", decimals=0),
    Figure(key="up_cpu_us_per_mb", title="50 MiB up: CPU, µs/MB", decimals=0),
    Figure(key="up_mb_per_s", title="50 MiB up: MB/s", decimals=0),
    Figure(key="list_cpu_ms", title="list of 5,000 from kube-apiserver: CPU, ms", decimals=1),
    Figure(key="list_wall_ms", title="list of 5,000 from kube-apiserver: p50, ms", decimals=1),
    Figure(key="event_cpu_us", title="event to 1,000 watches: CPU each, µs", decimals=1),
    Figure(key="event_p50_ms", title="… delay p50, ms", decimals=1),
    Figure(key="event_p99_ms", title="… delay p99, ms", decimals=1),
    Figure(key="event_last_ms", title="… delay of the last, ms", decimals=1),
    Figure(key="watch_rss_mib", title="RSS with 1,000 idle watches, MiB", decimals=1),
    Figure(key="watch_kib_each", title="… of which each watch, KiB", decimals=1),
    Figure(key="idle_rss_mib", title="RSS idle, MiB", decimals=1),
    Figure(key="ready_ms", title="start to first answer, ms", decimals=0),
    Figure(key="decision_p50_us", title="one decision, in-process: p50, µs", decimals=1),
    Figure(key="decision_p99_us", title="one decision, in-process: p99, µs", decimals=1),
)

# What must be reached, everything on, one worker.
FLOORS = (
    Floor(name="small_cpu", key="small_cpu_us", beside=NGINX, limit=2.2),
    Floor(name="seq_p50", key="seq_added_p50_us", beside=NGINX, limit=1.3),
    Floor(name="conn_cpu", key="conn_cpu_us", beside=NGINX, limit=1.45),
    Floor(name="down_cpu", key="down_cpu_us_per_mb", beside=NGINX, limit=1.15),
    Floor(name="up_cpu", key="up_cpu_us_per_mb", beside=NGINX, limit=1.15),
    Floor(name="list_cpu", key="list_cpu_ms", beside=NGINX, limit=0.6),
    Floor(name="event_cpu", key="event_cpu_us", beside=NGINX, limit=1.2),
    Floor(name="event_p50", key="event_p50_ms", beside=NGINX, limit=1.1),
    Floor(name="watch_rss", key="watch_rss_mib", beside=NGINX, limit=1.0),
    Floor(name="list_wall", key="list_wall_ms", beside=DIRECT, limit=1.15),
    Floor(name="idle_rss_mib", key="idle_rss_mib", beside="", limit=60.0),
    Floor(name="ready_ms", key="ready_ms", beside="", limit=600.0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A floor and what was found."""

    floor: Floor
    found: float

    @property
    def reached(self) -> bool:
        """Whether kzproxy is as good as it must be."""
        return self.found <= self.floor.limit


def standings(found: Taken) -> list[Standing]:
    """Return every floor whose figures were measured, in the order of ``FLOORS``."""
    return [
        Standing(floor=floor, found=ratio)
        for floor in FLOORS
        if (ratio := ratio_of(found, floor.key, floor.beside)) is not None
    ]


def median_of(found: Taken, system: str, key: str) -> float | None:
    """Return a system's figure; None where it was not measured."""
    values = found.get(system, {}).get(key)
    return statistics.median(values) if values else None


def ratio_of(found: Taken, key: str, beside: str, ours: str = KZPROXY) -> float | None:
    """Return the figure of ``ours`` ÷ that of ``beside``; the figure itself where that is empty.

    The median of the ratios within each round, where both were taken as often; else the ratio of
    the medians. None where one of the two was not measured, or there is nothing to divide by.
    """
    if not beside:
        return median_of(found, ours, key)
    one, other = (found.get(name, {}).get(key, ()) for name in (ours, beside))
    if len(one) == len(other):
        if not any(other):
            return None
        # Of nothing that the other takes, or less by chance, whatever we take is too much.
        ratios = [
            its / theirs if theirs > 0 else math.inf for its, theirs in zip(one, other, strict=True)
        ]
        return statistics.median(ratios)
    its, theirs = median_of(found, ours, key), median_of(found, beside, key)
    return its / theirs if its is not None and theirs else None


def ratios_to_nginx(found: Taken) -> dict[str, float]:
    """Return the ratios to nginx by name, as ``latest.json`` has them."""
    return {
        each.floor.name: round(each.found, 3)
        for each in standings(found)
        if each.floor.beside == NGINX
    }
