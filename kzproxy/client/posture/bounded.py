"""Probes side by side, each on a thread that nobody waits for longer than its time."""

import threading
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from kzproxy.client.posture.finding import Late, Unknowable
from kzproxy.clock.system import Clock

EACH_SECONDS = 0.5
ALL_SECONDS = 2.0

_Result = TypeVar("_Result")


def in_time(
    jobs: Mapping[str, Callable[[], _Result]],
    clock: Clock,
    each_seconds: float = EACH_SECONDS,
    all_seconds: float = ALL_SECONDS,
) -> dict[str, "_Result | Unknowable"]:
    """Do each job, and return what came of it in time; never raises.

    A job that hangs, as on a network file system whose server is gone, is left to itself: its
    thread is a daemon and dies with the process.
    """
    ends = clock.monotonic() + all_seconds
    runs = {name: _Run(job, clock) for name, job in jobs.items()}
    for run in runs.values():
        run.start()
    return {name: run.result(min(run.began + each_seconds, ends)) for name, run in runs.items()}


class _Run(Generic[_Result]):
    def __init__(self, job: Callable[[], _Result], clock: Clock) -> None:
        self._clock = clock
        self.began = 0.0
        self._job = job
        self._result: _Result | Unknowable = Late("it took too long to find out")
        self._thread = threading.Thread(target=self._run, daemon=True, name="posture")

    def start(self) -> None:
        self.began = self._clock.monotonic()
        self._thread.start()

    def result(self, until: float) -> "_Result | Unknowable":
        self._thread.join(max(until - self._clock.monotonic(), 0))
        return self._result

    def _run(self) -> None:
        try:
            self._result = self._job()
        except Unknowable as unknowable:
            self._result = unknowable
        except Exception as error:  # noqa: BLE001 - odd files must not cost the other findings
            self._result = Unknowable(f"looking for it failed ({type(error).__name__})")
