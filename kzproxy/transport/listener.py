"""The API listener: accepts, shakes hands and gives each connection a task of its own."""

import asyncio
import logging
import math
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from kzproxy.attributes.shared import Shared
from kzproxy.http.request_head_memo import RequestHeadMemo
from kzproxy.metrics.registry import Metrics
from kzproxy.transport.accepting import Accepting
from kzproxy.transport.broken import StreamBroken
from kzproxy.transport.client_connection import ClientConnection, Service
from kzproxy.transport.connection_limits import Excess, OpenConnections
from kzproxy.transport.deadlines import Deadlines
from kzproxy.transport.peer import Peer, peer_address
from kzproxy.transport.proxy_protocol import ProxyHeaderInvalid, read_origin
from kzproxy.transport.rare_warnings import RareWarnings
from kzproxy.transport.resetting import reset
from kzproxy.transport.tls import verified_chain
from kzproxy.transport.tls_stream import TlsStream

log = logging.getLogger(__name__)

_MAX_SHARED_CHAINS = 1024
_EXCESS_WORDS = {
    Excess.TOTAL: "total limit is used up",
    Excess.ADDRESS: "address limit is used up",
    Excess.UNLISTED: "it is not in listen.clientAddress.proxyProtocol.from",
}


@dataclass(slots=True, kw_only=True)
class _Accepted:
    """A connection from accept to close.

    Attributes:
        host: The client's address.
        port: The client's.
        via: The socket's peer, once it is known to be another than the client; else empty.
        counted: The address that it is counted under; empty while that is not known.
        has_header: Whether a PROXY header comes first.
    """

    sock: socket.socket
    host: str
    port: int
    via: str = ""
    counted: str
    has_header: bool


class Listener:
    """Accepts connections for as long as ``run`` runs.

    Args:
        sock: Bound and listening; closed by ``stop_accepting``.
        context: Called for each connection, so that a renewed certificate is used from then on.
        service: Answers the requests.
        connections: How many are taken and from whom, and how long one may keep us waiting.
    """

    def __init__(
        self,
        *,
        sock: socket.socket,
        context: Callable[[], ssl.SSLContext],
        service: Service,
        deadlines: Deadlines,
        metrics: Metrics,
        connections: OpenConnections,
    ) -> None:
        self._context = context
        self._service = service
        self._deadlines = deadlines
        self._heads = RequestHeadMemo()
        # A client's connections show the same one, a KiB or two of it.
        self._chains = Shared[tuple[bytes, ...]](max_values=_MAX_SHARED_CHAINS)
        self._metrics = metrics
        self._limits = connections.limits
        self._open = connections
        self._connections: set[ClientConnection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        # None after the last.
        self._accepted: asyncio.Queue[_Accepted | None] = asyncio.Queue()
        self._stopped = False
        self._loop = asyncio.get_running_loop()
        self._warnings = RareWarnings(log, self._loop.time)
        self._accepting = Accepting(sock, self._take, metrics, self._loop, connections.dealing)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return self._accepting.address

    async def run(self) -> None:
        """Serve until cancelled, or until ``stop_accepting`` and the last connection has ended."""
        async with asyncio.TaskGroup() as group:
            if not self._stopped:
                self._accepting.begin()
            try:
                while (accepted := await self._accepted.get()) is not None:
                    self._tasks.add(group.create_task(self._serve(accepted)))
            finally:
                self._accepting.close()

    def stop_accepting(self) -> None:
        """Close the socket and end idle connections; those in use end after their request.

        Those that the kernel has taken already are served: closing the socket would reset them.
        """
        self._stopped = True
        self._accepting.end()
        self._accepted.put_nowait(None)
        for connection in list(self._connections):
            connection.drain()

    def cut_short(self) -> None:
        """Have every connection end now; what is being served is told so first."""
        for task in self._tasks:
            task.cancel()

    def _take(self, sock: socket.socket, host: str, port: int) -> None:
        proxies = self._open.proxies()
        counted = host if proxies is None else ""
        if proxies is not None and not proxies.hold(peer_address(host)):
            self._turn_away(sock, host, Excess.UNLISTED)
        elif (excess := self._open.admit(counted)) is not None:
            self._turn_away(sock, host, excess)
        else:
            has_header = proxies is not None
            self._accepted.put_nowait(
                _Accepted(sock=sock, host=host, port=port, counted=counted, has_header=has_header)
            )

    def _turn_away(self, sock: socket.socket, host: str, excess: Excess) -> None:
        """Reset a connection that is one too many: nothing is spent on it, and its client knows."""
        self._metrics.refused_connections.labels(excess.value).inc()
        reset(sock)
        self._warnings.warn("connection of %s turned away: %s", host, _EXCESS_WORDS[excess])

    async def _serve(self, accepted: _Accepted) -> None:
        connection: ClientConnection | None = None
        try:
            connection = await self._connected(accepted)
            if connection is not None:
                self._take_in(connection)
                await connection.serve()
        except Exception:
            # The last resort: a bug met while serving one client must not end all the others.
            log.exception("bug on the connection of %s; it is closed", accepted.host)
            accepted.sock.close()
        finally:
            # Not by a callback of the task: that would weigh as much as the connection's stream.
            self._tasks.discard(asyncio.current_task())
            self._open.release(accepted.counted)
            if connection is not None:
                self._connections.discard(connection)
                self._metrics.connections.value -= 1

    async def _connected(self, accepted: _Accepted) -> ClientConnection | None:
        """Do all that comes before the first request; None where it comes to nothing."""
        # One deadline for all of it.
        deadline = self._deadlines.after(self._limits.handshake_seconds)
        if accepted.has_header and not await self._learn_client(accepted):
            return None
        try:
            stream = self._stream(accepted.sock)
            accepted.sock = stream.tls
        except OSError as error:  # The client has gone between accept and here.
            log.info("connection from %s lost: %s", accepted.host, error)
            accepted.sock.close()
            return None
        try:
            peer = await self._shake_hands(stream, accepted, deadline)
        except (StreamBroken, TimeoutError) as error:
            self._metrics.handshake_failures.inc()
            log.info("handshake with %s failed: %s", accepted.host, error)
            await _hang_up(stream, error)
            return None
        except asyncio.CancelledError:
            log.info("%s was still shaking hands when kzproxy stopped", accepted.host)
            stream.close()
            raise
        except BaseException:
            stream.abort()
            raise
        return ClientConnection(
            stream=stream,
            peer=peer,
            deadlines=self._deadlines,
            heads=self._heads,
            service=self._service,
            limits=self._limits,
        )

    async def _learn_client(self, accepted: _Accepted) -> bool:
        """Read the PROXY header; where that does not serve, close and return false."""
        sock, proxy = accepted.sock, accepted.host
        try:
            sock.setblocking(False)  # noqa: FBT003 - the socket's own signature
            async with asyncio.timeout(self._limits.handshake_seconds):
                origin = await read_origin(sock, self._loop)
        except (ProxyHeaderInvalid, OSError, TimeoutError) as error:
            self._metrics.handshake_failures.inc()
            log.info("%s sent: %s", proxy, str(error) or "no PROXY header in time")
            reset(sock)
            return False
        except BaseException:
            sock.close()
            raise
        if origin is not None:
            accepted.via, accepted.host, accepted.port = proxy, str(origin.address), origin.port
        excess = self._open.attribute(accepted.host)
        if excess is not None:
            self._turn_away(sock, accepted.host, excess)
            return False
        accepted.counted = accepted.host
        return True

    def _take_in(self, connection: ClientConnection) -> None:
        self._connections.add(connection)
        self._metrics.connections.value += 1
        if self._stopped:  # while it shook hands
            connection.drain()

    def _stream(self, sock: socket.socket) -> TlsStream:
        sock.setblocking(False)  # noqa: FBT003 - the socket's own signature
        tls = self._context().wrap_socket(
            sock, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=False
        )
        return TlsStream(tls, self._loop)

    async def _shake_hands(self, stream: TlsStream, accepted: _Accepted, deadline: float) -> Peer:
        self._deadlines.keep(stream)
        stream.deadline = deadline
        await stream.handshake()
        stream.deadline = math.inf
        if stream.tls.session_reused:
            # Only TLS 1.2 by session id gets here; it would bring back a certificate unverified.
            raise StreamBroken("session resumption is refused")
        return Peer(
            address=peer_address(accepted.host),
            port=accepted.port,
            certificates=self._chains.one(verified_chain(stream.tls)),
            via=peer_address(accepted.via) if accepted.via else None,
        )


async def _hang_up(stream: TlsStream, error: Exception) -> None:
    if isinstance(error, TimeoutError):
        stream.abort()
        return
    # OpenSSL has sent an alert. A client of TLS 1.3 whose certificate is refused has sent its
    # request by then: a close would reset the connection, and destroy the alert.
    await stream.linger()
