"""One connection to kube-apiserver and the exchange on it."""

import math
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from kzproxy.errors.kinds import HeadTooLarge, UpstreamInvalid, UpstreamTimeout
from kzproxy.http.body import LAST_CHUNK, ResponseBodyScanner, chunk, is_whole
from kzproxy.http.chunks import ChunkScanner
from kzproxy.http.messages import Chunked, Length, NoBody
from kzproxy.http.response_head import response_head_end
from kzproxy.transport.broken import StreamBroken
from kzproxy.transport.deadlines import Deadlines
from kzproxy.transport.tls_gathering import TakeGathered
from kzproxy.transport.tls_receiving import Receiver, Take
from kzproxy.transport.tls_stream import TlsStream
from kzproxy.upstream.answer_memo import Answer, AnswerMemo
from kzproxy.upstream.impersonation import Outgoing
from kzproxy.upstream.timeouts import UpstreamTimeouts

# kube-apiserver bounds the heads that it reads (pkg/server/secure_serving.go, MaxHeaderBytes).
MAX_REQUEST_HEAD_BYTES = 1024 * 1024
# net/http's client gave up after five; a backend behind services/proxy may send some.
MAX_INTERIM_ANSWERS = 16
_SWITCHING_PROTOCOLS = 101
_FIRST_FINAL_STATUS = 200
_FORBIDDEN = 403
_Piece = TypeVar("_Piece", bytes, memoryview)
SAFE_METHODS = frozenset({"GET", "HEAD"})
OUTCOME_UNKNOWN = "outcome unknown, look before you repeat it"
_CLOSED = "kube-apiserver closed the connection before its answer"


class UpstreamConnection:
    """A connection that carries one exchange after another.

    Attributes:
        stream: The bytes below; both sides speak on it directly after an upgrade.
        used: Whether it has carried an exchange before this one: it may have gone stale.
        clean: Whether the last exchange ended so that another one may follow.
        answered: Whether any byte of the present answer has come.
    """

    __slots__ = (
        "_answer_seconds",
        "_answers",
        "_body_sent",
        "_buffer",
        "_chunked_request",
        "_deadlines",
        "_keep_alive",
        "_may_be_kept",
        "_patience_seconds",
        "_scanner",
        "_speaking",
        "answered",
        "clean",
        "stream",
        "used",
    )

    def __init__(
        self,
        stream: TlsStream,
        deadlines: Deadlines,
        timeouts: UpstreamTimeouts,
        answers: AnswerMemo,
    ) -> None:
        self.stream = stream
        self.used = False
        self.clean = False
        self.answered = False
        self._deadlines = deadlines
        self._answers = answers
        self._answer_seconds = timeouts.answer_seconds
        self._patience_seconds = math.inf
        self._speaking = False
        self._buffer = b""
        self._chunked_request = False
        self._body_sent = True
        self._scanner: ResponseBodyScanner | None = None
        self._keep_alive = False
        self._may_be_kept = True

    async def send_head(self, outgoing: Outgoing) -> None:
        """Begin an exchange.

        Raises:
            HeadTooLarge: kube-apiserver would not read it.
            StreamBroken: The connection is gone, or nobody takes the whole head.
        """
        if not self.send_head_now(outgoing):
            await self._send_rest()

    def send_head_now(self, outgoing: Outgoing) -> bool:
        """Do as ``send_head`` as far as it goes without waiting; whether all has gone.

        Raises:
            HeadTooLarge: kube-apiserver would not read it.
            StreamBroken: The connection is gone.
        """
        self.clean = False
        self.answered = False
        self._buffer = b""
        self._scanner = None
        self._chunked_request = isinstance(outgoing.body, Chunked)
        self._body_sent = isinstance(outgoing.body, NoBody) or outgoing.body == Length(0)
        # A connection that was asked to upgrade and did not is never used again: who knows what
        # the other side takes it for (CVE-2018-1002105).
        self._may_be_kept = not outgoing.upgrade
        if len(outgoing.head) > MAX_REQUEST_HEAD_BYTES:
            raise HeadTooLarge(
                "with all your groups and extras the request's head would be over 1 MiB, more than"
                " kube-apiserver reads; let the issuer send only the groups that matter here"
            )
        return self.stream.send_now(outgoing.head)

    async def _send_rest(self) -> None:
        self.stream.deadline = self._deadlines.after(self._answer_seconds)
        try:
            await self.stream.flush()
        except TimeoutError as error:
            raise StreamBroken("kube-apiserver takes no request") from error
        self.stream.deadline = math.inf

    async def send_body(self, data: bytes) -> None:
        """Send some of the request's body, framed anew; empty ends it.

        Raises:
            StreamBroken: kube-apiserver reads no more of it.
            TimeoutError: It took nothing for as long as an answer may take.
        """
        if not data:
            await self._end_request()
        elif not self.send_body_now(data):
            await self.flush_body()

    def send_body_now(self, data: bytes) -> bool:
        """Do as ``send_body`` as far as it goes without waiting.

        Returns:
            Whether all of it has gone; ``flush_body`` must follow where not.

        Raises:
            StreamBroken: kube-apiserver reads no more of it.
        """
        return self.stream.send_now(chunk(data) if self._chunked_request else data)

    async def flush_body(self) -> None:
        """Send what ``send_body_now`` could not.

        Raises:
            StreamBroken: kube-apiserver reads no more of it.
            TimeoutError: It took nothing for as long as an answer may take.
        """
        # It has an answer to think of only once it has all: a slow client's upload may take hours.
        self._wait(self._patience_seconds)
        await self.stream.flush()
        self._wait(math.inf)

    async def _end_request(self) -> None:
        self._wait(self._patience_seconds)
        if self._chunked_request:
            await self.stream.send(LAST_CHUNK)
        self._body_sent = True

    def _wait(self, seconds: float) -> None:
        """Give kube-apiserver so long from now, where its head has not begun."""
        if not self._speaking:
            self.stream.deadline = self._deadlines.after(seconds)

    def receive_by(self, receiver: Receiver, seconds: float) -> None:
        """Hand the first that comes of the answer, within ``seconds``, to ``receiver``.

        It asks ``whole_answer`` of it then.
        """
        self.stream.deadline = self._deadlines.after(seconds)
        self.stream.receive_by(receiver, soon=True)

    def whole_answer(self, data: bytes, method: str) -> tuple[Answer, bytes] | None:
        """Return the answer's head and its body, framing and all, where ``data`` is all of it.

        Where it is not, and of a 403, whose body has to be looked into, ``receive_head`` goes on
        from there.

        Raises:
            UpstreamInvalid: It is not an answer that may be relayed.
        """
        self.answered = bool(data)
        self._buffer = data
        if not data:
            # Nobody may be told of it again: TLS has ended, and perhaps not the socket below it.
            self.stream.interrupt(StreamBroken(_CLOSED))
            return None
        end = response_head_end(data, 0)
        if end <= 0:
            return None
        answer = self._answers.read(data[:end], method=method)
        if answer.head.status < _FIRST_FINAL_STATUS or answer.head.status == _FORBIDDEN:
            return None
        body = data[end:]
        if not is_whole(answer.head.body, body):
            return None
        self._buffer = b""
        self.stream.deadline = math.inf
        self.clean = self._body_sent and self._may_be_kept and answer.head.keep_alive
        return answer, body

    async def receive_head(self, method: str, seconds: float) -> Answer:
        """Wait for the answer's head, past interim ones, for ``seconds`` at most.

        Raises:
            StreamBroken: The connection ended first.
            UpstreamInvalid: It is not an answer that may be relayed.
            UpstreamTimeout: None came in time.
        """
        self._patience_seconds = seconds
        self._speaking = False
        if self._body_sent:
            # Where ``receive_by`` waited before, it has begun to count then.
            self.stream.deadline = min(self.stream.deadline, self._deadlines.after(seconds))
        try:
            # A head that has come whole takes no further waiting.
            data = self._buffer or _some(await self.stream.receive_next())
            self.answered = True
            answer = self._read_head(data, method) or await self._final_head(method)
        except TimeoutError as error:
            raise UpstreamTimeout(_late(method)) from error
        finally:
            self._patience_seconds = self.stream.deadline = math.inf
        self._scanner = ResponseBodyScanner(answer.head.body)
        self._keep_alive = answer.head.keep_alive
        if not self._buffer:
            self._settle()
        return answer

    def _read_head(self, data: bytes, method: str) -> Answer | None:
        """Return the final head that ``data`` begins with; None, and keep it, where it does not."""
        end = response_head_end(data, 0)
        if end > 0:
            answer = self._answers.read(data[:end], method=method)
            if answer.head.status >= _FIRST_FINAL_STATUS:
                self._buffer = data[end:]
                return answer
        self._buffer = data
        return None

    async def _final_head(self, method: str) -> Answer:
        for _ in range(MAX_INTERIM_ANSWERS + 1):
            answer = self._answers.read(await self._head_bytes(), method=method)
            status = answer.head.status
            if status >= _FIRST_FINAL_STATUS or status == _SWITCHING_PROTOCOLS:
                return answer
            self._speaking = False
            if not self._body_sent or self._patience_seconds == math.inf:
                self.stream.deadline = math.inf
        raise UpstreamInvalid(
            f"kube-apiserver sent more than {MAX_INTERIM_ANSWERS} interim answers"
        )

    async def _head_bytes(self) -> bytes:
        """Return a head, up to and including its empty line; what follows it is kept."""
        buffer, searched = bytearray(self._buffer), 0
        while (end := response_head_end(buffer, searched)) < 0:
            searched = len(buffer)
            if searched and not self._speaking:
                # However long it may think, once it speaks it must come to an end.
                self._speaking = True
                late = self._deadlines.after(self._answer_seconds)
                self.stream.deadline = min(self.stream.deadline, late)
            buffer += _some(await self.stream.receive_next())
        self._buffer = bytes(buffer[end:])
        return bytes(buffer[:end])

    @property
    def body_done(self) -> bool:
        """Whether the whole answer has been received."""
        return self._scanner is not None and self._scanner.done

    @property
    def chunks(self) -> ChunkScanner | None:
        """What follows the answer's chunks, before each part of the body is handed on."""
        return None if self._scanner is None else self._scanner.chunks

    def buffered_body(self) -> bytes:
        """Return what came of the body together with the head, framing and all."""
        data, self._buffer = self._buffer, b""
        return self._scan(data) if data else b""

    async def receive_body(self, seconds: float = math.inf) -> bytes:
        """Return more of the body, framing and all; empty at its end.

        Raises:
            StreamBroken: The connection broke.
            UpstreamInvalid: It was cut short, or its framing is broken.
            UpstreamTimeout: Nothing came for ``seconds``.
        """
        if self.body_done:
            return b""
        self.stream.deadline = self._deadlines.after(seconds)
        try:
            data = await self.stream.receive()
        except TimeoutError as error:
            raise UpstreamTimeout("kube-apiserver stopped in the middle of its answer") from error
        finally:
            self.stream.deadline = math.inf
        if not data:
            if self._scanner is not None:
                self._scanner.end_of_stream()
            return b""
        return self._scan(data)

    def receive_body_into(self, take: Take, seconds: float = math.inf) -> Coroutine[Any, Any, None]:
        """Hand more of the body, framing and all, to ``take``, until its end or until that says no.

        ``body_done`` tells which it was.

        Raises:
            StreamBroken: The connection broke.
            OtherSideBroken: The one did that ``take`` passes it on to.
            UpstreamInvalid: It was cut short, or its framing is broken.
            UpstreamTimeout: Nothing came for ``seconds``.
            Exception: What else ``take`` raised.
        """
        return self._until_taken(self.stream.receive_into(self._scanning(take)), seconds)

    def _scanning(self, take: Callable[[_Piece], bool]) -> Callable[[_Piece], bool]:
        """Return what scans each piece before it hands it to ``take``, and no more than the body.

        Every event of a watch pays for it: so chunks are followed without a call in between.
        """
        scanner = self._body_scanner()
        follower = scanner.chunks or scanner
        scan = scanner.scan if scanner.chunks is None else scanner.chunks.follow

        def take_scanned(data: _Piece) -> bool:
            size = scan(data)
            if not follower.done:
                return take(data)
            self._end_body(surplus_bytes=len(data) - size)
            if size:
                take(data[:size])
            return False

        return take_scanned

    def gather_body_into(
        self, take: TakeGathered, seconds: float = math.inf
    ) -> Coroutine[Any, Any, None]:
        """Do as ``receive_body_into``, with many records at a time and, later, a moment late.

        Raises:
            StreamBroken: The connection broke.
            OtherSideBroken: The one did that ``take`` passes it on to.
            UpstreamInvalid: It was cut short, or its framing is broken.
            UpstreamTimeout: Nothing came for ``seconds``.
            Exception: What else ``take`` raised.
        """
        return self._until_taken(self.stream.receive_gathered(self._scanning(take)), seconds)

    async def _until_taken(self, receiving: Awaitable[bool], seconds: float) -> None:
        stream = self.stream
        stream.receiving.seconds = seconds
        try:
            if not await receiving and self._scanner is not None:
                self._scanner.end_of_stream()
        except TimeoutError as error:
            raise UpstreamTimeout("kube-apiserver stopped in the middle of its answer") from error
        finally:
            stream.receiving.seconds = math.inf

    def take_rest(self) -> bytes:
        """Return the bytes that came after a 101."""
        data, self._buffer = self._buffer, b""
        return data

    def _scan(self, data: bytes) -> bytes:
        scanner = self._body_scanner()
        size = scanner.scan(data)
        if scanner.done:
            self._end_body(surplus_bytes=len(data) - size)
        return data[:size]

    def _body_scanner(self) -> ResponseBodyScanner:
        if self._scanner is None:
            raise UpstreamInvalid("kube-apiserver sent a body before a head")
        return self._scanner

    def _end_body(self, *, surplus_bytes: int) -> None:
        if surplus_bytes:
            # More than the answer: nobody asked for it, so the connection is not trusted again.
            self._keep_alive = False
        self._settle()

    def _settle(self) -> None:
        scanner = self._scanner
        whole = scanner is not None and scanner.done and self._body_sent and not self._buffer
        self.clean = whole and self._may_be_kept and self._keep_alive


def _late(method: str) -> str:
    late = "kube-apiserver did not answer in time"
    return late if method in SAFE_METHODS else f"{late}: {OUTCOME_UNKNOWN}"


def _some(data: bytes) -> bytes:
    """Return some of an answer's head as it came.

    Raises:
        StreamBroken: It is the end.
    """
    if not data:
        raise StreamBroken(_CLOSED)
    return data
