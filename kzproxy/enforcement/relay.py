"""Carry one permitted request to kube-apiserver and the answer back, until the end or a cut.

A request without a body needs no second task. One with a body has it sent beside the answer, since
kube-apiserver may answer before it has read all (413). After a 101 both directions are relayed, and
the end of either is the end of both, as in apimachinery's pkg/util/proxy/upgradeaware.go.
"""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

from kzproxy.administrator.lease import Bounds, EndCause, Ending
from kzproxy.attributes.request_info import RequestInfo, StreamKind
from kzproxy.audit.schema import Termination
from kzproxy.enforcement.account_refusal import check_refusal
from kzproxy.enforcement.case import Case
from kzproxy.enforcement.idle import WatchedCut
from kzproxy.enforcement.namespace_sieve import WatchSieve
from kzproxy.enforcement.patience import patience
from kzproxy.enforcement.unrepeatable import may_have_been_done, unrepeatable
from kzproxy.errors.anew import anew
from kzproxy.errors.kinds import (
    DownstreamClosed,
    ProxyError,
    UpstreamInvalid,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from kzproxy.errors.status import status_body
from kzproxy.http.body import payload
from kzproxy.http.chunks import LAST_CHUNK, ChunkScanner
from kzproxy.http.cut import StreamCut, stream_cut
from kzproxy.http.messages import NoBody, ResponseHead
from kzproxy.http.watch_cut import WatchCut
from kzproxy.metrics.registry import Metrics
from kzproxy.transport.alongside import alongside
from kzproxy.transport.broken import OtherSideBroken, StreamBroken, hand_on, handed_over, passing_on
from kzproxy.transport.exchange import Exchange
from kzproxy.transport.tls_receiving import Take
from kzproxy.upstream.answer import check_answer, may_name_account
from kzproxy.upstream.answer_memo import Answer
from kzproxy.upstream.api_server import ApiServer
from kzproxy.upstream.connection import UpstreamConnection
from kzproxy.upstream.impersonation import Outgoing

_SWITCHING_PROTOCOLS = 101
_OK = 200
# How long a client may take to hear why it is cut, before it is cut all the same.
FAREWELL_SECONDS = 0.25
# How long what kube-apiserver said last is read, once it takes nothing of a tunnel any more.
_LAST_WORDS_SECONDS = 1.0
# A Status is a few hundred bytes; a 403 longer than this is not kube-apiserver's.
_MAX_REFUSAL_BYTES = 64 * 1024


class _Cut(Exception):
    """The lease has ended."""


class _OtherSideEnded(Exception):
    """One direction of a tunnel came to its end."""


class Relay:
    """One exchange with kube-apiserver.

    Args:
        account: kzproxy's own name there: a 403 to it is kzproxy's fault, not the user's.
    """

    __slots__ = (
        "_account",
        "_api_server",
        "_begun",
        "_bounds",
        "_case",
        "_ending",
        "_error",
        "_exchange",
        "_has_client_gone",
        "_has_gone_out",
        "_info",
        "_is_truncated",
        "_metrics",
        "_outgoing",
        "_patience",
        "_sieve",
        "_stream_cut",
        "_upstream",
        "_warning",
    )

    _outgoing: Outgoing

    def __init__(
        self,
        *,
        exchange: Exchange,
        info: RequestInfo,
        case: Case,
        api_server: ApiServer,
        account: str,
        metrics: Metrics,
    ) -> None:
        self._exchange = exchange
        self._info = info
        self._case = case
        self._api_server = api_server
        self._account = account
        self._metrics = metrics
        self._patience = patience(info, api_server.timeouts)
        self._ending: Ending | None = None
        self._has_client_gone = False
        self._has_gone_out = False
        self._is_truncated = False
        self._upstream: UpstreamConnection | None = None
        self._begun: UpstreamConnection | None = None
        self._error: BaseException | None = None
        self._stream_cut: StreamCut | None = None
        self._bounds: Bounds | None = None
        self._sieve: WatchSieve | None = None
        self._warning = ""

    def sieve_with(self, sieve: WatchSieve) -> None:
        """Show the client, of an answer with 200, only what the sieve lets through."""
        self._sieve = sieve

    def warn(self, text: str) -> None:
        """Have the user told beside the answer; empty for nothing."""
        self._warning = text

    def hold_to(self, bounds: Bounds) -> None:
        """Tell ``bounds`` of what moves, where they ask for that."""
        self._bounds = bounds

    def run(
        self,
        outgoing: Outgoing,
        begun: UpstreamConnection | None = None,
        error: BaseException | None = None,
    ) -> Coroutine[Any, Any, None]:
        """Send ``outgoing`` and relay what comes of it.

        Args:
            outgoing: What is sent.
            begun: Where it has been sent already: what it was sent on.
            error: What has come between since then.

        Raises:
            ProxyError: There is no answer to relay; nothing has been sent to the client.
            DownstreamClosed: The client has gone.
        """
        # Not an argument of what runs: a watch would hold its head for hours, 64 KiB of it where
        # the user has many groups.
        self._outgoing = outgoing
        self._begun, self._error = begun, error
        if self._patience.client_may_lag:
            self._exchange.let_the_client_lag()
        if self._info.stream is StreamKind.NONE:
            return self._carry_or_say_why()
        return self._carry_stream()

    async def _carry_stream(self) -> None:
        with self._metrics.long_running.labels(self._info.stream.value):
            await self._carry_or_say_why()

    async def _carry_or_say_why(self) -> None:
        try:
            connection = self._begun
            if connection is None:
                self._confirm()
                connection = await self._api_server.begin(self._outgoing, self._confirm)
            self._upstream, self._has_gone_out = connection, True
            try:
                await self._carry(connection)
            finally:
                # The connection may soon carry somebody else's request.
                self._exchange.stream.unwatch()
                self._upstream = None
                if self._ending is not None:
                    connection.stream.abort()  # A goodbye in TLS is half of what a cut costs.
                self._api_server.end(connection)
        except OtherSideBroken as error:  # The client's: what is sent up is told where it is sent.
            if self._ending is None:
                raise DownstreamClosed(str(error)) from None
            await self._broken_off(error)
        except (_Cut, StreamBroken) as error:
            await self._broken_off(error)
        except (DownstreamClosed, UpstreamInvalid, UpstreamTimeout, UpstreamUnreachable) as error:
            if self._ending is None:
                raise
            await self._broken_off(error)

    async def _carry(self, connection: UpstreamConnection) -> None:
        self._confirm()
        if self._exchange.started:
            await self._exchange.flush()
        elif isinstance(self._outgoing.body, NoBody):
            self._exchange.stream.watch(self._client_gone)
            await self._answer(connection)
        else:
            async with alongside(self._upload(connection)):
                await self._answer(connection)
        if self._is_truncated:
            raise _Cut

    def cut(self, ending: Ending) -> None:
        """Stop relaying both ways now; ``run`` then says why to the client, and closes hard."""
        if self._ending is not None:
            return
        self._ending = self._case.ending = ending
        self._case.cut_at = asyncio.get_running_loop().time()
        # The abort below must find nothing but this exchange on the connection.
        self._exchange.reusable = False
        self._metrics.stream_cuts.labels(self._info.stream.value, ending.cause.value).inc()
        self._exchange.stream.interrupt(_Cut())
        if self._info.stream is StreamKind.NONE:  # It has no farewell that must find its place.
            self._is_truncated = self._exchange.stream.forget_unsent()
        if self._upstream is not None:
            self._upstream.stream.fail(_Cut())
        if self._upstream is None and not self._exchange.started:
            return  # Connecting: nothing of it can pass any more, and its client is told so then.
        loop = asyncio.get_running_loop()
        loop.call_later(FAREWELL_SECONDS, self._exchange.stream.abort)

    def _confirm(self) -> None:
        """Raise where the request must not be sent any more: connecting takes its time."""
        if self._ending is not None:
            raise _Cut
        if self._has_client_gone:
            raise DownstreamClosed("the client closed the connection")
        if self._error is not None:
            raise handed_over(self._error)

    async def _upload(self, connection: UpstreamConnection) -> None:
        """Send the request's body; what goes wrong is told by ending the answer."""
        exchange = self._exchange
        try:
            while await exchange.receive_body_into(connection.send_body_now):
                await connection.flush_body()
            await connection.send_body(b"")
        except (StreamBroken, TimeoutError):
            return  # kube-apiserver reads no more of it: its answer, or the lack of one, says why.
        except (DownstreamClosed, ProxyError, _Cut) as error:
            connection.stream.fail(anew(error))
            return
        exchange.stream.watch(self._client_gone)

    def _client_gone(self) -> None:
        self._has_client_gone = True
        if self._upstream is not None:
            self._upstream.stream.fail(DownstreamClosed("the client closed the connection"))

    async def _answer(self, connection: UpstreamConnection) -> None:
        seconds = self._patience.head_seconds
        answer = await self._api_server.receive_head(
            connection, self._outgoing, seconds, self._confirm
        )
        check_answer(answer.head, self._info, self._outgoing.upgrade)
        del self._outgoing
        if answer.head.status == _SWITCHING_PROTOCOLS:
            await self._tunnel(connection, answer)
        elif self._info.stream is StreamKind.NONE:
            await self._relay_body(connection, answer)
        else:
            await self._relay_stream(connection, answer)

    async def _relay_body(self, connection: UpstreamConnection, answer: Answer) -> None:
        self._sieve_of(answer.head)  # Only streams are sieved; of another answer, 200 is refused.
        first = connection.buffered_body()
        if may_name_account(answer.head, self._info):
            first = await self._refusal_body(connection, answer.head, first)
        await self._respond(answer, first)
        seconds = self._patience.body_seconds
        while not connection.body_done:
            await connection.gather_body_into(self._exchange.stream.send_now, seconds)
            await self._exchange.flush()

    async def _relay_stream(self, connection: UpstreamConnection, answer: Answer) -> None:
        sieve = self._sieve_of(answer.head)
        chunks = connection.chunks if sieve is None else None
        self._stream_cut = followed = self._followed(answer.head, chunks)
        first = connection.buffered_body()
        if may_name_account(answer.head, self._info):
            first = await self._refusal_body(connection, answer.head, first)
        if sieve is not None:
            first = sieve.feed(first)
        await self._respond(answer, followed.feed(first))
        del first  # A watch would hold its first events for hours.
        take, seconds = self._passing(followed, sieve), self._patience.body_seconds
        while not connection.body_done:
            await connection.receive_body_into(take, seconds)
            await self._exchange.flush()

    def _sieve_of(self, head: ResponseHead) -> WatchSieve | None:
        """Return what the answer has to be sieved with; a refusal is let through as it is."""
        if self._sieve is None or head.status not in (_OK, _SWITCHING_PROTOCOLS):
            return None
        self._sieve.check(head)
        return self._sieve

    def _passing(self, followed: StreamCut, sieve: WatchSieve | None = None) -> Take:
        """Return what sends to the client what comes for it; whether more may come at once."""
        if sieve is None and not followed.must_feed:
            return self._exchange.stream.send_now
        follow, send_now = followed.feed, self._exchange.stream.send_now

        def pass_on(data: bytes) -> bool:
            passed = follow(data if sieve is None else sieve.feed(data))
            return not passed or send_now(passed)

        return pass_on

    async def _refusal_body(
        self, connection: UpstreamConnection, answer: ResponseHead, first: bytes
    ) -> bytes:
        """Gather the Status of a 403, framing and all.

        Raises:
            UpstreamInvalid: It is about kzproxy's account and not the user.
        """
        body = bytearray(first)
        seconds = self._api_server.timeouts.answer_seconds
        while len(body) < _MAX_REFUSAL_BYTES and (more := await connection.receive_body(seconds)):
            body += more
        said = payload(answer.body, body)
        check_refusal(answer, self._info, said, self._account, self._metrics)
        return bytes(body)

    async def _respond(self, answer: Answer, first: bytes) -> None:
        self._case.status_code = answer.head.status
        await self._exchange.relay_head(
            answer.relayed,
            first,
            audit_id=self._case.audit_id,
            upgrade=answer.head.upgrade,
            warning=self._warning,
        )

    def _followed(self, head: ResponseHead, chunks: ChunkScanner | None = None) -> StreamCut:
        kind = self._info.stream
        followed = stream_cut(kind, head, chunks)
        if kind is StreamKind.NONE or self._bounds is None or not self._bounds.may_idle_out:
            return followed
        return WatchedCut(followed, kind, head, self._bounds.moved)

    async def _tunnel(self, connection: UpstreamConnection, answer: Answer) -> None:
        exchange = self._exchange
        exchange.stream.unwatch()
        sieve = self._sieve_of(answer.head)
        self._stream_cut = followed = self._followed(answer.head)
        await self._respond(answer, b"")
        async with alongside(self._tunnel_up(connection, followed)):
            with contextlib.suppress(_OtherSideEnded):
                await self._tunnel_down(connection, self._passing(followed, sieve))

    async def _tunnel_down(self, connection: UpstreamConnection, take: Take) -> None:
        if data := connection.take_rest():
            hand_on(take, data)
        await self._exchange.flush()
        while await connection.stream.receive_into(take):
            await self._exchange.flush()

    async def _tunnel_up(self, connection: UpstreamConnection, followed: StreamCut) -> None:
        """Relay towards kube-apiserver; the end of it ends the other direction too."""
        stream, upstream = self._exchange.stream, connection.stream

        def pass_up(data: bytes) -> bool:
            followed.feed_client(data)
            return upstream.send_now(data)

        try:
            if data := self._exchange.take_rest():
                hand_on(pass_up, data)
            with passing_on():
                await upstream.flush()
            while await stream.receive_into(pass_up):
                with passing_on():
                    await upstream.flush()
        except _Cut:
            return  # It has failed the other direction too; that must not look like an end.
        except OtherSideBroken as error:
            # The other direction finds what it said last, and how it ended: it may have closed in
            # order with input unread, as where a command takes less than it is given.
            await asyncio.sleep(_LAST_WORDS_SECONDS)
            upstream.fail(StreamBroken(str(error)))  # Of there it is this side.
        except StreamBroken as error:
            upstream.interrupt(DownstreamClosed(str(error)))
        else:
            upstream.interrupt(_OtherSideEnded())

    async def _broken_off(self, error: Exception) -> None:
        """End an exchange that did not come to its own end, so that it cannot look complete."""
        exchange, case = self._exchange, self._case
        if self._ending is not None:
            case.end_by(self._ending, case.cut_at)
            if not exchange.started:
                raise self._ended_before_its_answer(self._ending.error)
            await self._say_farewell(self._ending)
            return
        if not exchange.started:
            raise UpstreamInvalid("kube-apiserver closed the connection", detail=str(error))
        case.termination, case.ended_because = Termination.UPSTREAM_RESET, str(error)
        exchange.break_off()

    def _ended_before_its_answer(self, error: ProxyError) -> ProxyError:
        is_unknown = self._has_gone_out and may_have_been_done(self._info)
        return unrepeatable(error) if is_unknown else anew(error)

    async def _say_farewell(self, ending: Ending) -> None:
        """Tell the client why, in-band where its protocol has a place for it.

        Whoever serves the connection then lets it read that; ``cut`` has seen to a hard end.
        """
        exchange = self._exchange
        exchange.reusable = False
        status = status_body(ending.error, self._case.audit_id)
        last = self._last_bytes(ending, status)
        if last is None:
            exchange.stream.abort()
            return
        with contextlib.suppress(StreamBroken):
            await exchange.stream.send(last)

    def _last_bytes(self, ending: Ending, status: bytes) -> bytes | None:
        """Return the end that the client understands, or None where only a reset is understood."""
        if self._stream_cut is None:
            return None
        if ending.cause is EndCause.DRAIN and self._info.stream is StreamKind.WATCH:
            # An ERROR event would make every client list anew; after a clean end they re-watch.
            cut = self._stream_cut
            inner = cut.inner if isinstance(cut, WatchedCut) else cut
            quiet = isinstance(inner, WatchCut) and inner.at_boundary
            return LAST_CHUNK if quiet else None
        return self._stream_cut.farewell(status)
