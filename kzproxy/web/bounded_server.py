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
from datetime import timedelta
from typing import cast

import msgspec
from aiohttp import web
from aiohttp.http import HttpProcessingError

from kzproxy.policy.network import Addresses
from kzproxy.transport.alongside import alongside
from kzproxy.web.client_connections import ClientConnections, NamedTransport, Proxies, Shake
from kzproxy.web.connection_shares import ConnectionShares, PeerName, Place
from kzproxy.web.sign_in_pages import EVERY_ANSWER

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 2000
MAX_CONNECTIONS_PER_ADDRESS = 200
HANDSHAKE_SECONDS = 10
IDLE_SECONDS = 30
LIFE_SECONDS = 60

_CLOSING_SECONDS = 5.0
_LAST_ANSWER_SECONDS = 60.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ServerLimits(msgspec.Struct, frozen=True, kw_only=True):
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
    """The connections of one server that have shaken hands, by aiohttp's handler of each."""

    def __init__(self, limits: ServerLimits) -> None:
        self.limits = limits
        self.places: dict[object, Place] = {}


class _Handler(web.RequestHandler):
    """aiohttp's own, but any stranger can send what is no request: that is no error of ours."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what nobody else answers; a bug is in the log with its traceback."""
        if not isinstance(exc, HttpProcessingError):
            return super().handle_error(request, status, exc, message)
        # Nothing of its message, which shows what was sent: that may be a credential.
        log.info("%s sent what is no request: %s", request.remote, type(exc).__name__)
        response = web.Response(
            status=status, text="the request cannot be read\n", headers=EVERY_ANSWER
        )
        response.force_close()
        return response


class _Bounded(asyncio.Protocol):
    """Stands before aiohttp's handler until TLS has shaken hands, and ends it in time."""

    def __init__(self, handler: web.RequestHandler, open_: _Open, place: Place) -> None:
        self._handler = handler
        self._open = open_
        self._place = place
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a stream's always is
        # Only TLS 1.2 by session id is; it would bring back a certificate unverified.
        is_resumed = transport.get_extra_info("ssl_object").session_reused
        if is_resumed or not self._place.hand_over(transport.abort):
            transport.abort()
            return
        self._transport = transport
        self._open.places[self._handler] = self._place
        self._later(self._open.limits.life.total_seconds(), self._end)
        self._handler.connection_made(_named(transport, self._place.peer))

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._transport is None:
            return
        self._place.leave()
        self._open.places.pop(self._handler, None)
        if self._timer is not None:
            self._timer.cancel()
        self._handler.connection_lost(exc)

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
        if self._place.is_busy:
            self._handler.close()
            self._later(_LAST_ANSWER_SECONDS, self._transport.abort)
        else:
            self._transport.close()

    def _later(self, seconds: float, end: Callable[[], None]) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, end)


def _named(transport: asyncio.BaseTransport, peer: PeerName) -> asyncio.BaseTransport:
    """Return a transport that says whose it is, also where that is not the socket's peer."""
    name = transport.get_extra_info("peername")  # None where the client has gone already.
    if name is not None and name[:2] == peer:
        return transport
    return cast(asyncio.BaseTransport, NamedTransport(transport, peer))


@web.middleware
async def _noted(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Have the connection of a request known to be busy with it."""
    place = request.app[_CONNECTIONS].places.get(request.protocol)
    if place is None:
        return await handler(request)
    place.is_busy = True
    try:
        return await handler(request)
    finally:
        place.is_busy = False


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
        context: Asked at each handshake, so that what is renewed of it holds at once.
        limits: Of connections.
        proxies: Load balancers that alone may connect, each time with a PROXY header; None where
            clients connect themselves.
    """
    open_connections = _Open(limits)
    application[_CONNECTIONS] = open_connections
    application.middlewares.insert(0, _noted)
    runner = web.AppRunner(application, shutdown_timeout=_CLOSING_SECONDS)
    await runner.setup()
    server = runner.server
    assert server is not None  # noqa: S101 - set up

    def handler() -> web.RequestHandler:
        return _Handler(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # None is for none
            auto_decompress=False,  # or a stranger's kilobyte is a megabyte's work
            keepalive_timeout=limits.idle.total_seconds(),
        )

    connections = ClientConnections(
        sock=sock,
        shares=ConnectionShares(
            most=limits.connections, most_of_address=limits.connections_per_address
        ),
        shake=Shake(
            context=context,
            seconds=limits.handshake.total_seconds(),
            closing_seconds=_CLOSING_SECONDS,
        ),
        protocol=lambda place: _Bounded(handler(), open_connections, place),
        proxies=None if proxies is None else Proxies(addresses=proxies, most=limits.connections),
    )
    try:
        async with alongside(connections.run()):
            yield
    finally:
        sock.close()
        await runner.cleanup()
