"""The machine that is measured on: its cores, and what its processes have used."""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_PROC = Path("/proc")
_KIBIBYTE = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Cores:
    """Who runs where; None where there is but one core and nothing can be kept apart."""

    proxy: int | None
    upstream: int | None
    load: int | None

    @classmethod
    def of(cls, usable: Sequence[int]) -> Self:
        """Share out ``usable``: the proxy alone on the first, the others on what is left."""
        if len(usable) < 2:
            return cls(proxy=None, upstream=None, load=None)
        return cls(proxy=usable[0], upstream=usable[1], load=usable[min(2, len(usable) - 1)])

    @classmethod
    def here(cls) -> Self:
        """Share out the cores that we may use."""
        return cls.of(sorted(os.sched_getaffinity(0)))


def pinned(core: int | None, command: Sequence[str]) -> list[str]:
    """Return ``command`` so that it runs on ``core`` only; its process id stays the same."""
    return list(command) if core is None else ["taskset", "-c", str(core), *command]


def process_tree(pid: int) -> Iterator[int]:
    """Yield ``pid`` and all its descendants that are there now."""
    yield pid
    for task in (_PROC / str(pid) / "task").iterdir():
        try:
            children = (task / "children").read_text().split()
        except OSError:  # The thread has ended.
            continue
        for child in children:
            yield from process_tree(int(child))


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process tree, of all threads, also of ended ones."""
    return sum(map(process_cpu_seconds, process_tree(pid)))


def process_cpu_seconds(pid: int) -> float:
    """Return the same of one process."""
    # What clock_getcpuclockid(3) returns: the same time as in /proc/PID/stat, in nanoseconds
    # instead of ticks of 10 ms (linux/posix-timers.h, CPUCLOCK_SCHED).
    return time.clock_gettime((~pid << 3) | 2)


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process tree; what its processes share counts for each."""
    return sum(map(_process_resident_bytes, process_tree(pid)))


def _process_resident_bytes(pid: int) -> int:
    for line in (_PROC / str(pid) / "status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * _KIBIBYTE
    return 0


def load_average() -> float:
    """Return how many processes wanted to run in the last minute."""
    return os.getloadavg()[0]
