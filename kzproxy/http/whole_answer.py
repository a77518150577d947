"""Gather a small answer to a GET of kzproxy's own, from pieces cut anywhere, within a bound.

As strict as ``response_head`` and ``chunks`` are with kube-apiserver. HTTP/1.0 is read too: small
servers of static documents speak it, and the end of its bodies is told by a length or by TLS.
"""

from kzproxy.errors.kinds import UpstreamInvalid
from kzproxy.http.body import ResponseBodyScanner
from kzproxy.http.messages import ResponseHead
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
    """

    def __init__(self, *, max_bytes: int) -> None:
        self.head: ResponseHead | None = None
        self._max_bytes = max_bytes
        self._received = bytearray()
        self._body = bytearray()
        self._scanner: ResponseBodyScanner | None = None
        # Where the payload lies in what was scanned last; None where it is all of it.
        self._payload: list[slice] | None = None

    @property
    def done(self) -> bool:
        """Whether the answer has come whole."""
        return self._scanner is not None and self._scanner.done

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
            if self._scanner is None:
                data = self._read_head(data)
            if self._scanner is not None and not self.done:
                self._take(data, self._scanner)
        except UpstreamInvalid as error:
            raise AnswerRefused("the answer is not proper HTTP/1.1") from error
        if len(self._body) > self._max_bytes:
            raise AnswerRefused(f"the answer is longer than {self._max_bytes} bytes")

    def end_of_stream(self) -> None:
        """Say that the connection has come to its own clean end.

        Raises:
            AnswerRefused: It did so in the middle of the answer.
        """
        if self._scanner is None:
            raise AnswerRefused("the answer is cut short")
        try:
            self._scanner.end_of_stream()
        except UpstreamInvalid as error:
            raise AnswerRefused("the answer is cut short") from error

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
        self._scanner = ResponseBodyScanner(self.head.body)
        if self._scanner.chunks is not None:
            self._payload = self._scanner.chunks.note_payload()
        return bytes(received[end:])

    def _take(self, data: bytes, scanner: ResponseBodyScanner) -> None:
        taken = scanner.scan(data)
        for piece in [slice(taken)] if self._payload is None else self._payload:
            self._body += data[piece]
