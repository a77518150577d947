"""A copy of the decision log on standard output, for a collector or for people to watch."""

import asyncio
import logging
from pathlib import Path

from kzproxy.audit.job_thread import JobThread
from kzproxy.audit.sink import StreamSink

MAX_BACKLOG_BYTES = 4 << 20
"""How far the reader of the copy may be behind before lines are left out of it."""

_log = logging.getLogger(__name__)


class Mirror:
    """Writes batches on a thread of its own; a slow reader loses lines, and is told how many.

    Attributes:
        dropped: Lines left out since the start. In the copy they show as gaps in ``seq``.
    """

    def __init__(self, descriptor: int, *, turns: Path | None = None) -> None:
        """Take the pipe; ``turns`` is as in ``StreamSink``."""
        self.dropped = 0
        self._sink = StreamSink(descriptor, turns=turns)
        self._thread = JobThread("decision-log-copy")
        self._backlog_bytes = 0
        self._dropped_in_a_row = 0

    def offer(self, data: bytes, lines: int) -> None:
        """Copy a batch, or leave it out if the reader is too far behind."""
        if self._backlog_bytes + len(data) > MAX_BACKLOG_BYTES:
            self._drop(lines)
            return
        if self._dropped_in_a_row:
            _log.warning("the copy of the decision log lacks %d lines", self._dropped_in_a_row)
            self._dropped_in_a_row = 0
        self._backlog_bytes += len(data)
        self._sink.append(data)
        self._thread.submit(
            asyncio.get_running_loop(), self._sink.sync, lambda error: self._wrote(data, error)
        )

    def stop(self, timeout_seconds: float) -> None:
        """Wait for the backlog, but no longer than given."""
        self._thread.stop(timeout_seconds)

    def _drop(self, lines: int) -> None:
        if not self._dropped_in_a_row:
            _log.warning("the copy of the decision log on stdout is not being read")
        self._dropped_in_a_row += lines
        self.dropped += lines

    def _wrote(self, data: bytes, error: Exception | None) -> None:
        # After an error its bytes stay in the sink and in the backlog: a reader that has gone for
        # good costs the bound and no more.
        if error is None:
            self._backlog_bytes -= len(data)
