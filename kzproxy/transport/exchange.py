"""One request and its answer on a client's connection."""

import math
from collections.abc import Callable
from dataclasses import replace

from kzproxy.errors.anew import anew
from kzproxy.errors.kinds import BadRequest, DownstreamClosed, ProxyError
from kzproxy.http.body import RequestBodyDecoder
from kzproxy.http.encode import EncodedAnswer, encode_response_head
from kzproxy.http.messages import NoBody, RequestHead, ResponseHead, UntilClose
from kzproxy.transport.broken import OtherSideBroken, StreamBroken, hand_on
from kzproxy.transport.connection_limits import DEFAULT_CONNECTION_LIMITS, ConnectionLimits
from kzproxy.transport.deadlines import Deadlines
from kzproxy.transport.peer import Peer
from kzproxy.transport.tls_receiving import Take
from kzproxy.transport.tls_sending import RECORD_BYTES
from kzproxy.transport.tls_stream import TlsStream

_CLOSED_INSIDE = "the client closed the connection inside its request"
_CLIENT_STALLED = "the client reads nothing of its answer"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# One for all requests without a body: it is never fed.
_NOTHING = RequestBodyDecoder(NoBody())


class Exchange:
    """A request as it came in, and the way to answer it.

    Attributes:
        peer: Who asks.
        stream: The connection; after an upgrade both sides speak on it directly.
        started: Whether an answer's head has gone out: from then on an error can only cut.
        reusable: Whether the connection may carry another request.
    """

    __slots__ = (
        "_body_seconds",
        "_continue_due",
        "_deadlines",
        "_decoder",
        "_head",
        "_held",
        "_is_last",
        "_let_go",
        "_rest",
        "peer",
        "reusable",
        "started",
        "stream",
    )

    def __init__(
        self,
        *,
        peer: Peer,
        stream: TlsStream,
        deadlines: Deadlines,
        head: RequestHead | ProxyError,
        rest: bytes,
        limits: ConnectionLimits = DEFAULT_CONNECTION_LIMITS,
    ) -> None:
        self.peer = peer
        self.stream = stream
        self.started = False
        self.reusable = True
        self._deadlines = deadlines
        self._head = head
        self._rest = rest
        self._held = b""
        self._is_last = False
        self._let_go: Callable[[], None] | None = None
        self._body_seconds = limits.body_seconds
        stream.sending.seconds = limits.send_seconds
        self._decoder: RequestBodyDecoder | None = None
        self._continue_due = False

    def read_request(self) -> RequestHead:
        """Return the head.

        Raises:
            ProxyError: It has no reading; the connection cannot be used again.
        """
        self.reusable = False
        request = self._head
        if isinstance(request, ProxyError):
            raise anew(request)
        body = request.body
        self._decoder = _NOTHING if isinstance(body, NoBody) else RequestBodyDecoder(body)
        self._continue_due = request.expects_continue
        # After an upgrade, done or refused, nothing else is read as a request (CVE-2018-1002105).
        self.reusable = request.keep_alive and not request.upgrade and not self._is_last
        return request

    def be_last(self) -> None:
        """Have the connection carry no request after this one; its answer says so, if it can."""
        self._is_last = True
        self.reusable = False

    @property
    def body_received(self) -> bool:
        """Whether the whole request has been read."""
        return self._decoder is not None and self._decoder.done

    @property
    def bytes_taken(self) -> int:
        """Return how much has come on the connection up to where this request is read to."""
        return self.stream.bytes_taken - len(self._rest)

    def take_rest(self) -> bytes:
        """Return the bytes that came after this request: the next one's, or an upgrade's."""
        rest, self._rest = self._rest, b""
        return rest

    async def receive_body(self) -> bytes:
        """Return some of the request's body; empty at its end.

        The first call answers ``Expect: 100-continue``, where no answer has begun: so it must come
        after the decision.

        Raises:
            BadRequest: The framing is broken.
            DownstreamClosed: The client has gone before the end, or sent nothing for too long.
        """
        if self._held:
            return self._take_held()
        self.let_go()
        decoder = self._readable()
        await self._send_continue()
        while not self.body_received:
            data = self.take_rest() or await self._receive()
            payload = decoder.feed(data)
            if decoder.done:
                self._rest = decoder.leftover
            if payload:
                return payload
        return b""

    async def receive_body_into(self, take: Take) -> bool:
        """Do as ``receive_body``, but hand what comes to ``take`` until that returns False.

        In the moment in which it comes, as ``TlsReceiving.receive_into`` does: a task that is woken
        for each record of a long body costs a tenth of its way through.

        Returns:
            Whether to ask for more: False at the body's end, where nothing was handed over.

        Raises:
            BadRequest: The framing is broken.
            DownstreamClosed: The client has gone before the end, or sent nothing for too long.
            OtherSideBroken: ``take`` cannot pass it on.
            Exception: What else ``take`` raised.
        """
        if self._held:
            hand_on(take, self._take_held())
            return True
        self.let_go()
        decoder = self._readable()
        await self._send_continue()
        if decoder.done:
            return False
        decode = self._decoding(decoder, take)
        if (rest := self.take_rest()) and not hand_on(decode, rest):
            return True
        await self._receive_into(decode)
        return True

    def _readable(self) -> RequestBodyDecoder:
        if self._decoder is None:
            raise BadRequest("the request has no readable head")
        return self._decoder

    def _decoding(self, decoder: RequestBodyDecoder, take: Take) -> Take:
        """Return what takes the body out of its framing, to its end, for ``take``."""

        def decode(data: bytes) -> bool:
            payload = decoder.feed(data)
            if decoder.done:
                self._rest = decoder.leftover
            goes_on = not payload or take(payload)
            return goes_on and not decoder.done

        return decode

    def put_back(self, body: bytes, let_go: Callable[[], None]) -> None:
        """Have whoever receives the body get once more what was read, to its end, before.

        ``let_go`` is called once it is not held any more.
        """
        self.let_go()
        self._held, self._let_go = body, let_go

    def let_go(self) -> None:
        """Hold no body any more that was put back: it was sent, or the request has ended."""
        let_go, self._let_go = self._let_go, None
        self._held = b""
        if let_go is not None:
            let_go()

    def _take_held(self) -> bytes:
        held, self._held = self._held, b""
        return held

    async def _send_continue(self) -> None:
        if self._continue_due and not self.started:
            self._continue_due = False
            await self.send(_CONTINUE)

    async def _receive(self) -> bytes:
        self.stream.deadline = self._deadlines.after(self._body_seconds)
        try:
            data = await self.stream.receive()
        except (StreamBroken, TimeoutError) as error:
            raise DownstreamClosed(str(error)) from error
        finally:
            self.stream.deadline = math.inf
        if not data:
            raise DownstreamClosed(_CLOSED_INSIDE)
        return data

    async def _receive_into(self, take: Take) -> None:
        self.stream.receiving.seconds = self._body_seconds
        try:
            may_go_on = await self.stream.receive_into(take)
        except OtherSideBroken:
            raise
        except (StreamBroken, TimeoutError) as error:
            raise DownstreamClosed(str(error)) from error
        finally:
            self.stream.receiving.seconds = math.inf
        if not may_go_on:
            raise DownstreamClosed(_CLOSED_INSIDE)

    def let_the_client_lag(self) -> None:
        """Wait for the client to read this answer for as long as it likes.

        ``kubectl logs | less`` reads no further while its user reads.
        """
        self.stream.sending.seconds = math.inf

    async def respond(self, head: ResponseHead, body: bytes = b"") -> None:
        """Send an answer's head, together with what is there of its body.

        ``head.keep_alive`` is lowered where the connection cannot be used again.

        Raises:
            DownstreamClosed: The client has gone.
        """
        if not head.keep_alive or isinstance(head.body, UntilClose) or not self.body_received:
            self.reusable = False
        if self.reusable is not head.keep_alive:
            head = replace(head, keep_alive=self.reusable)
        encoded = encode_response_head(head)
        self.started = True
        if len(body) <= RECORD_BYTES:
            await self.send(encoded + body)
            return
        await self.send(encoded)
        await self.send(body)  # Not copied: it may be long, and its client slow.

    def break_off(self) -> None:
        """Have nothing more go out of an answer, and end it so that it cannot look complete."""
        self.reusable = False
        self.stream.forget_unsent()
        self.stream.abort()

    async def relay_head(
        self, answer: EncodedAnswer, body: bytes, *, audit_id: str, upgrade: str, warning: str = ""
    ) -> None:
        """Send the head of an answer from upstream, together with what is there of its body.

        ``warning`` is for the user; see ``EncodedAnswer``.

        Raises:
            DownstreamClosed: The client has gone.
        """
        if self.stream.owes:
            await self.flush()
        if not self.relay_now(answer, body, audit_id=audit_id, upgrade=upgrade, warning=warning):
            await self.flush()

    def relay_now(
        self,
        answer: EncodedAnswer,
        body: bytes,
        *,
        audit_id: str,
        upgrade: str = "",
        warning: str = "",
    ) -> bool:
        """Do as ``relay_head`` as far as it goes without waiting.

        Returns:
            Whether all of it has gone; ``flush`` must follow where not.

        Raises:
            DownstreamClosed: The client has gone.
        """
        decoder = self._decoder
        if answer.ends_with_connection or decoder is None or not decoder.done:
            self.reusable = False
        encoded = answer.head(audit_id, upgrade=upgrade, keep_alive=self.reusable, warning=warning)
        self.started = True
        return self.send_now(encoded + body)

    async def send(self, data: bytes) -> None:
        """Send bytes of the answer as they are.

        Raises:
            DownstreamClosed: The client has gone, or took nothing for too long.
        """
        if self.stream.owes:
            await self.flush()
        if not self.send_now(data):
            await self.flush()

    def send_now(self, data: bytes | memoryview) -> bool:
        """Send what goes without waiting; where that is not all, ``flush`` must follow.

        Raises:
            DownstreamClosed: The client has gone, or took nothing for too long.
        """
        try:
            return self.stream.send_now(data)
        except StreamBroken as error:
            raise DownstreamClosed(str(error)) from error
        except TimeoutError as error:
            raise DownstreamClosed(_CLIENT_STALLED) from error

    async def flush(self) -> None:
        """Send what ``send_now`` could not.

        Raises:
            DownstreamClosed: The client has gone, or took nothing for too long.
        """
        try:
            await self.stream.flush()
        except StreamBroken as error:
            raise DownstreamClosed(str(error)) from error
        except TimeoutError as error:
            raise DownstreamClosed(_CLIENT_STALLED) from error
