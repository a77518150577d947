"""A listening socket, and whoever connects to it."""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

from kzproxy.metrics.registry import Metrics
from kzproxy.transport.dealing import Dealing
from kzproxy.transport.keepalive import keep_probing
from kzproxy.transport.rare_warnings import RareWarnings

log = logging.getLogger(__name__)

OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
"""What a system call lacks under load, which is no bug: to try again at once would only spin."""

Accept: TypeAlias = Callable[[], tuple[socket.socket, Any]]
Take: TypeAlias = Callable[[socket.socket, str, int], None]

_BACKLOG = 1024
_ACCEPTS_A_TURN = 64
_REST_SECONDS = 0.1


def listening_socket(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Bind and listen; ``shared`` with other processes, each of which gets some connections.

    Raises:
        OSError: The address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shared))
        sock.bind((host, port))
        sock.listen(_BACKLOG)
        sock.setblocking(False)  # noqa: FBT003 - the socket's own signature
    except OSError:
        sock.close()
        raise
    return sock


class Accepting:
    """Takes connections from ``begin`` to ``end``, and rests where the process can take no more.

    Args:
        sock: Bound and listening; closed by ``end`` and ``close``.
        take: Called with each connection, its client's address and port.
        dealing: Who else may have a connection, and hands theirs over; None where nobody does.
    """

    def __init__(
        self,
        sock: socket.socket,
        take: Take,
        metrics: Metrics,
        loop: asyncio.AbstractEventLoop,
        dealing: Dealing | None,
    ) -> None:
        # Connections inherit these from the socket that accepts them (Linux clones its own).
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        keep_probing(sock)
        self._sock = sock
        self._take = take
        self._metrics = metrics
        self._loop = loop
        self._dealing = dealing
        self._readers = {sock: partial(self._take_from, sock.accept, self._keep_or_hand_over)}
        if dealing is not None:  # What was handed over is handed on no further.
            self._readers[dealing.inbox] = partial(self._take_from, dealing.accept, take)
        self._warnings = RareWarnings(log, loop.time)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, port = self._sock.getsockname()[:2]
        return host, port

    def begin(self) -> None:
        """Take what connects from now on."""
        if self._dealing is not None:
            self._dealing.begin()
        self._read()

    def end(self) -> None:
        """Take what has been taken for us already, which closing would reset; close."""
        if self._sock.fileno() < 0:
            return
        if self._dealing is not None:
            self._dealing.leave()
        for accept in self._readers.values():
            while accept():
                pass
        self.close()

    def close(self) -> None:
        """Take nothing any more. Safe to repeat."""
        if self._sock.fileno() < 0:
            return
        for sock in self._readers:
            self._loop.remove_reader(sock)
        self._sock.close()
        if self._dealing is not None:
            self._dealing.close()

    def _take_from(self, accept: Accept, take: Take) -> bool:
        """Take what has connected, so much at a time; return whether there may be more."""
        for _ in range(_ACCEPTS_A_TURN):
            try:
                sock, name = accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return False
            except OSError as error:
                if error.errno not in OUT_OF_RESOURCES:
                    raise
                self._rest(error)
                return False
            take(sock, name[0], name[1])
        return True

    def _keep_or_hand_over(self, sock: socket.socket, host: str, port: int) -> None:
        if self._dealing is None or not self._dealing.hand_over(sock):
            self._take(sock, host, port)

    def _rest(self, error: OSError) -> None:
        name = errno.errorcode.get(error.errno or 0, "?")
        self._warnings.warn("cannot accept: %s; resting", name)
        self._metrics.accept_failures.inc()
        for sock in self._readers:
            self._loop.remove_reader(sock)
        self._loop.call_later(_REST_SECONDS, self._accept_again)

    def _accept_again(self) -> None:
        if self._sock.fileno() >= 0:
            self._read()

    def _read(self) -> None:
        for sock, accept in self._readers.items():
            self._loop.add_reader(sock, accept)
