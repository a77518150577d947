"""The API listener: accepts, shakes hands and gives each connection a task of its own."""

import asyncio
import errno
import logging
import math
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from kzproxy.attributes.shared import Shared
from kzproxy.http.request_head_memo import RequestHeadMemo
from kzproxy.metrics.registry import Metrics
from kzproxy.transport.broken import StreamBroken
from kzproxy.transport.client_connection import ClientConnection, Service
from kzproxy.transport.connection_limits import Excess, OpenConnections
from kzproxy.transport.deadlines import Deadlines
from kzproxy.transport.keepalive import keep_probing
from kzproxy.transport.peer import Peer, peer_address
from kzproxy.transport.proxy_protocol import ProxyHeaderInvalid, read_origin
from kzproxy.transport.rare_warnings import RareWarnings
from kzproxy.transport.resetting import reset
from kzproxy.transport.tls import verified_chain
from kzproxy.transport.tls_stream import TlsStream

log = logging.getLogger(__name__)

OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
"""What a system call lacks under load, which is no bug: to try again at once would only spin."""

_BACKLOG = 1024
_MAX_SHARED_CHAINS = 1024
_ACCEPTS_A_TURN = 64
_REST_SECONDS = 0.1
_EXCESS_WORDS = {
    Excess.TOTAL: "total limit is used up",
    Excess.ADDRESS: "address limit is used up",
    Excess.UNLISTED: "it is not in listen.clientAddress.proxyProtocol.from",
}


def listening_socket(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Bind and listen; ``shared`` with other processes, each of which gets some connections.

    Raises:
        OSError: The address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shared))
        sock.bind((host, port))
        sock.listen(_BACKLOG)
        sock.setblocking(False)  # noqa: FBT003 - the socket's own signature
    except OSError:
        sock.close()
        raise
    return sock


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
        # Connections inherit these from the socket that accepts them (Linux clones its own).
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        keep_probing(sock)
        self._sock = sock
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

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, port = self._sock.getsockname()[:2]
        return host, port

    async def run(self) -> None:
        """Serve until cancelled, or until ``stop_accepting`` and the last connection has ended."""
        async with asyncio.TaskGroup() as group:
            if not self._stopped:
                self._loop.add_reader(self._sock, self._accept)
            try:
                while (accepted := await self._accepted.get()) is not None:
                    self._tasks.add(group.create_task(self._serve(accepted)))
            finally:
                self._close()

    def stop_accepting(self) -> None:
        """Close the socket and end idle connections; those in use end after their request.

        Those that the kernel has taken already are served: closing the socket would reset them.
        """
        self._stopped = True
        while self._sock.fileno() >= 0 and self._accept():
            pass
        self._close()
        self._accepted.put_nowait(None)
        for connection in list(self._connections):
            connection.drain()

    def cut_short(self) -> None:
        """Have every connection end now; what is being served is told so first."""
        for task in self._tasks:
            task.cancel()

    def _close(self) -> None:
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock)
            self._sock.close()

    def _accept(self) -> bool:
        """Take what has connected, so much at a time; return whether there may be more."""
        for _ in range(_ACCEPTS_A_TURN):
            try:
                sock, name = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return False
            except OSError as error:
                if error.errno not in OUT_OF_RESOURCES:
                    raise
                self._rest(error)
                return False
            self._take(sock, name[0], name[1])
        return True

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

    def _rest(self, error: OSError) -> None:
        name = errno.errorcode.get(error.errno or 0, "?")
        self._warnings.warn("cannot accept: %s; resting", name)
        self._metrics.accept_failures.inc()
        self._loop.remove_reader(self._sock)
        self._loop.call_later(_REST_SECONDS, self._accept_again)

    def _accept_again(self) -> None:
        if self._sock.fileno() >= 0:
            self._loop.add_reader(self._sock, self._accept)

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
