"""What both directions of a ``TlsStream`` share: its socket, its waits, and what ends them.

Either direction may have to wait for either event: TLS may have to write before it can read.
"""

import asyncio
import math
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Protocol, cast

from kzproxy.errors.anew import anew
from kzproxy.transport.readiness import expecting, readiness

# After so much without having to wait, others get their turn.
TURN_BYTES = 256 * 1024


class Records(Protocol):
    """What reads and writes the records of a TLS connection; raises what ``ssl`` does."""

    def read(self, size: int, buffer: memoryview = ..., /) -> Any:
        """Return what there is, or where it goes into ``buffer`` how much."""

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        """Return how much has gone."""

    def pending(self) -> int:
        """Return how much has been decrypted and not been read."""


class TlsWaiting(ABC):
    """The socket in the selector, and the tasks that wait for it.

    Attributes:
        deadline: Monotonic seconds after which ``Deadlines`` fails the stream; ``inf`` for none.
    """

    __slots__ = (
        "_closed",
        "_expect",
        "_fd",
        "_loop",
        "_readable",
        "_reader_on",
        "_readiness",
        "_receive_failure",
        "_records",
        "_resume",
        "_send_failure",
        "_sock",
        "_turn",
        "_writable",
        "deadline",
    )

    def __init__(self, sock: ssl.SSLSocket, loop: asyncio.AbstractEventLoop) -> None:
        self._sock = sock
        # What ``SSLSocket.read`` and ``write`` call, after three more calls that find out that it
        # is there: a tenth of what a watch event costs. Private, so where it is not there the
        # socket itself does; and the socket refuses once it is closed, so ``_release`` puts it
        # here: OpenSSL alone would go on with the descriptor, whoever has it then.
        self._records: Records = getattr(sock, "_sslobj", None) or cast("Records", sock)
        self._fd = sock.fileno()
        self._loop = loop
        self._readiness = readiness(loop)
        self._expect = expecting(loop)
        self._readable: asyncio.Future[None] | None = None
        # Whoever waits for room: either direction may.
        self._writable: tuple[asyncio.Future[None], ...] = ()
        self._reader_on = False
        self._receive_failure: Exception | None = None
        self._send_failure: Exception | None = None
        self._turn = 0
        self._closed = False
        self._resume: Callable[[Any], None] | None = None
        self.deadline = math.inf

    @property
    def closed(self) -> bool:
        """Whether this side has closed it."""
        return self._closed

    def rest(self, resume: Callable[[Any], None]) -> None:
        """Have ``resume`` called once, with this stream, when its present wait ends."""
        self._resume = resume

    def _end_rest(self) -> None:
        resume, self._resume = self._resume, None
        if resume is not None:
            resume(self)

    def fail(self, error: Exception) -> None:
        """Make every present and future receive and send raise ``error``; ends a ``watch``."""
        self._send_failure = error
        for waiter in self._writable:
            break_wait(waiter, error)
        self.interrupt(error)

    def interrupt(self, error: Exception) -> None:
        """Make every present and future receive raise ``error``; sending goes on."""
        self._receive_failure = error
        break_wait(self._readable, error)

    def _raise_if_receiving_failed(self) -> None:
        if self._receive_failure is not None:
            raise anew(self._receive_failure)

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
            raise anew(self._send_failure)
        self._turn = 0
        self._end_rest()
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._writable += (waiter,)
        self._readiness.add_writer(self._fd, self._on_writable)
        try:
            await waiter
        finally:
            self._writable = tuple(one for one in self._writable if one is not waiter)
            if not self._writable and not self._closed:
                self._readiness.remove_writer(self._fd)

    def _on_writable(self) -> None:
        for waiter in self._writable:
            wake(waiter)

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
        waiter.set_exception(anew(error))
