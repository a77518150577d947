"""What a second worker adds: ``python -m bench.run --only workers``.

To see it at once takes two cores that nothing else uses, and load and upstream need one. So the
CPU for an answer is read of a worker that has a core to itself, once alone and once while another
serves beside it, and the gain is worked out: as many answers a second as its core has time for,
twice, and no more than the busier worker's share of the connections lets them have. The gain that
the clock shows on this machine stands beside it.
"""

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec

from bench.figures import Figure
from bench.load import Plan
from bench.machine import Cores, process_cpu_seconds, process_tree
from bench.measures import CONCURRENCY, CONNECTIONS, Values
from bench.programs import CannotRunError
from bench.report import markdown, number, spread
from bench.rounds import Group, together
from bench.running import Running
from bench.series import Found
from bench.stage import Stage
from bench.systems.kzproxy import Kzproxy

KEY = "workers"
GAIN, LEAST_GAIN = "gain", 1.7

_SECONDS = 4.0
_ROUNDS = 3
_LOOKS, _LOOK_SECONDS = 200, 0.05
_FIRST_TARGET = "/version"


FIGURES = (
    Figure(key="one_cpu_us", title="one worker: CPU for an answer, µs", decimals=1),
    Figure(key="two_cpu_us", title="the same beside a second one, µs", decimals=1),
    Figure(key="second_cpu_us", title="… that second one, µs", decimals=1),
    Figure(
        key="busiest_percent",
        title=f"connections at the busier of two, of {CONNECTIONS}, %",
        decimals=1,
    ),
    Figure(key="even_gain", title="two ÷ one, connections even, a core each", decimals=2),
    Figure(key=GAIN, title="two ÷ one, connections as they are, a core each", decimals=2),
    Figure(key="one_rps", title="one worker alone on its core: requests/s", decimals=0),
    Figure(key="two_rps", title="two, load and upstream beside the second: requests/s", decimals=0),
    Figure(key="clock_gain", title="two ÷ one by the clock, without a free core", decimals=2),
)


class Several(Kzproxy):
    """kzproxy with everything on and some workers."""

    def __init__(self, *arguments: Any, workers: int) -> None:
        """Run ``workers`` of them; the other arguments are those of any system."""
        super().__init__(*arguments)
        self._workers = workers

    def command(self) -> list[str]:
        """Write its files; return what starts it."""
        return [*super().command(), "--workers", str(self._workers)]

    def wait_until_all_serve(self) -> None:
        """Return once every worker takes connections: the first would take them all."""
        with httpx.Client(base_url=f"http://127.0.0.1:{self._second_port}") as operators:
            for _ in range(_LOOKS):
                if operators.get("/readyz").is_success:
                    return
                time.sleep(_LOOK_SECONDS)
        raise CannotRunError(f"{self._workers} workers are not ready")


@dataclass(frozen=True, slots=True, kw_only=True)
class Worked:
    """What workers did in a window.

    Attributes:
        cpu_us: Of each worker, for an answer.
        rate: Answers a second.
        clients: The addresses that each worker's connections came from.
    """

    cpu_us: Sequence[float]
    rate: float
    clients: Sequence[frozenset[str]]


def measure(stage: Stage, name: str) -> Values:
    """Measure one worker and then two.

    Raises:
        CannotRunError: There is one core only, or an answer is wrong.
        MismatchError: Answers, upstream requests and records are not the same.
    """
    one, two = (_worked(stage, f"{name}-{count}", count) for count in (1, 2))
    return gains(one, two)


def gains(one: Worked, two: Worked) -> Values:
    """Return the figures of one worker and of two."""
    shares = [len(each) for each in two.clients]
    busiest = max(shares) / sum(shares)
    even = 2 * one.cpu_us[0] / two.cpu_us[0]
    return {
        "one_cpu_us": one.cpu_us[0],
        "two_cpu_us": two.cpu_us[0],
        "second_cpu_us": two.cpu_us[1],
        "busiest_percent": busiest * 100,
        "even_gain": even,
        # Clients ask alike: the other worker waits once the busier one's core is full.
        GAIN: even / 2 / busiest,
        "one_rps": one.rate,
        "two_rps": two.rate,
        "clock_gain": two.rate / one.rate,
    }


def _worked(stage: Stage, name: str, count: int) -> Worked:
    found: list[Worked] = []
    system = Several(stage.site(name), workers=count)

    def weigh(run: Running) -> Values:
        system.wait_until_all_serve()
        found.append(_weighed(stage, run, count))
        return {}

    together(stage, [system], _FIRST_TARGET, [Group(measure=weigh)], Found())
    return found[0]


def _weighed(stage: Stage, run: Running, count: int) -> Worked:
    pids = worker_pids(run.process.pid, count)
    for pid, core in zip(pids, worker_cores(stage.cores, count), strict=True):
        _pin(pid, core)
    plan = Plan(
        mode="closed-loop",
        targets=stage.world.targets,
        connections=CONNECTIONS,
        concurrency=CONCURRENCY * count,  # as much for each worker
        # Nearly all of identities x targets, at the worker that has the connection: else it would
        # depend on the machine's speed how many of those weighed are first requests.
        warmup=_ROUNDS * CONNECTIONS * len(stage.world.targets),
        seconds=_SECONDS,
    )
    logs = run.system.decision_logs
    seen: list[list[tuple[float, int]]] = []
    report = run.loader.run(
        run.system.door,
        plan,
        lambda: seen.append([_so_far(each, log) for each, log in zip(pids, logs, strict=True)]),
    )
    run.reports.append(report)
    return Worked(
        cpu_us=[
            (after[0] - before[0]) / max(1, after[1] - before[1]) * 1e6
            for before, after in zip(*seen, strict=True)
        ],
        rate=report.answers / report.seconds,
        clients=[_clients(log) for log in logs],
    )


def worker_pids(pid: int, count: int) -> list[int]:
    """Return the processes that serve, in the order of their logs."""
    # One by itself is kept by nobody.
    found = sorted((each for each in process_tree(pid) if each != pid), key=_number) or [pid]
    if len(found) != count:
        raise CannotRunError(f"{len(found)} workers run, not {count}")
    return found


def _number(pid: int) -> int:
    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return int(words[words.index(b"--worker") + 1])


def _so_far(pid: int, log: Path) -> tuple[float, int]:
    """Return the CPU that a worker has used, and how much it has decided."""
    return process_cpu_seconds(pid), log.read_bytes().count(b'"kind":"decision"')


def worker_cores(cores: Cores, count: int) -> list[int]:
    """Return a core for each worker: the second is on its own where there is one left.

    Raises:
        CannotRunError: There is one core only.
    """
    taken = {cores.proxy, cores.upstream, cores.load}
    if cores.proxy is None or cores.load is None:
        raise CannotRunError("one core does not tell what a second worker adds")
    free = [core for core in range(os.cpu_count() or 0) if core not in taken]
    return [cores.proxy, *free, cores.load][:count]


def _pin(pid: int, core: int) -> None:
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


class _Source(msgspec.Struct):
    address: str = ""


class _Record(msgspec.Struct):
    kind: str = ""
    source: _Source | None = None


def _clients(log: Path) -> frozenset[str]:
    decoder = msgspec.json.Decoder(_Record)
    with log.open("rb") as lines:
        return frozenset(_addresses(map(decoder.decode, lines)))


def _addresses(records: Iterable[_Record]) -> Iterable[str]:
    return (each.source.address for each in records if each.source is not None)


def part(
    taken: Mapping[str, Sequence[float]], *, date: str, commit: str, load_averages: Sequence[float]
) -> dict[str, Any]:
    """Return what ``latest.json`` holds of it under ``KEY``; see ``Circumstances``."""
    figures = {key: spread(values) for key, values in taken.items()}
    found = figures[GAIN]["median"]
    return {
        "date": date,
        "commit": commit,
        "repetitions": len(taken[GAIN]),
        "load_averages": [round(each, 2) for each in load_averages],
        "floors": {GAIN: {"found": found, "at_least": LEAST_GAIN, "reached": found >= LEAST_GAIN}},
        "figures": figures,
    }


def words(held: Mapping[str, Any]) -> str:
    """Return such a part as a paragraph and a Markdown table."""
    loads, floors = held["load_averages"], held["floors"]
    rows = []
    for each in FIGURES:
        floor, found = floors.get(each.key), held["figures"][each.key]["median"]
        limit = "" if floor is None else number(floor["at_least"], 1)
        reached = "" if floor is None else ("yes" if floor["reached"] else "no")
        rows.append([each.title, number(found, each.decimals), limit, reached])
    return (
        f"A second worker, measured {held['date']} at commit `{held['commit']}`: medians of"
        f" {held['repetitions']} repetitions, load average {min(loads)} to {max(loads)}.\n\n"
        + markdown(["", "found", "at least", "reached"], rows)
    )


def missed(held: Mapping[str, Any]) -> list[str]:
    """Return the keys of what is not reached."""
    return [key for key, floor in held["floors"].items() if not floor["reached"]]
