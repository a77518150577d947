"""Asking programs of the operating system, briefly."""

import contextlib
import os
import select
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from kzproxy.client.posture.finding import Late, Unknowable
from kzproxy.clock.system import Clock

TIMEOUT_SECONDS = 0.45
"""Less than a probe has, so that it is the program that is said to be slow."""

_MAX_OUTPUT_BYTES = 64 * 1024
# Not the user's own: a report is about the programs of the operating system.
_PATH = "/usr/bin:/bin:/usr/sbin:/sbin:/run/current-system/sw/bin"
# What a program needs to find the user's desktop session.
_KEPT = ("DBUS_SESSION_BUS_ADDRESS", "HOME", "USER", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a program answered."""

    code: int
    output: str


class Commands(Protocol):
    """Runs programs."""

    def run(self, *words: str) -> Said:
        """Run one to its end.

        Raises:
            Unknowable: It is not there; ``Late`` where it does not answer in time.
        """


class SystemCommands:
    """Runs programs of the operating system, in its own language."""

    def __init__(self, environment: Mapping[str, str], clock: Clock) -> None:
        self._clock = clock
        kept = {name: environment[name] for name in _KEPT if name in environment}
        self._environment = {**kept, "PATH": _PATH, "LC_ALL": "C"}

    def run(self, *words: str) -> Said:
        """Run one; see ``Commands``."""
        program = shutil.which(words[0], path=_PATH)
        if program is None:
            raise Unknowable(f"there is no program {words[0]}")
        try:
            return self._run([program, *words[1:]])
        except OSError as error:
            raise Unknowable(f"{words[0]} cannot be run: {error.strerror}") from None

    def _run(self, words: Sequence[str]) -> Said:
        ends = self._clock.monotonic() + TIMEOUT_SECONDS
        with subprocess.Popen(  # noqa: S603 - words of ours, and a fixed search path
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self._environment,
            start_new_session=True,
        ) as process:
            try:
                output = self._output(process, ends)
                code = process.wait(max(ends - self._clock.monotonic(), 0))
            except (Unknowable, subprocess.TimeoutExpired):
                _kill(process)
                raise Late(f"{words[0]} did not answer in time") from None
        return Said(code=code, output=output.decode("utf-8", "replace"))

    def _output(self, process: "subprocess.Popen[bytes]", ends: float) -> bytes:
        if process.stdout is None:
            raise Unknowable("no output")
        descriptor, output = process.stdout.fileno(), b""
        while True:
            remaining = ends - self._clock.monotonic()
            if remaining <= 0 or not select.select([descriptor], [], [], remaining)[0]:
                raise Unknowable("late")
            part = os.read(descriptor, _MAX_OUTPUT_BYTES)
            if not part:
                return output
            output += part
            if len(output) > _MAX_OUTPUT_BYTES:
                raise Unknowable("endless")


class NoCommands:
    """Runs none: programs would answer for this machine, and another one's files are looked at."""

    def run(self, *words: str) -> Said:
        """Refuse; see ``Commands``."""
        raise Unknowable(f"{words[0]} is asked only about the machine that it runs on")


def _kill(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
