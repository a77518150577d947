"""Serve an aiohttp application over TLS with bounds on connections, which aiohttp has none of.

So many connections at a time, in all and from one address; so long for a handshake; and no
connection for ever, whether it asks something or not.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from aiohttp import web

from kzproxy.policy.network import Addresses
from kzproxy.web.connection_shares import ConnectionShares
from kzproxy.web.proxied_connections import (
    NamedTransport,
    PeerName,
    ProxiedConnections,
    Shake,
)

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 2000
MAX_CONNECTIONS_PER_ADDRESS = 200
HANDSHAKE_SECONDS = 10
IDLE_SECONDS = 30
LIFE_SECONDS = 60

_BACKLOG = 1024
_CLOSING_SECONDS = 5.0
_LAST_ANSWER_SECONDS = 60.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """How many, and how long.

    Attributes:
        connections: In all.
        connections_per_address: From one IPv4 address or IPv6 /64.
        handshake: Of TLS.
        idle: Between two requests of one connection.
        life: Of one connection; what it is at is then still answered.
    """

    connections: int = MAX_CONNECTIONS
    connections_per_address: int = MAX_CONNECTIONS_PER_ADDRESS
    handshake: timedelta = timedelta(seconds=HANDSHAKE_SECONDS)
    idle: timedelta = timedelta(seconds=IDLE_SECONDS)
    life: timedelta = timedelta(seconds=LIFE_SECONDS)


DEFAULT_SERVER_LIMITS = ServerLimits()


class _Open:
    """The connections of one server."""

    def __init__(self, limits: ServerLimits) -> None:
        self.limits = limits
        self.shares = ConnectionShares(
            most=limits.connections, most_of_address=limits.connections_per_address
        )
        self.by_handler: dict[object, _Bounded] = {}


class _Bounded(asyncio.Protocol):
    """Stands before aiohttp's handler until TLS has shaken hands, and ends it in time.

    Attributes:
        is_busy: Whether a request is being answered.
    """

    def __init__(
        self, handler: web.RequestHandler, open_: _Open, peer: PeerName | None = None
    ) -> None:
        self.is_busy = False
        self._is_counted = False
        self._handler = handler
        self._peer = peer
        self._open = open_
        self._address = ""
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a stream's always is
        peer = self._peer or transport.get_extra_info("peername")
        self._address = str(peer[0]) if peer else ""
        if not self._open.shares.admit(self, self._address):
            transport.abort()
            return
        self._transport, self._is_counted = transport, True
        self._open.by_handler[self._handler] = self
        self._later(self._open.limits.life.total_seconds(), self._end)
        shown: asyncio.BaseTransport = transport
        if self._peer is not None:
            shown = cast(asyncio.BaseTransport, NamedTransport(transport, self._peer))
        self._handler.connection_made(shown)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._transport is None:
            return
        self._leave()
        if self._timer is not None:
            self._timer.cancel()
        self._handler.connection_lost(exc)

    def drop(self) -> None:
        """Hang up at once, for another one's sake."""
        assert self._transport is not None  # noqa: S101 - it was admitted
        self._leave()
        self._transport.abort()

    def _leave(self) -> None:
        if self._is_counted:
            self._is_counted = False
            self._open.shares.leave(self, self._address)
            self._open.by_handler.pop(self._handler, None)

    def data_received(self, data: bytes) -> None:
        if self._transport is not None:
            self._handler.data_received(data)

    def eof_received(self) -> None:
        if self._transport is not None:
            self._handler.eof_received()

    def pause_writing(self) -> None:
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        self._handler.resume_writing()

    def _end(self) -> None:
        """Take no further request; what is being answered is answered, and not for ever."""
        assert self._transport is not None  # noqa: S101 - it was made, or there is no timer
        if self.is_busy:
            self._handler.close()
            self._later(_LAST_ANSWER_SECONDS, self._transport.abort)
        else:
            self._transport.close()

    def _later(self, seconds: float, end: Callable[[], None]) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, end)


@web.middleware
async def _noted(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Have the connection of a request known to be busy with it."""
    open_connections = request.app[_CONNECTIONS]
    connection = open_connections.by_handler.get(request.protocol)
    if connection is None:
        return await handler(request)
    connection.is_busy = True
    try:
        return await handler(request)
    finally:
        connection.is_busy = False


_CONNECTIONS = web.AppKey("connections", _Open)


@asynccontextmanager
async def serving_bounded(
    application: web.Application,
    sock: socket.socket,
    context: Callable[[], ssl.SSLContext],
    limits: ServerLimits = DEFAULT_SERVER_LIMITS,
    proxies: Addresses | None = None,
) -> AsyncIterator[None]:
    """Serve ``application`` on ``sock`` while the body runs.

    Args:
        application: What is served.
        sock: Listens; closed at the end.
        context: Asked at each handshake, so that a renewed certificate is shown at once.
        limits: Of connections.
        proxies: Load balancers that alone may connect, each time with a PROXY header; None where
            clients connect themselves.
    """
    open_connections = _Open(limits)
    application[_CONNECTIONS] = open_connections
    application.middlewares.insert(0, _noted)
    runner = web.AppRunner(
        application,
        access_log=None,
        keepalive_timeout=limits.idle.total_seconds(),
        shutdown_timeout=_CLOSING_SECONDS,
    )
    await runner.setup()
    make = runner.server
    assert make is not None  # noqa: S101 - set up

    def protocol(peer: PeerName | None = None) -> asyncio.Protocol:
        return _Bounded(make(), open_connections, peer)

    taking = (
        _taking(sock, context, limits, protocol)
        if proxies is None
        else _taking_proxied(sock, context, limits, protocol, proxies)
    )
    try:
        async with taking:
            yield
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _taking(
    sock: socket.socket,
    context: Callable[[], ssl.SSLContext],
    limits: ServerLimits,
    protocol: Callable[[], asyncio.Protocol],
) -> AsyncIterator[None]:
    """Take connections of clients themselves while the body runs."""
    server = await asyncio.get_running_loop().create_server(
        protocol,
        sock=sock,
        ssl=_renewing(context),
        ssl_handshake_timeout=limits.handshake.total_seconds(),
        ssl_shutdown_timeout=_CLOSING_SECONDS,
        backlog=_BACKLOG,
    )
    try:
        yield
    finally:
        server.close()


@asynccontextmanager
async def _taking_proxied(
    sock: socket.socket,
    context: Callable[[], ssl.SSLContext],
    limits: ServerLimits,
    protocol: Callable[[PeerName], asyncio.Protocol],
    proxies: Addresses,
) -> AsyncIterator[None]:
    """Take connections of load balancers alone while the body runs."""
    shake = Shake(
        context=_renewing(context),
        seconds=limits.handshake.total_seconds(),
        closing_seconds=_CLOSING_SECONDS,
    )
    connections = ProxiedConnections(
        sock=sock, proxies=proxies, shake=shake, protocol=protocol, most=limits.connections
    )
    async with asyncio.TaskGroup() as group:
        accepting = group.create_task(connections.run())
        try:
            yield
        finally:
            accepting.cancel()
            sock.close()


def _renewing(present: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """Return a context that has each handshake go on with the one that is in force."""
    context = present()

    def choose(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        now = present()
        if connection.context is not now:
            connection.context = now

    context.sni_callback = choose
    return context
