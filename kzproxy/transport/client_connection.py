"""One client's connection: handshake, then request after request until one side has enough."""

import asyncio
import math
from typing import Protocol

from kzproxy.errors.kinds import HeadTooLarge, ProxyError
from kzproxy.http.messages import RequestHead
from kzproxy.http.request_head import MAX_HEAD_BYTES, head_end
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


class Service(Protocol):
    """Who answers the requests."""

    async def handle(self, exchange: Exchange) -> None:
        """Answer ``exchange`` in every case; raises nothing but cancellation."""


class ClientConnection:
    """Reads heads off a connection and has each request served."""

    __slots__ = (
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
                self._exchange, self._is_new = exchange, False
                if self._draining:
                    exchange.be_last()
                await self._service.handle(exchange)
                self._exchange = None
                if not exchange.reusable or not exchange.body_received:
                    await self._stream.linger()
                    break
                if rest := exchange.take_rest():
                    self._buffer[:0] = rest
        except (StreamBroken, TimeoutError):
            pass  # The peer has gone, or never finished its head: there is nothing to answer.
        except asyncio.CancelledError:
            await self._stream.linger()  # So that what it was told just now is read.
            raise
        finally:
            self._stream.close()

    @property
    def _takes_more(self) -> bool:
        return self._is_new or not self._draining

    async def _next_exchange(self) -> Exchange | None:
        head: RequestHead | ProxyError | None
        try:
            head = await self._receive_head()
        except ProxyError as unreadable:
            head = unreadable
        if head is None:
            return None
        rest = b""
        if self._buffer:
            rest = bytes(self._buffer)
            self._buffer.clear()
        return Exchange(
            peer=self._peer,
            stream=self._stream,
            deadlines=self._deadlines,
            head=head,
            rest=rest,
            limits=self._limits,
        )

    async def _receive_head(self) -> RequestHead | None:
        """Return the next head; None where the client has closed the connection."""
        if self._buffer:
            return await self._receive_rest()
        self._idle = True
        self._stream.deadline = self._deadlines.after(self._idle_seconds)
        data = await self._stream.receive_next()
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
            if len(buffer) > MAX_HEAD_BYTES:
                raise HeadTooLarge(f"the request head is over {MAX_HEAD_BYTES // 1024} KiB")
            searched = len(buffer)
            data = await self._stream.receive_next()
            if not data:
                return None
            buffer += data
        self._stream.deadline = math.inf
        head = bytes(buffer[:end])
        del buffer[:end]
        return self._heads.read(head)
