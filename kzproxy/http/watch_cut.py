"""End a watch in-band: one ERROR event, then the clean end that client-go knows.

Bytes may be put in only between two chunks *and* between two events. Where events end depends on
their encoding (apiserver pkg/endpoints/handlers/watch.go): JSON events are one line each, protobuf
events have a length of four bytes before them, CBOR events are each written and flushed alone,
which Go's server makes a chunk.
"""

from kzproxy.errors.kinds import UpstreamInvalid
from kzproxy.http import protobuf_status
from kzproxy.http.chunks import LAST_CHUNK, ChunkScanner, chunk

_JSON = "application/json"
_PROTOBUF = "application/vnd.kubernetes.protobuf"
WATCH_MEDIA_TYPES = frozenset({_JSON, _PROTOBUF, "application/cbor-seq"})
# An encoder escapes a line feed within a string, so that every one ends an event.
_LINE_ENDS = (None, 10)


class WatchCut:
    """Follows a chunked watch on its way to the client.

    Attributes:
        must_feed: See ``StreamCut``; but for protobuf, chunks and the last byte tell where events
            end.
    """

    __slots__ = ("_chunks", "_frames", "_is_followed", "_media_type", "_payload", "must_feed")

    def __init__(self, media_type: str, followed: ChunkScanner | None = None) -> None:
        """Begin before the first byte of the body.

        Args:
            media_type: One of WATCH_MEDIA_TYPES.
            followed: Has just followed, each time, what is then fed, or goes on without it; None
                to follow it here.
        """
        self._media_type = media_type
        self._is_followed = followed is not None
        self._chunks = followed or ChunkScanner(UpstreamInvalid)
        self._frames = _Frames() if media_type == _PROTOBUF else None
        self._payload = [] if self._frames is None else self._chunks.note_payload()
        self.must_feed = followed is None or self._frames is not None

    def feed(self, data: bytes) -> bytes:
        """Follow bytes of the answer's body, framing included; return all of them.

        Raises:
            UpstreamInvalid: The chunked framing has no strict reading.
        """
        if not self._is_followed:
            self._chunks.follow(data)
        if self._frames is not None:
            self._frames.feed(data, self._payload)
        return data

    def feed_client(self, data: bytes) -> None:
        """Ignore what the client sends: a watch's request has ended."""

    @property
    def at_boundary(self) -> bool:
        """Whether a farewell may follow now."""
        if not self._chunks.between_chunks:
            return False
        if self._frames is not None:
            return self._frames.whole
        # CBOR: an event ends where its chunk ends.
        return self._media_type != _JSON or self._chunks.last_byte in _LINE_ENDS

    def farewell(self, status_body: bytes) -> bytes | None:
        """Return the bytes that end the body, or None where only aborting is safe.

        Args:
            status_body: A ``metav1.Status`` in JSON, on one line. kubectl shows its message as a
                table row, informers in their log. Left out where events are CBOR: then the client
                re-watches, and the refusal of that tells it.
        """
        if not self.at_boundary:
            return None
        if self._media_type == _JSON:
            return chunk(error_event(status_body)) + LAST_CHUNK
        if self._media_type == _PROTOBUF:
            return chunk(protobuf_status.error_event(status_body)) + LAST_CHUNK
        return LAST_CHUNK


def error_event(status_body: bytes) -> bytes:
    """Return the watch event that carries a Status, with its line end."""
    return b'{"type":"ERROR","object":%b}\n' % status_body.strip()


class _Frames:
    """Protobuf: four bytes of length, big-endian, then the event."""

    __slots__ = ("_left_bytes", "_length")

    def __init__(self) -> None:
        self._length = b""
        self._left_bytes = 0

    @property
    def whole(self) -> bool:
        return not self._length and not self._left_bytes

    def feed(self, data: bytes, payload: list[slice]) -> None:
        for piece in payload:
            self._feed(data[piece])

    def _feed(self, payload: bytes) -> None:
        position = 0
        while position < len(payload):
            if self._left_bytes:
                taken = min(self._left_bytes, len(payload) - position)
                self._left_bytes -= taken
                position += taken
                continue
            needed = 4 - len(self._length)
            self._length += payload[position : position + needed]
            position += needed
            if len(self._length) == 4:
                self._left_bytes = int.from_bytes(self._length, "big")
                self._length = b""
