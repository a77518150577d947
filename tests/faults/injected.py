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
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kzproxy.cli.main import main

CALLS: dict[str, tuple[Any, str, OSError]] = {
    "handshake": (
        ssl.SSLSocket,
        "do_handshake",
        ConnectionResetError(errno.ECONNRESET, "injected"),
    ),
    "accept": (socket.socket, "accept", OSError(errno.EMFILE, "injected")),
    "log": (os, "write", OSError(errno.EIO, "injected")),
    "sync": (os, "fdatasync", OSError(errno.EIO, "injected")),
}
# Of OpenSSL's own object, which a stream calls without the socket in between.
RECORDS: dict[str, OSError] = {
    "read": ConnectionResetError(errno.ECONNRESET, "injected"),
    "write": BrokenPipeError(errno.EPIPE, "injected"),
}


class Plan:
    """Says which call fails."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._left = 0
        # Logs are written by threads of their own.
        self._lock = threading.Lock()

    def is_due(self) -> bool:
        """Count one call; True where it is the one."""
        with self._lock:
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


class Records:
    """OpenSSL's object of one connection, some calls of which fail as planned."""

    def __init__(self, plan: Plan, sock: ssl.SSLSocket, names: list[str]) -> None:
        self._inner = sock._sslobj
        for name in names:
            call = functools.partial(self._call, plan, sock, name)
            setattr(self, name, call)

    def _call(self, plan: Plan, sock: ssl.SSLSocket, name: str, *arguments: Any) -> Any:
        return _failing(plan, lambda _: getattr(self._inner, name)(*arguments), RECORDS[name])(sock)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _inject_records(plan: Plan, names: list[str]) -> None:
    wrap = ssl.SSLContext.wrap_socket

    def wrapped(*arguments: Any, **named: Any) -> ssl.SSLSocket:
        sock = wrap(*arguments, **named)
        sock._sslobj = Records(plan, sock, names)
        return sock

    ssl.SSLContext.wrap_socket = wrapped


def _inject(plan: Plan, names: list[str]) -> None:
    if records := [name for name in names if name in RECORDS]:
        _inject_records(plan, records)
    for name in names:
        if name in CALLS:
            owner, attribute, error = CALLS[name]
            setattr(owner, attribute, _failing(plan, getattr(owner, attribute), error))


if __name__ == "__main__":
    _inject(Plan(Path(sys.argv.pop(1))), sys.argv.pop(1).split(","))
    main()
