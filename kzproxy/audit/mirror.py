"""A copy of the decision log on standard output, for a collector or for people to watch."""

import asyncio
import logging
from pathlib import Path

from kzproxy.audit.job_thread import JobThread
from kzproxy.audit.sink import StreamSink

MAX_BACKLOG_BYTES = 4 << 20
"""How far the reader of the copy may be behind before lines are left out of it."""

RETRY_INTERVAL_SECONDS = 1.0
"""How soon a copy that cannot be written is tried again by itself."""

_log = logging.getLogger(__name__)


class Mirror:
    """Writes batches on a thread of its own; a slow reader loses lines, and is told how many.

    What could not be written stays, within the bound, and is tried again until it can be: a torn
    line must be completed before the next one.

    Attributes:
        dropped: Lines left out since the start. In the copy they show as gaps in ``seq``.
    """

    def __init__(self, descriptor: int, *, turns: Path | None = None) -> None:
        """Take the pipe; ``turns`` is as in ``StreamSink``."""
        self.dropped = 0
        self._sink = StreamSink(descriptor, turns=turns)
        self._thread = JobThread("decision-log-copy")
        self._dropped_in_a_row = 0
        self._retry_timer: asyncio.TimerHandle | None = None
        self._stopped = False

    def offer(self, data: bytes, lines: int) -> None:
        """Copy a batch, or leave it out if the reader is too far behind."""
        if self._sink.held_bytes + len(data) > MAX_BACKLOG_BYTES:
            self._drop(lines)
            return
        if self._dropped_in_a_row:
            _log.warning("the copy of the decision log lacks %d lines", self._dropped_in_a_row)
            self._dropped_in_a_row = 0
        self._sink.append(data)
        self._write()

    def stop(self, timeout_seconds: float) -> None:
        """Wait for the backlog, but no longer than given."""
        self._stopped = True
        if self._retry_timer is not None:
            self._retry_timer.cancel()
        self._thread.stop(timeout_seconds)

    def _drop(self, lines: int) -> None:
        if not self._dropped_in_a_row:
            _log.warning("the copy of the decision log on stdout is not being read")
        self._dropped_in_a_row += lines
        self.dropped += lines

    def _write(self) -> None:
        self._thread.submit(asyncio.get_running_loop(), self._sink.sync, self._wrote)

    def _wrote(self, error: Exception | None) -> None:
        # Also after EPIPE: a named pipe gets another reader.
        if error is not None and self._retry_timer is None and not self._stopped:
            loop = asyncio.get_running_loop()
            self._retry_timer = loop.call_later(RETRY_INTERVAL_SECONDS, self._retry)

    def _retry(self) -> None:
        self._retry_timer = None
        self._write()
