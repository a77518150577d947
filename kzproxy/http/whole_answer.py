"""Gather a small answer to a GET of kzproxy's own, from pieces cut anywhere, within a bound.

As strict as ``response_head`` and ``chunks`` are with kube-apiserver. HTTP/1.0 is read too: small
servers of static documents speak it, and the end of its bodies is told by a length or by TLS.
"""

from kzproxy.errors.kinds import UpstreamInvalid
from kzproxy.http.chunks import ChunkScanner
from kzproxy.http.messages import Chunked, Length, NoBody, ResponseBody, ResponseHead, UntilClose
from kzproxy.http.response_head import parse_response_head, response_head_end

_OLD, _NEW = b"HTTP/1.0 ", b"HTTP/1.1 "


class AnswerRefused(Exception):
    """Nothing can be made of the answer; the message says why."""


class WholeAnswer:
    """One answer, as far as it has come.

    Args:
        max_bytes: Of its body, taken out of its framing.

    Attributes:
        head: None while it has not come.
        done: Whether the answer has come whole.
    """

    def __init__(self, *, max_bytes: int) -> None:
        self.head: ResponseHead | None = None
        self.done = False
        self._max_bytes = max_bytes
        self._received = bytearray()
        self._body = bytearray()
        self._chunks: ChunkScanner | None = None
        self._left_bytes = 0

    @property
    def body(self) -> bytes:
        """What has come of the body."""
        return bytes(self._body)

    def feed(self, data: bytes) -> None:
        """Take what has come next; what follows the answer's end is dropped.

        Raises:
            AnswerRefused: It is not proper HTTP, or too long.
        """
        try:
            if self.head is None:
                data = self._read_head(data)
            if self.head is not None:
                self._take(data, self.head.body)
        except UpstreamInvalid as error:
            raise AnswerRefused("the answer is not proper HTTP/1.1") from error
        if len(self._body) > self._max_bytes:
            raise AnswerRefused(f"the answer is longer than {self._max_bytes} bytes")

    def end_of_stream(self) -> None:
        """Say that the connection has come to its own clean end.

        Raises:
            AnswerRefused: It did so in the middle of the answer.
        """
        if self.head is None or not (self.done or isinstance(self.head.body, UntilClose)):
            raise AnswerRefused("the answer is cut short")
        self.done = True

    def _read_head(self, data: bytes) -> bytes:
        """Read the head, once it has come whole; return what follows it."""
        received, searched = self._received, len(self._received)
        received += data
        end = response_head_end(received, searched)
        if end < 0:
            return b""
        text = bytes(received[:end])
        if text.startswith(_OLD):
            text = _NEW + text.removeprefix(_OLD)
        self.head = parse_response_head(text, method="GET")
        self._begin(self.head.body)
        return bytes(received[end:])

    def _begin(self, framing: ResponseBody) -> None:
        if isinstance(framing, Chunked):
            self._chunks = ChunkScanner(UpstreamInvalid)
        if isinstance(framing, Length):
            self._left_bytes = framing.size_bytes
        self.done = framing in (NoBody(), Length(0))

    def _take(self, data: bytes, framing: ResponseBody) -> None:
        if self._chunks is not None:
            pieces, _ = self._chunks.scan(data)
            for piece in pieces:
                self._body += data[piece]
            self.done = self._chunks.done
        elif isinstance(framing, UntilClose):
            self._body += data
        else:
            taken = data[: self._left_bytes]
            self._body += taken
            self._left_bytes -= len(taken)
            self.done = not self._left_bytes
