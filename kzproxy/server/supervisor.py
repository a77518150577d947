"""Keep several workers running on one address: start, start again, signal, and end them.

Every worker is a ``kzproxy serve`` of its own with a socket of its own (SO_REUSEPORT), a decision
log of its own, and nothing shared with the others. The supervisor holds no key and sees no request:
what it cannot do, a mistake in it cannot do either.
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

from kzproxy.clock.system import Clock
from kzproxy.metrics.registry import SupervisorMetrics
from kzproxy.metrics.summed import SummedMetrics
from kzproxy.server.back_off import BackOff
from kzproxy.server.liveness import Liveness
from kzproxy.server.worker import Worker
from kzproxy.server.worker_process import WorkerProcess, ending_words
from kzproxy.store.held_lease import DEFAULT_LEASE_TIMES
from kzproxy.transport.alongside import alongside
from kzproxy.web.worker_at_work import WorkerAtWork

log = logging.getLogger(__name__)

EXIT_FAILED = 1
EXIT_MISTAKEN = 2
# What a worker needs beside its drain: to start its last words and to close its log.
_GRACE_SECONDS = 10.0


class Supervisor:
    """Keeps ``workers`` running until ``stop``.

    Attributes:
        exit_code: What to end with; 0 unless something went wrong.
        summed: What the workers have counted; told here when one ends.
    """

    def __init__(
        self,
        workers: Sequence[Worker],
        command: Callable[[Worker], Sequence[str]],
        clock: Clock,
        metrics: SupervisorMetrics,
        liveness: Liveness,
    ) -> None:
        self.exit_code = 0
        self.summed = SummedMetrics()
        self._posts = [_Post(worker) for worker in workers]
        self._command = command
        self._clock = clock
        self._metrics = metrics
        self._liveness = liveness
        self._stopping = asyncio.Event()

    async def run(self, drain: timedelta) -> None:
        """Run until ``stop`` and the last worker's end, each of which may take ``drain``."""
        async with asyncio.TaskGroup() as group:
            kept = [group.create_task(self._keep(post)) for post in self._posts]
            await self._stopping.wait()
            self.signal(signal.SIGTERM)
            # Questions at identity providers that are under way are heard to their end: an answer
            # may hold the only refresh token that still is one.
            longest = max(drain, DEFAULT_LEASE_TIMES.left)
            await asyncio.wait(kept, timeout=longest.total_seconds() + _GRACE_SECONDS)
            self.signal(signal.SIGKILL)

    def stop(self) -> None:
        """Have all workers drain and end."""
        self._stopping.set()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to every worker that runs."""
        for post in self._posts:
            if post.process is not None:
                post.process.send(number)

    def at_work(self) -> list[WorkerAtWork]:
        """Return the workers that run."""
        return [post.at_work for post in self._posts if post.process is not None]

    def absent(self) -> Mapping[str, str]:
        """Return why the others do not."""
        return {post.worker.name: post.absence for post in self._posts if post.process is None}

    async def _keep(self, post: "_Post") -> None:
        while not self._stopping.is_set():
            begun = self._clock.monotonic()
            code = await self._live(post)
            if self._stopping.is_set():
                self._note_end(post, code)
            elif code == EXIT_MISTAKEN and post.starts == 1:
                # It has said why, and the next one would say the same.
                self.exit_code = EXIT_MISTAKEN
                self.stop()
            else:
                await self._rest(post, code, self._clock.monotonic() - begun)

    async def _live(self, post: "_Post") -> int:
        """Start a worker and wait for its end."""
        post.worker.ops_socket.unlink(missing_ok=True)
        post.starts += 1
        try:
            post.process = process = WorkerProcess.start(self._command(post.worker))
        except OSError as error:
            log.error("%s cannot be started: %s", post.worker.name, error)  # noqa: TRY400 - no bug
            return EXIT_FAILED
        self._metrics.workers.inc()
        log.info("%s runs with pid %d", post.worker.name, process.pid)
        try:
            async with alongside(self._liveness.end_if_stuck(post.at_work, process)):
                return await process.ended()
        finally:
            self._metrics.workers.dec()
            self.summed.end(post.start)
            post.process, post.absence = None, "has ended"

    def _note_end(self, post: "_Post", code: int) -> None:
        if code not in (0, -signal.SIGTERM):  # the latter before it was ready to drain
            log.error("%s %s while it was to drain", post.worker.name, ending_words(code))
            self.exit_code = self.exit_code or EXIT_FAILED

    async def _rest(self, post: "_Post", code: int, lived_seconds: float) -> None:
        seconds = post.back_off.after(lived_seconds)
        post.absence = f"{ending_words(code)}, is started again after {seconds:.0f} s"
        log.error("%s %s", post.worker.name, post.absence)
        self._metrics.restarts.inc()
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return


class _Post:
    """A worker, and the process that it is at the moment.

    Attributes:
        starts: How often it was started.
        absence: Why there is no process.
    """

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.process: WorkerProcess | None = None
        self.starts = 0
        self.absence = "starting"
        self.back_off = BackOff()

    @property
    def at_work(self) -> WorkerAtWork:
        """Say where the present process answers."""
        return WorkerAtWork(name=self.worker.name, start=self.start, socket=self.worker.ops_socket)

    @property
    def start(self) -> str:
        """Name the present process as no other."""
        return f"{self.worker.number}.{self.starts}"
