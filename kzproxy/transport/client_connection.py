"""One client's connection: handshake, then request after request until one side has enough."""

import asyncio
import contextlib
import math
from collections.abc import Coroutine
from typing import Any, Protocol

from kzproxy.errors.anew import anew
from kzproxy.errors.kinds import ProxyError
from kzproxy.http.messages import RequestHead
from kzproxy.http.request_head import head_end
from kzproxy.http.request_head_memo import RequestHeadMemo
from kzproxy.transport.broken import StreamBroken
from kzproxy.transport.connection_limits import ConnectionLimits
from kzproxy.transport.deadlines import Deadlines
from kzproxy.transport.exchange import Exchange
from kzproxy.transport.peer import Peer
from kzproxy.transport.tls_stream import TlsStream

# client-go closes idle connections after 90 s (net/http IdleConnTimeout); stay longer than that, so
# that it is the client that closes and never races with us.
IDLE_SECONDS = 120.0
# What a client has that connects while kzproxy ends: time for the request that it came for.
FIRST_REQUEST_SECONDS = 1.0


class Begun(Protocol):
    """A request that is being answered without a task."""

    def go_on(self, error: BaseException | None = None) -> Coroutine[Any, Any, None]:
        """Answer it in a task from now on, from where it stands; as ``Service.handle`` does.

        ``error`` has come between, and ends it.
        """


class Over(Protocol):
    """Is told once that a request takes no further step without a task."""

    def __call__(self, *, is_answered: bool) -> None:
        """Go on: where it is not answered, ``Begun.go_on`` must follow."""


class Service(Protocol):
    """Who answers the requests."""

    async def handle(self, exchange: Exchange) -> None:
        """Answer ``exchange`` in every case; raises nothing but cancellation."""

    def begin(self, exchange: Exchange, over: Over) -> Begun | None:
        """Begin to answer it without a task; raises nothing.

        Args:
            exchange: Fresh.
            over: Called later, once.

        Returns:
            What is under way; None where nothing was done, and ``handle`` must be.
        """


class ClientConnection:
    """Reads heads off a connection and has each request served.

    The task that serves it waits until there is a request that takes one. As a ``Receiver`` it
    is handed what comes meanwhile, and has those that take none answered in between.
    """

    __slots__ = (
        "_begun",
        "_buffer",
        "_deadlines",
        "_draining",
        "_exchange",
        "_heads",
        "_idle",
        "_idle_seconds",
        "_is_new",
        "_limits",
        "_peer",
        "_service",
        "_stream",
        "_waiting",
    )

    def __init__(
        self,
        *,
        stream: TlsStream,
        peer: Peer,
        deadlines: Deadlines,
        heads: RequestHeadMemo,
        service: Service,
        limits: ConnectionLimits,
    ) -> None:
        self._stream = stream
        self._peer = peer
        self._deadlines = deadlines
        self._heads = heads
        self._service = service
        self._limits = limits
        self._buffer = bytearray()
        self._idle = False
        self._draining = False
        self._exchange: Exchange | None = None
        self._begun: Begun | None = None
        self._waiting: asyncio.Future[bytes] | None = None
        self._is_new = True
        self._idle_seconds = IDLE_SECONDS

    def drain(self) -> None:
        """End now where no request is under way, else after the one that is.

        A client that has sent none yet has connected to send one, and gets a moment to do so: it
        would take the end of a new connection for a failure.
        """
        self._draining = True
        self._idle_seconds = FIRST_REQUEST_SECONDS
        if self._exchange is not None:
            self._exchange.be_last()
        elif self._idle and self._is_new:
            self._stream.deadline = self._deadlines.after(FIRST_REQUEST_SECONDS)
        elif self._idle:
            self._stream.fail(StreamBroken("draining"))

    async def serve(self) -> None:
        """Serve until the connection ends; closes it in every case."""
        try:
            while self._takes_more and (exchange := await self._next_exchange()) is not None:
                await self._answered(exchange)
                self._exchange = None
                if not exchange.reusable or not exchange.body_received:
                    await self._stream.linger()
                    break
                if rest := exchange.take_rest():
                    self._buffer[:0] = rest
        except (StreamBroken, TimeoutError):
            pass  # The peer has gone, or never finished its head: there is nothing to answer.
        except asyncio.CancelledError as stopped:
            if self._begun is not None:
                with contextlib.suppress(asyncio.CancelledError):
                    await self._begun.go_on(stopped)
            await self._stream.linger()  # So that what it was told just now is read.
            raise
        finally:
            self._stream.close()

    @property
    def _takes_more(self) -> bool:
        return self._is_new or not self._draining

    async def _answered(self, exchange: Exchange) -> None:
        if (begun := self._begun) is not None:
            self._begun = None
            await begun.go_on()
        elif not exchange.started:
            await self._service.handle(exchange)

    async def _next_exchange(self) -> Exchange | None:
        """Return the next that takes a task, or that ended the connection without one."""
        head: RequestHead | ProxyError | None
        try:
            data = b"" if self._buffer else await self._first_bytes()
            if self._exchange is not None:
                return self._exchange
            head = await self._receive_head(data)
        except ProxyError as unreadable:
            head = anew(unreadable)
        return None if head is None else self._exchange_with(head)

    def _exchange_with(self, head: RequestHead | ProxyError) -> Exchange:
        rest = b""
        if self._buffer:
            rest = bytes(self._buffer)
            self._buffer.clear()
        self._is_new = False
        self._exchange = exchange = Exchange(
            peer=self._peer,
            stream=self._stream,
            deadlines=self._deadlines,
            head=head,
            rest=rest,
            limits=self._limits,
        )
        if self._draining:
            exchange.be_last()
        return exchange

    async def _first_bytes(self) -> bytes:
        """Return the beginning of a head that takes a task; empty at the client's end.

        Of no account where there is an ``_exchange`` then: its head has been read already.
        """
        waiting: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting = waiting
        self._wait(soon=False)
        try:
            return await waiting
        finally:
            self._waiting = None
            del waiting  # What it raises holds this frame: see ``errors.anew``.
            self._stream.receive_by_nobody()

    def _wait(self, *, soon: bool) -> None:
        self._idle = True
        self._stream.deadline = self._deadlines.after(self._idle_seconds)
        self._stream.receive_by(self, soon=soon)

    def received(self, data: bytes) -> None:
        """Have a request answered without a task, or wake the one there is."""
        waiting = self._waiting
        if waiting is None or waiting.done():
            return
        self._idle = False
        head = self._heads.known(data)
        if head is None or not self._begins(head):
            waiting.set_result(data)

    def broken(self, error: Exception) -> None:
        """Wake the task with ``error``."""
        if (waiting := self._waiting) is not None and not waiting.done():
            waiting.set_exception(anew(error))

    def _begins(self, head: RequestHead) -> bool:
        """Whether a request takes no task; then it is under way. Else it waits for one, as read."""
        self._stream.deadline = math.inf
        self._begun = self._service.begin(self._exchange_with(head), self._over)
        return self._begun is not None

    def _over(self, *, is_answered: bool) -> None:
        """Wait for the next, or wake the task: to carry on with this one, or to end."""
        exchange = self._exchange
        if is_answered:
            self._begun = None
            if exchange is not None and exchange.reusable:
                self._exchange = None
                self._stream.unwatch()
                self._wait(soon=True)
                return
        if (waiting := self._waiting) is not None and not waiting.done():
            waiting.set_result(b"")

    async def _receive_head(self, data: bytes) -> RequestHead | None:
        """Return the head that ``data`` begins; None where the client has closed the connection."""
        if self._buffer:
            return await self._receive_rest()
        if not data:
            return None
        self._idle = False
        if head_end(data, 0) == len(data):  # As nearly every client sends it.
            self._stream.deadline = math.inf
            return self._heads.read(data)
        self._buffer += data
        return await self._receive_rest()

    async def _receive_rest(self) -> RequestHead | None:
        """Return the head that has begun."""
        buffer, searched = self._buffer, 0
        self._stream.deadline = self._deadlines.after(self._limits.head_seconds)
        while (end := head_end(buffer, searched)) < 0:
            searched = len(buffer)
            data = await self._stream.receive_next()
            if not data:
                return None
            buffer += data
        self._stream.deadline = math.inf
        head = bytes(buffer[:end])
        del buffer[:end]
        return self._heads.read(head)
