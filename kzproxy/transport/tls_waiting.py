"""What both directions of a ``TlsStream`` share: its socket, its waits, and what ends them.

Either direction may have to wait for either event: TLS may have to write before it can read.
"""

import asyncio
import math
import ssl
from abc import ABC, abstractmethod
from functools import partial

from kzproxy.transport.readiness import readiness

# After so much without having to wait, others get their turn.
TURN_BYTES = 256 * 1024


class TlsWaiting(ABC):
    """The socket in the selector, and the tasks that wait for it.

    Attributes:
        deadline: Monotonic seconds after which ``Deadlines`` fails the stream; ``inf`` for none.
    """

    __slots__ = (
        "_closed",
        "_fd",
        "_loop",
        "_readable",
        "_reader_on",
        "_readiness",
        "_receive_failure",
        "_send_failure",
        "_sock",
        "_turn",
        "_writable",
        "deadline",
    )

    def __init__(self, sock: ssl.SSLSocket, loop: asyncio.AbstractEventLoop) -> None:
        self._sock = sock
        self._fd = sock.fileno()
        self._loop = loop
        self._readiness = readiness(loop)
        self._readable: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._reader_on = False
        self._receive_failure: Exception | None = None
        self._send_failure: Exception | None = None
        self._turn = 0
        self._closed = False
        self.deadline = math.inf

    @property
    def closed(self) -> bool:
        """Whether this side has closed it."""
        return self._closed

    def fail(self, error: Exception) -> None:
        """Make every present and future receive and send raise ``error``; ends a ``watch``."""
        self._send_failure = error
        break_wait(self._writable, error)
        self.interrupt(error)

    def interrupt(self, error: Exception) -> None:
        """Make every present and future receive raise ``error``; sending goes on."""
        self._receive_failure = error
        break_wait(self._readable, error)

    def _raise_if_receiving_failed(self) -> None:
        if self._receive_failure is not None:
            raise self._receive_failure

    async def _until_readable(self) -> None:
        self._raise_if_receiving_failed()
        self._turn = 0
        self._readable = self._loop.create_future()
        self._listen()
        try:
            await self._readable
        finally:
            self._readable = None

    async def _until_writable(self) -> None:
        if self._send_failure is not None:
            raise self._send_failure
        self._turn = 0
        self._writable = self._loop.create_future()
        self._readiness.add_writer(self._fd, partial(wake, self._writable))
        try:
            await self._writable
        finally:
            self._writable = None
            if not self._closed:
                self._readiness.remove_writer(self._fd)

    def _listen(self) -> None:
        if not self._reader_on:
            self._reader_on = True
            self._readiness.add_reader(self._fd, self._on_readable)

    def _stop_listening(self) -> None:
        self._reader_on = False
        self._readiness.remove_reader(self._fd)

    @abstractmethod
    def _on_readable(self) -> None:
        """Serve whoever waits for input; called by the selector."""

    async def _take_turns(self, size: int) -> None:
        """Let others have their turn after much without having had to wait."""
        self._turn += size
        if self._turn >= TURN_BYTES:
            self._turn = 0
            await asyncio.sleep(0)


def wake(waiter: asyncio.Future[None] | None) -> None:
    """End a wait, if it still lasts."""
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


def break_wait(
    waiter: asyncio.Future[None] | asyncio.Future[bool] | asyncio.Future[bytes | None] | None,
    error: Exception,
) -> None:
    """End a wait with ``error``, if it still lasts."""
    if waiter is not None and not waiter.done():
        waiter.set_exception(error)
