"""A person's terminal, with kubectl running on it."""

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator

from tests.cluster.kubectl import Kubectl


class Terminal:
    """What is on the screen so far, and a keyboard."""

    def __init__(self, screen: int, process: "subprocess.Popen[bytes]") -> None:
        self._screen = screen
        self._process = process
        self._unread = b""

    def type(self, keys: str) -> None:
        """Press keys; a line ends with a carriage return."""
        os.write(self._screen, keys.encode())

    def expect(self, wanted: str, *, seconds: float = 20.0) -> str:
        """Wait for text to appear, and return everything up to its end."""
        deadline = time.monotonic() + seconds
        while wanted.encode() not in self._unread:
            left = deadline - time.monotonic()
            assert left > 0, f"{wanted!r} did not appear; the screen shows {self._unread!r}"
            assert self._read(left), f"ended before {wanted!r}; the screen shows {self._unread!r}"
        shown, found, self._unread = self._unread.partition(wanted.encode())
        return (shown + found).decode(errors="replace")

    def resize(self, rows: int, columns: int) -> None:
        """Drag the window's corner."""
        _set_size(self._screen, rows, columns)
        self._process.send_signal(signal.SIGWINCH)

    def exit_code(self, *, seconds: float = 20.0) -> int:
        """Wait for kubectl to end."""
        deadline = time.monotonic() + seconds
        # A program that still has something to print does not end before it is read.
        while self._read(max(0.0, deadline - time.monotonic())):
            pass
        return self._process.wait(max(0.1, deadline - time.monotonic()))

    def _read(self, seconds: float) -> bool:
        """Read what there is within ``seconds``; false where there is nothing more to come."""
        if not select.select([self._screen], [], [], seconds)[0]:
            return False
        try:
            piece = os.read(self._screen, 65536)
        except OSError:  # EIO: no one holds the other end any more
            return False
        self._unread += piece
        return bool(piece)


@contextlib.contextmanager
def kubectl_on_a_terminal(
    kubectl: Kubectl, *arguments: str, rows: int = 24, columns: int = 80
) -> Iterator[Terminal]:
    """Run kubectl on a terminal of its own; left, it is ended."""
    screen, line = pty.openpty()
    _set_size(screen, rows, columns)
    try:
        process = subprocess.Popen(
            kubectl.command(*arguments),
            env={**kubectl.environment(), "TERM": "xterm"},
            stdin=line,
            stdout=line,
            stderr=line,
            start_new_session=True,
        )
    finally:
        os.close(line)
    try:
        with process:
            yield Terminal(screen, process)
            process.kill()
    finally:
        process.kill()
        os.close(screen)


def _set_size(descriptor: int, rows: int, columns: int) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
