"""The lines of a chunked body, as a watch in JSON has one for each event."""

from kzproxy.errors.kinds import UpstreamInvalid
from kzproxy.http.chunks import ChunkScanner


class ChunkedLines:
    """Puts lines together out of buffers cut anywhere; holds one incomplete line, within a bound.

    Attributes:
        done: The body has come whole.
    """

    __slots__ = ("_chunks", "_max_bytes", "_rest")

    def __init__(self, max_bytes: int) -> None:
        """Begin before the first byte; ``max_bytes`` is the bound of one line."""
        self._chunks = ChunkScanner(UpstreamInvalid)
        self._max_bytes = max_bytes
        self._rest = bytearray()

    @property
    def done(self) -> bool:
        """Whether the last chunk has come."""
        return self._chunks.done

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that ``data`` completes, without their ends; none is empty.

        Raises:
            UpstreamInvalid: The framing has no strict reading, or a line is over its bound.
        """
        pieces, _ = self._chunks.scan(data)
        for piece in pieces:
            self._rest += data[piece]
        if b"\n" not in data and len(self._rest) <= self._max_bytes:
            return []
        *lines, self._rest = self._rest.split(b"\n")
        if max(map(len, (self._rest, *lines))) > self._max_bytes:
            raise UpstreamInvalid(f"an event of a watch is over {self._max_bytes} bytes")
        return [bytes(line) for line in lines if line]
