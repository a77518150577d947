"""The diagnostic log on standard error, which never holds up what it tells of.

Whoever reads it may stop for a while, as a pager does, or a collector whose disk is full. A write
to a full pipe waits, and every request would wait with it: so a thread of its own writes.
"""

import contextlib
import faulthandler
import logging
import os
import queue
import select
import signal
import stat
import sys
import threading

MAX_BACKLOG_BYTES = 1 << 20
"""How far the reader may be behind before lines are left out."""

SHOW_STACKS = signal.SIGUSR1
"""What has any kzproxy that serves say where it is."""

_STOP_SECONDS = 2.0


def on_standard_error() -> logging.Handler:
    """Return what writes there; a file takes what is written, all else may make its writer wait."""
    stream = sys.stderr
    if stream is None:  # Closed before we began: its number is somebody else's by now.
        return logging.NullHandler()
    try:
        descriptor = stream.fileno()
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
    except OSError:  # It is none of the system's.
        return logging.StreamHandler(stream)
    return logging.StreamHandler(stream) if is_file else DiagnosticLog(descriptor)


def show_stacks_on(number: signal.Signals) -> None:
    """Write where each thread is whenever that signal comes, even while no Python can run.

    Files, lines and names of functions alone, no values. Unlike the log it waits for its reader.
    """
    try:
        faulthandler.register(number)
    except (RuntimeError, OSError):  # There is no standard error, or it is none of the system's.
        signal.signal(number, signal.SIG_IGN)


class DiagnosticLog(logging.Handler):
    """Writes lines to a descriptor; a slow reader loses some, and is told how many."""

    def __init__(self, descriptor: int) -> None:
        """Take the descriptor, which stays whose it is."""
        super().__init__()
        self._descriptor = descriptor
        self._taken: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        # Each is counted by one thread at a time: that of ``emit``, by its lock, and the writer's.
        self._taken_bytes = 0
        self._written_bytes = 0
        self._left_out = 0
        self._thread = threading.Thread(target=self._work, name="diagnostic-log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Have the record written, or leave it out if the reader is too far behind."""
        try:
            line = f"{self.format(record)}\n".encode(errors="backslashreplace")
        except Exception:  # noqa: BLE001 - as logging's own do
            self.handleError(record)
            return
        if self._taken_bytes - self._written_bytes + len(line) > MAX_BACKLOG_BYTES:
            self._left_out += 1
            return
        if self._left_out:
            line = b"... %d lines are missing here\n%b" % (self._left_out, line)
            self._left_out = 0
        self._taken_bytes += len(line)
        self._taken.put(line)

    def close(self) -> None:
        """Write what is held, but wait no longer than a moment for that."""
        self._taken.put(None)
        self._thread.join(_STOP_SECONDS)
        super().close()

    def _work(self) -> None:
        while (line := self._taken.get()) is not None:
            with contextlib.suppress(OSError):  # Nobody will read it, or there is no room for it.
                self._write(line)
            self._written_bytes += len(line)

    def _write(self, line: bytes) -> None:
        while line:
            try:
                line = line[os.write(self._descriptor, line) :]
            except BlockingIOError:  # whoever shares the pipe has made it non-blocking
                select.select([], [self._descriptor], [])
