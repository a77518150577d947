"""kube-apiserver: connections to it and the sending of requests.

Connections are kept and the one used last is used first, so that few stay busy and the rest can go.
"""

import asyncio
import math
from collections.abc import Callable

from kzproxy.errors.kinds import UpstreamInvalid, UpstreamTimeout, UpstreamUnreachable
from kzproxy.http.body import payload
from kzproxy.http.messages import NoBody, RequestHead, ResponseHead
from kzproxy.metrics.registry import Metrics
from kzproxy.transport.broken import StreamBroken
from kzproxy.transport.deadlines import Deadlines
from kzproxy.transport.tls_stream import TlsStream
from kzproxy.upstream.account import Account
from kzproxy.upstream.answer_memo import Answer, AnswerMemo
from kzproxy.upstream.connection import OUTCOME_UNKNOWN, SAFE_METHODS, UpstreamConnection
from kzproxy.upstream.dialer import Dialer
from kzproxy.upstream.impersonation import Outgoing, own_request
from kzproxy.upstream.timeouts import DEFAULT_UPSTREAM_TIMEOUTS, UpstreamTimeouts

# Fewer than the API server's default for one client, more than a kubectl user ever has idle.
MAX_IDLE_CONNECTIONS = 256
# Below kube-apiserver's idle time-out of 90 s (pkg/server/secure_serving.go), so we close first.
IDLE_SECONDS = 60.0
# Of the small requests that kzproxy makes for itself.
MAX_ANSWER_BYTES = 1024 * 1024

Confirm = Callable[[], None]


def _confirmed() -> None:
    """Object to nothing: a request of kzproxy's own."""


def _unbounded(_: int) -> None:
    """Hold any answer that is within its own bound: one at a time of kzproxy's own."""


class ApiServer:
    """Sends requests to the kube-apiservers of one cluster over pooled connections.

    Attributes:
        timeouts: How long it is waited for.
        authorization: Returns kzproxy's own ``Authorization``; empty where a certificate speaks.
    """

    def __init__(
        self,
        account: Account,
        deadlines: Deadlines,
        metrics: Metrics,
        timeouts: UpstreamTimeouts = DEFAULT_UPSTREAM_TIMEOUTS,
    ) -> None:
        self._account = account
        self._deadlines = deadlines
        self._metrics = metrics
        self.timeouts = timeouts
        self.authorization = account.credential.authorization
        self._dialer = Dialer(account)
        self._answers = AnswerMemo()
        self._idle: list[UpstreamConnection] = []
        self._closed = False

    @property
    def authority(self) -> str:
        """The value of ``Host``."""
        return self._account.settings.authority

    async def begin(self, outgoing: Outgoing, confirm: Confirm = _confirmed) -> UpstreamConnection:
        """Send a head and return the connection that carries the exchange, until ``end``.

        Args:
            outgoing: Its head goes out as it is.
            confirm: Asked right before it goes out, which may be seconds from now: raises where it
                no longer may.

        Raises:
            UpstreamUnreachable: kube-apiserver cannot be reached.
            UpstreamTimeout: It cannot be reached in time.
        """
        connection = self._take_idle()
        if connection is not None:
            try:
                await _send_or_close(connection, outgoing, confirm)
            except StreamBroken:
                pass  # Stale: not one byte of a whole head was read by anybody. Send it anew.
            else:
                return connection
        connection = self._connection(await self._connect())
        try:
            await _send_or_close(connection, outgoing, confirm)
        except StreamBroken as error:
            raise _unreachable(str(error)) from error
        return connection

    def begin_now(self, outgoing: Outgoing) -> UpstreamConnection | None:
        """Do as ``begin`` does where that takes no waiting; else None, and nobody was asked.

        Raises:
            HeadTooLarge: kube-apiserver would not read it.
        """
        connection = self._take_idle()
        if connection is None:
            return None
        try:
            if connection.send_head_now(outgoing):
                return connection
        except StreamBroken:
            pass  # Stale.
        except BaseException:
            connection.stream.close()
            raise
        connection.stream.close()  # A part of a head is no request.
        return None

    def end(self, connection: UpstreamConnection) -> None:
        """Take back the connection of an exchange, however that ended.

        It is kept where it ended cleanly, and closed otherwise: so the connection of a failed
        upgrade or a half-read answer is never used again.
        """
        stream = connection.stream
        # A client that left, or a cut, may have failed the stream after its answer was whole.
        whole = connection.clean and stream.usable
        if self._closed or not whole or len(self._idle) >= MAX_IDLE_CONNECTIONS:
            stream.close()
            return
        self._idle.append(connection)
        stream.watch(lambda: self._drop(connection))
        stream.deadline = self._deadlines.after(IDLE_SECONDS)

    async def ask(
        self, head: RequestHead, body: bytes = b"", *, max_bytes: int = MAX_ANSWER_BYTES
    ) -> tuple[ResponseHead, bytes]:
        """Send a small request of kzproxy's own; return the answer and its body.

        Raises:
            ProxyError: There is no answer, or its body is over ``max_bytes``.
        """
        return await self.gather(own_request(head), body, max_bytes=max_bytes)

    async def gather(
        self,
        outgoing: Outgoing,
        body: bytes = b"",
        *,
        max_bytes: int,
        confirm: Confirm = _confirmed,
        hold: Callable[[int], None] = _unbounded,
    ) -> tuple[ResponseHead, bytes]:
        """Send a request and return the whole of its answer, taken out of its framing.

        Args:
            outgoing: Its head goes out as it is.
            body: What follows it.
            max_bytes: Of the answer's body, framing included.
            confirm: As for ``begin``.
            hold: Told how much of the body will be held with what has come; raises where that
                must not be.

        Raises:
            ProxyError: There is no answer, or its body is over ``max_bytes``.
        """
        connection = await self.begin(outgoing, confirm)
        try:
            if body:
                await connection.send_body(body)
            await connection.send_body(b"")
            seconds = self.timeouts.answer_seconds
            answer = await self.receive_head(connection, outgoing, seconds, confirm)
            received = bytearray(connection.buffered_body())
            hold(len(received))
            while data := await connection.receive_body(seconds):
                if len(received) + len(data) > max_bytes:
                    raise UpstreamInvalid(f"kube-apiserver's answer is over {max_bytes} bytes")
                hold(len(received) + len(data))
                received += data
        except StreamBroken as error:
            raise UpstreamInvalid(f"kube-apiserver: {error}") from error
        finally:
            self.end(connection)
        return answer.head, payload(answer.head.body, received)

    async def receive_head(
        self,
        connection: UpstreamConnection,
        outgoing: Outgoing,
        seconds: float = math.inf,
        confirm: Confirm = _confirmed,
    ) -> Answer:
        """Wait for the answer; a safe request on a stale connection is sent again.

        Args:
            connection: As ``begin`` gave it.
            outgoing: As ``begin`` was given it.
            seconds: How long to wait.
            confirm: As for ``begin``, before it is sent again.

        Raises:
            UpstreamInvalid: There was none, or not one that may be relayed.
            ProxyError: See ``UpstreamConnection.receive_head``.
        """
        try:
            return await connection.receive_head(outgoing.method, seconds)
        except StreamBroken as error:
            if not _may_repeat(connection, outgoing):
                raise _unknown_outcome(outgoing, error) from error
        await self._renew(connection)
        confirm()
        try:
            await connection.send_head(outgoing)
            return await connection.receive_head(outgoing.method, seconds)
        except StreamBroken as error:
            raise _unknown_outcome(outgoing, error) from error

    async def _renew(self, connection: UpstreamConnection) -> None:
        """Put a fresh stream below ``connection``."""
        connection.stream.close()
        connection.stream = await self._connect()
        connection.used = False

    def _connection(self, stream: TlsStream) -> UpstreamConnection:
        return UpstreamConnection(stream, self._deadlines, self.timeouts, self._answers)

    def _take_idle(self) -> UpstreamConnection | None:
        while self._idle:
            connection = self._idle.pop()
            connection.stream.unwatch()
            # What has come meanwhile answers nobody's request: never the next one's, which may be
            # somebody else's (net/http calls it an unsolicited response, and drops it too).
            if connection.stream.at_rest():
                connection.stream.deadline = math.inf
                connection.used = True
                return connection
            connection.stream.close()
        return None

    def _drop(self, connection: UpstreamConnection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)
            connection.stream.close()

    async def _connect(self) -> TlsStream:
        try:
            async with asyncio.timeout(self.timeouts.connect_seconds):
                stream = await self._dialer.connect()
        except TimeoutError as error:
            raise _too_late() from error
        except (OSError, StreamBroken) as error:
            raise _unreachable(str(error)) from error
        self._deadlines.keep(stream)
        self._metrics.upstream_connections.inc()
        return stream

    def close(self) -> None:
        """Close the idle connections, and from now on each that is given back.

        Requests under way go on to their end.
        """
        self._closed = True
        while self._idle:
            self._idle.pop().stream.close()


async def _send_or_close(
    connection: UpstreamConnection, outgoing: Outgoing, confirm: Confirm
) -> None:
    try:
        confirm()
        await connection.send_head(outgoing)
    except BaseException:
        connection.stream.close()
        raise


def _may_repeat(connection: UpstreamConnection, outgoing: Outgoing) -> bool:
    """Whether sending again cannot do anything twice."""
    return (
        connection.used
        and not connection.answered
        and outgoing.method in SAFE_METHODS
        and isinstance(outgoing.body, NoBody)
        and not outgoing.upgrade
    )


def _unreachable(why: str) -> UpstreamUnreachable:
    return UpstreamUnreachable(
        "kzproxy cannot reach kube-apiserver; nothing was done",
        detail=why,
        retry_after_seconds=1,
    )


def _too_late() -> UpstreamTimeout:
    return UpstreamTimeout(
        "kzproxy could not connect to kube-apiserver in time; nothing was done",
        retry_after_seconds=1,
    )


def _unknown_outcome(outgoing: Outgoing, error: StreamBroken) -> UpstreamInvalid:
    if outgoing.method in SAFE_METHODS:
        return UpstreamInvalid("kube-apiserver closed the connection", detail=str(error))
    # No Retry-After: client-go would repeat a write that may have been done.
    return UpstreamInvalid(
        f"kube-apiserver closed the connection before answering: {OUTCOME_UNKNOWN}",
        detail=str(error),
    )
