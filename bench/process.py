"""A process that is measured or that measures: started, and ended by its id."""

import os
import signal
import subprocess
from pathlib import Path
from typing import IO

from bench.programs import CannotRunError

_STOP_SECONDS = 40.0


class Process:
    """Runs from its making until ``stop``; what it says goes into a log."""

    def __init__(self, command: list[str], log: Path) -> None:
        """Start ``command``; it is stopped with us, and never by a terminal's Ctrl-C before us."""
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - a command of ours
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def check(self) -> None:
        """Do nothing while it runs.

        Raises:
            CannotRunError: It has ended.
        """
        if self._process.poll() is not None:
            raise CannotRunError(f"{self._log.stem} ended: {self.last_words()}")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def last_words(self) -> str:
        """Return the end of its log."""
        return self._log.read_text(errors="replace")[-2000:]

    def stop(self) -> None:
        """End it: SIGTERM, and SIGKILL if that is of no use. Safe to repeat."""
        if self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def line_of(stream: IO[str] | None) -> str:
    """Return the next line without its end; empty at the end of the stream."""
    return "" if stream is None else stream.readline().strip()
