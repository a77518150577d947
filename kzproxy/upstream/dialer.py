"""Connect to kube-apiserver: to the first of its addresses that answers and is what it must be.

A cluster with several API servers has several endpoints, and a name has several addresses. They
are tried one after the other, each a moment after the one before it (RFC 8305), so that one that
is lost without a word costs a quarter of a second and not the whole time-out. The endpoint that
served last is asked first.
"""

import asyncio
import logging
import socket

from aiohappyeyeballs import AddrInfoType, start_connection

from kzproxy.errors.anew import anew
from kzproxy.transport.alongside import alongside
from kzproxy.transport.broken import StreamBroken
from kzproxy.transport.keepalive import keep_probing
from kzproxy.transport.resolving import SharedLookups
from kzproxy.transport.tls_client import NEXT_ATTEMPT_SECONDS, client_stream
from kzproxy.transport.tls_stream import TlsStream
from kzproxy.upstream.account import Account, Endpoint
from kzproxy.upstream.lookups import Address, Lookups

# For one that accepts the connection and says nothing, where there are others.
_HANDSHAKE_SECONDS = 2.0

log = logging.getLogger(__name__)


class Dialer:
    """Makes connections to the API servers of one cluster."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._preferred = account.settings.endpoints[0]
        self._lookups = SharedLookups()

    async def connect(self) -> TlsStream:
        """Return a connection after its handshake; the caller bounds the time.

        Raises:
            OSError: No endpoint can be reached.
            StreamBroken: The last one that can be reached does not speak TLS as it must.
        """
        endpoints = sorted(
            self._account.settings.endpoints, key=lambda each: each != self._preferred
        )
        lookups = Lookups(endpoints, self._lookups)
        async with alongside(*lookups.works()):
            return await self._first_to_serve(lookups)

    async def _first_to_serve(self, lookups: Lookups) -> TlsStream:
        failure: OSError | StreamBroken | None = None
        while addresses := await lookups.further():
            try:
                return await self._one_of(addresses, lookups)
            except (OSError, StreamBroken) as error:
                failure = anew(error)
        raise anew(failure or lookups.failure)

    async def _one_of(self, addresses: list[Address], lookups: Lookups) -> TlsStream:
        while True:
            sock, (endpoint, reached) = await _first_to_connect(addresses)
            others = [(of, address) for of, address in addresses if address[4] != reached[4]]
            is_last = not others and lookups.are_done
            try:
                stream = await self._shake_hands(sock, is_last=is_last)
            except (OSError, StreamBroken) as error:
                if not others:
                    raise
                log.warning("kube-apiserver at %s: %s; trying another", reached[4][0], error)
                addresses = others
            else:
                self._prefer(endpoint)
                return stream

    def _prefer(self, endpoint: Endpoint) -> None:
        if endpoint != self._preferred:
            log.warning("kube-apiserver at %s:%d serves from now on", *endpoint)
            self._preferred = endpoint

    async def _shake_hands(self, sock: socket.socket, *, is_last: bool) -> TlsStream:
        stream = self._wrap(sock)
        patience = asyncio.timeout(None if is_last else _HANDSHAKE_SECONDS)
        try:
            async with patience:
                await stream.handshake()
        except TimeoutError as error:
            stream.abort()
            if not patience.expired():  # The caller's time is over, and that is a TimeoutError too.
                raise
            raise StreamBroken("no TLS handshake in time") from error
        except BaseException:
            stream.abort()
            raise
        return stream

    def _wrap(self, sock: socket.socket) -> TlsStream:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        keep_probing(sock)
        return client_stream(sock, self._account.context, self._account.settings.server_name)


async def _first_to_connect(addresses: list[Address]) -> tuple[socket.socket, Address]:
    """Return a connected socket and where it was to go.

    The kernel is not asked for that: what it names may be another address, as where 0.0.0.0 was
    meant, or a Service's address that is translated when it is connected to.
    """
    meant: dict[socket.socket, AddrInfoType] = {}

    def toward(info: AddrInfoType) -> socket.socket:
        sock = socket.socket(*info[:3])
        meant[sock] = info
        return sock

    sock = await start_connection(
        [info for _, info in addresses],
        happy_eyeballs_delay=NEXT_ATTEMPT_SECONDS,
        interleave=0,
        socket_factory=toward,
    )
    return sock, next(each for each in addresses if each[1] is meant[sock])
