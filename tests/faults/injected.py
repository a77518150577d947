"""kzproxy with I/O that fails when it is told to: ``python -m tests.faults.injected PLAN …``.

The calls are those of the standard library, below everything that is kzproxy's. PLAN is a file that
holds a number: the call of that number from now on fails, once. The file is removed then.
"""

import contextlib
import errno
import functools
import os
import socket
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kzproxy.cli.main import main

CALLS: dict[str, tuple[Any, str, OSError]] = {
    "read": (ssl.SSLSocket, "read", ConnectionResetError(errno.ECONNRESET, "injected")),
    "write": (ssl.SSLSocket, "write", BrokenPipeError(errno.EPIPE, "injected")),
    "handshake": (
        ssl.SSLSocket,
        "do_handshake",
        ConnectionResetError(errno.ECONNRESET, "injected"),
    ),
    "accept": (socket.socket, "accept", OSError(errno.EMFILE, "injected")),
    "log": (os, "write", OSError(errno.EIO, "injected")),
    "sync": (os, "fdatasync", OSError(errno.EIO, "injected")),
}


class Plan:
    """Says which call fails."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._left = 0

    def is_due(self) -> bool:
        """Count one call; True where it is the one."""
        if not self._left:
            try:
                self._left = int(self._file.read_text())
            except (OSError, ValueError):
                return False
        self._left -= 1
        if self._left:
            return False
        self._file.unlink()
        return True


def _failing(plan: Plan, call: Callable[..., Any], error: OSError) -> Callable[..., Any]:
    @functools.wraps(call)
    def called(*arguments: Any, **named: Any) -> Any:
        if plan.is_due():
            if isinstance(arguments[0], ssl.SSLSocket):  # It is lost, not this one call alone.
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(arguments[0], socket.SHUT_RDWR)
            raise type(error)(*error.args)
        return call(*arguments, **named)

    return called


def _inject(plan: Plan, names: list[str]) -> None:
    for name in names:
        owner, attribute, error = CALLS[name]
        setattr(owner, attribute, _failing(plan, getattr(owner, attribute), error))


if __name__ == "__main__":
    _inject(Plan(Path(sys.argv.pop(1))), sys.argv.pop(1).split(","))
    main()
