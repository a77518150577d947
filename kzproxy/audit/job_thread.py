"""One thread for system calls that may wait: fsync, and writes to a pipe."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable

Job = Callable[[], None]
Done = Callable[[Exception | None], None]


class JobThread:
    """Runs jobs one after the other and reports each to the event loop.

    A daemon: a system call that never returns, on a pipe that nobody reads, must not keep the
    process from ending.
    """

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[tuple[asyncio.AbstractEventLoop, Job, Done] | None] = (
            queue.SimpleQueue()
        )
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def submit(self, loop: asyncio.AbstractEventLoop, job: Job, done: Done) -> None:
        """Run ``job`` after those submitted before; ``done`` is called on ``loop``."""
        self._jobs.put((loop, job, done))

    def stop(self, timeout_seconds: float) -> bool:
        """End the thread after the jobs at hand; wait for that, but no longer than given.

        Returns:
            Whether it has ended.
        """
        self._jobs.put(None)
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while (entry := self._jobs.get()) is not None:
            loop, job, done = entry
            failure: Exception | None = None
            try:
                job()
            except Exception as error:  # noqa: BLE001 - handed over: the loop decides
                failure = error
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(done, failure)
