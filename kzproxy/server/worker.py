"""What a process is told that is one of several workers."""

import os
import signal
from pathlib import Path

import msgspec
from msgspec.structs import replace

from kzproxy.audit.decision_log import DecisionLogSettings
from kzproxy.audit.log_files import own_file
from kzproxy.errors.configuration import ConfigurationError, Mistake

# linux/prctl.h
_PR_SET_PDEATHSIG = 1


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """One of several.

    Attributes:
        number: From 1.
        of: How many there are.
        supervisor_pid: Who started it.
        directory: The supervisor's, private to it and its workers.
    """

    number: int
    of: int
    supervisor_pid: int
    directory: Path

    @property
    def name(self) -> str:
        """What it is called for operators."""
        return f"worker {self.number}"

    @property
    def ops_socket(self) -> Path:
        """Where it answers the supervisor."""
        return self.directory / f"{self.number}.sock"

    def decision_log(self, settings: DecisionLogSettings) -> DecisionLogSettings:
        """Return where this worker writes: a file and a chain of its own."""
        file = settings.file
        return replace(
            settings,
            file=None if file is None else own_file(file, self.number),
            worker=str(self.number),
            stdout_turns=self.directory / "stdout.lock",
        )

    def end_with_supervisor(self) -> None:
        """Have the kernel send SIGTERM when the supervisor ends, however it ends.

        Raises:
            ConfigurationError: It has ended already.
        """
        import ctypes  # here: half a MiB that a kzproxy alone does without

        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl")
        if os.getppid() != self.supervisor_pid:  # it may have ended before the guard was armed
            raise ConfigurationError([Mistake(source="--worker", message="has no supervisor")])
