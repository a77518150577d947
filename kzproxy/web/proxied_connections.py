"""Connections of listed load balancers, each of which says before TLS whom it is for."""

import asyncio
import contextlib
import logging
import socket
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kzproxy.policy.network import Addresses
from kzproxy.transport.peer import peer_address
from kzproxy.transport.proxy_protocol import ProxyHeaderInvalid, read_origin

log = logging.getLogger(__name__)

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_REST_SECONDS = 0.1

PeerName = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shake:
    """How TLS begins on a connection.

    Attributes:
        context: Of this side.
        seconds: For header and handshake, each.
        closing_seconds: For the goodbye.
    """

    context: ssl.SSLContext
    seconds: float
    closing_seconds: float


class ProxiedConnections:
    """Accepts, reads headers and hands over, until cancelled.

    Args:
        sock: Listens; non-blocking.
        proxies: Who alone may connect.
        shake: How TLS begins.
        protocol: Makes what a client of such an address is served by.
        most: How many may be on their way to it at a time.
    """

    def __init__(
        self,
        *,
        sock: socket.socket,
        proxies: Addresses,
        shake: Shake,
        protocol: Callable[[PeerName], asyncio.Protocol],
        most: int,
    ) -> None:
        self._sock = sock
        self._proxies = proxies
        self._shake = shake
        self._protocol = protocol
        self._most = most
        self._coming = 0
        self._loop = asyncio.get_running_loop()

    async def run(self) -> None:
        """Accept until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    sock, name = await self._loop.sock_accept(self._sock)
                except OSError as error:
                    log.warning("cannot accept: %s; resting", error)
                    await asyncio.sleep(_REST_SECONDS)
                    continue
                if self._coming >= self._most or not self._proxies.hold(peer_address(name[0])):
                    _reset(sock)
                    continue
                self._coming += 1
                group.create_task(self._begin(sock, (name[0], name[1])))

    async def _begin(self, sock: socket.socket, proxy: PeerName) -> None:
        try:
            await self._hand_over(sock, proxy)
        except (ProxyHeaderInvalid, OSError, TimeoutError) as error:
            log.info("%s sent: %s", proxy[0], str(error) or "no PROXY header in time")
            _reset(sock)
        except Exception:
            # One client's must not end all others'.
            log.exception("bug on a connection of %s; it is closed", proxy[0])
            _reset(sock)
        finally:
            self._coming -= 1

    async def _hand_over(self, sock: socket.socket, proxy: PeerName) -> None:
        async with asyncio.timeout(self._shake.seconds):
            origin = await read_origin(sock, self._loop)
        client = proxy if origin is None else (str(origin.address), origin.port)
        await self._loop.connect_accepted_socket(
            lambda: self._protocol(client),
            sock,
            ssl=self._shake.context,
            ssl_handshake_timeout=self._shake.seconds,
            ssl_shutdown_timeout=self._shake.closing_seconds,
        )


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


def _reset(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    sock.close()
