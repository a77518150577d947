"""Share one fsync among all the records that wait for one."""

import asyncio
import logging
from datetime import timedelta

from kzproxy.audit.job_thread import JobThread
from kzproxy.audit.sink import Sink

SYNC_INTERVAL_SECONDS = 1.0
"""Lines that nobody waits for reach the disk within this."""

Written = asyncio.Future[str]
"""Ends with what went wrong, or with nothing. Not an exception: its waiter may be gone."""

_log = logging.getLogger(__name__)


class GroupSync:
    """Runs one sync at a time; what comes meanwhile shares the next one.

    Attributes:
        problem: Why records are refused for now; empty where they are not.
        failures: How many syncs have failed or took too long.
    """

    def __init__(self, sink: Sink, *, timeout: timedelta) -> None:
        self.problem = ""
        self.failures = 0
        self._timeout_seconds = timeout.total_seconds()
        self._sink = sink
        self._thread = JobThread("decision-log-sync")
        self._retired: list[Sink] = []
        self._waiting: list[Written] = []
        self._running: list[Written] | None = None
        self._has_unsynced = False
        self._failed = False
        self._timer: asyncio.TimerHandle | None = None

    def written(self, waiting: list[Written]) -> None:
        """Note that lines were written; end ``waiting`` once they have reached the disk."""
        is_on_its_way = self._timer is not None or self._running is not None
        if self._has_unsynced and is_on_its_way and not waiting:
            return
        self._has_unsynced = True
        self._waiting += waiting
        self._go_on()

    def replace(self, sink: Sink) -> None:
        """Sync ``sink`` from now on; the old one is synced once more and closed."""
        if self._failed:
            self._sink.close()
        else:
            self._retired.append(self._sink)
        self._sink = sink
        self.forgive()
        self.written([])

    def forgive(self) -> None:
        """Go on after a failed sync: somebody has seen to the disk."""
        if self._failed:
            self._failed, self.problem = False, ""

    def stop(self, timeout_seconds: float) -> None:
        """End the thread and close the sink, and what it has replaced, unless a sync hangs."""
        if self._timer is not None:
            self._timer.cancel()
        if self._thread.stop(timeout_seconds):
            for sink in (*self._retired, self._sink):
                sink.close()

    def _go_on(self) -> None:
        if self._running is not None or self._failed:
            return
        if self._waiting:
            self._start()
        elif self._has_unsynced and self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(SYNC_INTERVAL_SECONDS, self._start)

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            self._timer.cancel()
        self._running, self._waiting = self._waiting, []
        self._has_unsynced = False
        sinks = [*self._retired, self._sink]
        self._retired = []
        self._timer = loop.call_later(self._timeout_seconds, self._give_up_waiting)
        self._thread.submit(loop, lambda: _sync_all(sinks), self._done)

    def _done(self, error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        ended, self._running = self._running or [], None
        if error is not None:
            self._failed = True
            self.failures += 1
            self.problem = f"the decision log cannot be made durable: {error}"
            _log.error("%s; it stays refused until it is reopened", self.problem)
            ended += self._waiting
            self._waiting = []
        else:
            self._note_success()
        _end(ended, self.problem)
        self._go_on()

    def _note_success(self) -> None:
        if self.problem:
            _log.warning("the decision log goes on")
        self.problem = ""

    def _give_up_waiting(self) -> None:
        self._timer = None
        self.failures += 1
        self.problem = f"the decision log has been stuck for {self._timeout_seconds:g} seconds"
        _log.error("%s; requests are refused until it goes on", self.problem)
        _end([*(self._running or []), *self._waiting], self.problem)
        self._running, self._waiting = [], []


def _sync_all(sinks: list[Sink]) -> None:
    *retired, current = sinks
    for sink in retired:
        try:
            sink.sync()
        finally:
            sink.close()
    current.sync()


def _end(waiting: list[Written], problem: str) -> None:
    for future in waiting:
        if not future.done():
            future.set_result(problem)
