"""One worker as the supervisor sees it: a process that is started, signalled and waited for."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Sequence


class WorkerProcess:
    """A process that was started; made by ``start`` on the main thread."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    @classmethod
    def start(cls, command: Sequence[str]) -> "WorkerProcess":
        """Start ``command`` as an interpreter of its own, with our standard output and error.

        SIGHUP is held back in it until it is ready to take it, for its first effect is to kill.

        Raises:
            OSError: It cannot be started.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        try:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 - our own
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return cls(process)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens where it has ended."""
        self._process.send_signal(number)

    async def ended(self) -> int:
        """Wait for its end; return its exit code, negative where a signal ended it."""
        loop = asyncio.get_running_loop()
        has_ended = asyncio.Event()
        descriptor = os.pidfd_open(self._process.pid)
        try:
            loop.add_reader(descriptor, has_ended.set)
            await has_ended.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
        return self._process.wait()


def ending_words(code: int) -> str:
    """Say how a process ended."""
    if code >= 0:
        return f"ended with {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:  # one for whatever use people make of it: they have no names
        name = f"signal {-code}"
    return f"was ended by {name}"
