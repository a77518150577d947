"""Follow the body of one message through buffers cut anywhere, without gathering it.

A request's body is taken out of its framing, to be framed anew for kube-apiserver. An answer's body
keeps its framing: it is only scanned for its end.
"""

from kzproxy.errors.kinds import BadRequest, InternalError, UpstreamInvalid
from kzproxy.http.chunks import LAST_CHUNK, ChunkScanner, chunk
from kzproxy.http.messages import Chunked, Length, RequestBody, ResponseBody, UntilClose

__all__ = [
    "LAST_CHUNK",
    "RequestBodyDecoder",
    "ResponseBodyScanner",
    "chunk",
    "is_whole",
    "payload",
]


class RequestBodyDecoder:
    """Takes the payload of one request out of what the client sends.

    Attributes:
        done: The body has come whole; nothing more may be fed.
        leftover: What was fed after the body's end: the client's next request, if any.
    """

    __slots__ = ("_chunks", "_left_bytes", "done", "leftover")

    def __init__(self, body: RequestBody) -> None:
        self._chunks = ChunkScanner(BadRequest) if isinstance(body, Chunked) else None
        self._left_bytes = body.size_bytes if isinstance(body, Length) else 0
        self.done = self._chunks is None and not self._left_bytes
        self.leftover = b""

    def feed(self, data: bytes) -> bytes:
        """Return the payload in ``data``; bytes past the body's end go to ``leftover``.

        Raises:
            BadRequest: The chunked framing has no strict reading.
            InternalError: The body was done.
        """
        if self.done:
            raise InternalError("bytes fed past the end of a request body")
        if self._chunks is not None:
            pieces, taken = self._chunks.scan(data)
            self.done = self._chunks.done
            payload = b"".join([data[piece] for piece in pieces])
        else:
            payload = data[: self._left_bytes]
            taken = len(payload)
            self._left_bytes -= taken
            self.done = not self._left_bytes
        if taken < len(data):
            self.leftover = data[taken:]
        return payload


class ResponseBodyScanner:
    """Finds the end of one answer in what kube-apiserver sends.

    Attributes:
        chunks: What follows its chunks; None where it has none. It may be fed in place of this.
    """

    __slots__ = ("_done", "_left_bytes", "_until_close", "chunks")

    def __init__(self, body: ResponseBody) -> None:
        self.chunks = ChunkScanner(UpstreamInvalid) if isinstance(body, Chunked) else None
        self._left_bytes = body.size_bytes if isinstance(body, Length) else 0
        self._until_close = isinstance(body, UntilClose)
        self._done = self.chunks is None and not self._left_bytes and not self._until_close

    @property
    def done(self) -> bool:
        """Whether the answer has come whole."""
        return self._done or (self.chunks is not None and self.chunks.done)

    def scan(self, data: bytes | memoryview) -> int:
        """Return how many bytes of ``data`` belong to the answer and may be relayed as they are.

        Fewer than ``len(data)`` means that kube-apiserver sent more than its answer: the connection
        must not be used again.

        Raises:
            UpstreamInvalid: The chunked framing has no strict reading.
        """
        if self.done:
            return 0
        if self.chunks is not None:
            return self.chunks.follow(data)
        if self._until_close:
            return len(data)
        taken = min(len(data), self._left_bytes)
        self._left_bytes -= taken
        self._done = not self._left_bytes
        return taken

    def end_of_stream(self) -> None:
        """Say that kube-apiserver has closed the connection.

        Raises:
            UpstreamInvalid: It did so in the middle of the answer, which must then be cut short
                for the client too, never ended as if it were whole.
        """
        if not self.done and not self._until_close:
            raise UpstreamInvalid("kube-apiserver closed the connection within its answer")
        self._done = True


def is_whole(body: ResponseBody, data: bytes) -> bool:
    """Whether ``data`` is all of an answer's body, framing and all, and nothing more.

    Raises:
        UpstreamInvalid: The chunked framing has no strict reading.
    """
    if isinstance(body, Length):
        return len(data) == body.size_bytes
    scanner = ResponseBodyScanner(body)
    return scanner.scan(data) == len(data) and scanner.done


def payload(body: ResponseBody, data: bytes | bytearray) -> bytes:
    """Return what ``data``, an answer's body as far as it has come, holds within its framing.

    It may be long, and is copied once.

    Raises:
        UpstreamInvalid: The chunked framing has no strict reading.
    """
    if not isinstance(body, Chunked):
        return bytes(data)
    scanner, view = ChunkScanner(UpstreamInvalid), memoryview(data)
    pieces = scanner.note_payload()
    scanner.follow(view)
    return b"".join([view[piece] for piece in pieces])
