"""Connections of clients, from accept until TLS has shaken hands; each is counted before it does.

A handshake takes 300 KiB, and who begins one need not be able to end it. Where load balancers stand
in front, they alone may connect, and each says before TLS whom it is for.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Any

import msgspec

from kzproxy.policy.network import Addresses
from kzproxy.transport.peer import peer_address
from kzproxy.transport.proxy_protocol import ProxyHeaderInvalid, read_origin
from kzproxy.transport.resetting import reset
from kzproxy.web.connection_shares import ConnectionShares, PeerName, Place

log = logging.getLogger(__name__)

_REST_SECONDS = 0.1


class Shake(msgspec.Struct, frozen=True, kw_only=True):
    """How TLS begins on a connection.

    Attributes:
        context: Of this side; asked before each handshake: in the middle of one, certificates can
            still be exchanged for others, and the least version cannot.
        seconds: For header and handshake, each.
        closing_seconds: For the goodbye.
    """

    context: Callable[[], ssl.SSLContext]
    seconds: float
    closing_seconds: float


class Proxies(msgspec.Struct, frozen=True, kw_only=True):
    """Who stands in front.

    Attributes:
        addresses: Of those that alone may connect.
        most: How many of their connections may have said of no client yet that they are its.
    """

    addresses: Addresses
    most: int


class ClientConnections:
    """Accepts, counts, shakes hands and hands over, until cancelled.

    Args:
        sock: Listens; non-blocking.
        shares: How many are taken, and whose.
        shake: How TLS begins.
        protocol: Makes what a client is served by; it has the place from ``connection_made`` on.
        proxies: Those in front, each of whose connections begins with a PROXY header; None where
            clients connect themselves.
    """

    def __init__(
        self,
        *,
        sock: socket.socket,
        shares: ConnectionShares,
        shake: Shake,
        protocol: Callable[[Place], asyncio.Protocol],
        proxies: Proxies | None,
    ) -> None:
        self._sock = sock
        self._shares = shares
        self._shake = shake
        self._protocol = protocol
        self._proxies = proxies
        self._unnamed = 0
        self._loop = asyncio.get_running_loop()

    async def run(self) -> None:
        """Accept until cancelled; handshakes end then too."""
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    sock, name = await self._loop.sock_accept(self._sock)
                except OSError as error:
                    log.warning("cannot accept: %s; resting", error)
                    await asyncio.sleep(_REST_SECONDS)
                    continue
                group.create_task(self._begin(sock, (name[0], name[1])))
                # It is counted before the next one is taken, and a flood leaves others their turn.
                await asyncio.sleep(0)

    async def _begin(self, sock: socket.socket, peer: PeerName) -> None:
        try:
            place = await self._placed(sock, peer)
            if place is not None:
                await self._shake_hands(sock, place)
        except Exception:
            # One client's must not end all others'.
            log.exception("bug on a connection of %s; it is closed", peer[0])
            sock.close()

    async def _placed(self, sock: socket.socket, peer: PeerName) -> Place | None:
        """Return the place of a connection; None where it has none, and is closed."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - this runs in one
        place = None
        try:
            client = await self._client(sock, peer)
            if client is not None:
                place = Place.of(self._shares, client, hang_up=task.cancel)
        except (ProxyHeaderInvalid, OSError, TimeoutError) as error:
            log.info("%s sent: %s", peer[0], str(error) or "no PROXY header in time")
        finally:
            if place is None:
                reset(sock)
        return place

    async def _client(self, sock: socket.socket, peer: PeerName) -> PeerName | None:
        """Return whom a connection is for; None where it is not to be taken.

        Raises:
            ProxyHeaderInvalid: It does not say so.
            OSError: It has broken.
            TimeoutError: It says nothing.
        """
        proxies = self._proxies
        if proxies is None:
            return peer
        if self._unnamed >= proxies.most or not proxies.addresses.hold(peer_address(peer[0])):
            return None
        self._unnamed += 1
        try:
            async with asyncio.timeout(self._shake.seconds):
                origin = await read_origin(sock, self._loop)
        finally:
            self._unnamed -= 1
        return peer if origin is None else (str(origin.address), origin.port)

    async def _shake_hands(self, sock: socket.socket, place: Place) -> None:
        """Begin TLS; asyncio closes the socket whatever becomes of that."""
        try:
            await self._loop.connect_accepted_socket(
                lambda: self._protocol(place),
                sock,
                ssl=self._shake.context(),
                ssl_handshake_timeout=self._shake.seconds,
                ssl_shutdown_timeout=self._shake.closing_seconds,
            )
        except OSError as error:
            log.info("handshake with %s failed: %s", place.peer[0], error)
        finally:
            if not place.is_handed_over:
                place.leave()


class NamedTransport:
    """A transport whose peer is the client that a load balancer named."""

    def __init__(self, transport: asyncio.BaseTransport, peer: PeerName) -> None:
        self._transport = transport
        self._peer = peer

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Answer as the transport does, but of the peer."""
        return self._peer if name == "peername" else self._transport.get_extra_info(name, default)

    def __getattr__(self, name: str) -> Any:
        """Leave all else to the transport."""
        return getattr(self._transport, name)
