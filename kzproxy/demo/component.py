"""One process of the control plane: started, watched while it starts, and stopped by its pid."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

from kzproxy.clock.system import Clock
from kzproxy.demo import parent_death

START_TIMEOUT = timedelta(seconds=120)
STOP_TIMEOUT = timedelta(seconds=10)
_POLL_SECONDS = 0.05
_LAST_LOG_BYTES = 8 * 1024
_LAST_LOG_LINES = 12
# What a component may know of our environment; credentials and proxies are none of its business.
_PASSED_ON = ("PATH", "HOME", "TMPDIR", "LANG")


class ControlPlaneError(Exception):
    """The control plane cannot be started; the message says why, with the last lines of a log."""


class Launcher:
    """Starts processes that end when we do, even by SIGKILL.

    Linux sends the parent-death signal when the *thread* that forked ends (prctl(2)), so every
    process is started from one thread, which lives until ``close``.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="launcher")

    def launch(
        self, command: Sequence[str], *, directory: Path, log: Path, at_our_death: signal.Signals
    ) -> "subprocess.Popen[bytes]":
        """Start ``command`` in its own session: Ctrl-C at our terminal is ours to act on."""
        return self._thread.submit(_popen, command, directory, log, at_our_death).result()

    def close(self) -> None:
        """End the thread, and with it whatever still runs."""
        self._thread.shutdown()


class Component:
    """A process with a log; ``stop`` ends it."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        directory: Path,
        clock: Clock,
        at_our_death: signal.Signals = signal.SIGKILL,
    ) -> None:
        """Take a command; its log is ``NAME.log`` in ``directory``, where it also runs."""
        self.name = name
        self.log = directory / f"{name}.log"
        self._command = command
        self._directory = directory
        self._clock = clock
        self._at_our_death = at_our_death
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id; 0 where it has not been started."""
        return self._process.pid if self._process else 0

    def start(self, launcher: Launcher) -> None:
        """Start the process; ``wait_until`` tells when it serves."""
        self._process = launcher.launch(
            self._command,
            directory=self._directory,
            log=self.log,
            at_our_death=self._at_our_death,
        )

    def wait_until(self, ready: Callable[[], bool], limit: timedelta = START_TIMEOUT) -> None:
        """Return once ``ready`` says so.

        Raises:
            ControlPlaneError: The process ended, or ``limit`` passed.
        """
        deadline = self._clock.monotonic() + limit.total_seconds()
        while not ready():
            self._check_alive()
            if self._clock.monotonic() > deadline:
                seconds = f"{limit.total_seconds():.0f} s"
                raise ControlPlaneError(
                    f"{self.name} is not ready after {seconds}{self._last_log()}"
                )
            time.sleep(_POLL_SECONDS)
        self._check_alive()

    def stop(self, limit: timedelta = STOP_TIMEOUT) -> None:
        """End the process: SIGTERM, and SIGKILL once ``limit`` has passed. Safe to repeat."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(limit.total_seconds())
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _check_alive(self) -> None:
        code = self._process.poll() if self._process else None
        if self._process is None or code is not None:
            raise ControlPlaneError(f"{self.name} ended with code {code}{self._last_log()}")

    def _last_log(self) -> str:
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - _LAST_LOG_BYTES))
            lines = log.read().decode(errors="replace").splitlines()[-_LAST_LOG_LINES:]
        return "\n".join([f"; the end of {self.log}:", *lines])


def _popen(
    command: Sequence[str], directory: Path, log: Path, at_our_death: signal.Signals
) -> "subprocess.Popen[bytes]":
    guard = [sys.executable, "-I", "-S", parent_death.__file__, str(os.getpid())]
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 (the command is ours)
            [*guard, str(int(at_our_death)), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=directory,
            env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            start_new_session=True,
        )
