"""What counts as something moving on a stream: what a person or a program sent, and no heartbeat.

kubectl keeps its streams alive by itself (client-go: a ping every 5 s on exec and attach, every
10 s on a port-forward), and kube-apiserver sends watches a bookmark about once a minute. None of
these counts. Of a log, a proxied answer and everything unknown, every byte does. A stream that
cannot be followed any more does not move.
"""

from typing import Protocol

from kzproxy.attributes.request_info import StreamKind
from kzproxy.errors.kinds import UpstreamInvalid
from kzproxy.http.chunks import ChunkScanner
from kzproxy.http.messages import Chunked, ResponseHead
from kzproxy.http.spdy_frames import FrameType, SpdyFrames
from kzproxy.http.websocket_frames import (
    LONGEST_HEADER_BYTES,
    FrameHeader,
    Opcode,
    frame_header,
)

_DATA = frozenset({Opcode.CONTINUATION, Opcode.TEXT, Opcode.BINARY})
_TUNNELLED = "SPDY/3.1+"
# A channel's number, with which kube-apiserver begins each channel of an exec.
_CHANNEL_BYTES = 1
# How a bookmark begins: JSON, protobuf behind its length (WatchEvent.type is field 1), CBOR.
_BOOKMARK = b"BOOKMARK"
_EVENT_TYPE_BYTES = 32


class Movement(Protocol):
    """Follows one direction of a stream."""

    def feed(self, data: bytes) -> bool:
        """Follow bytes; return whether something moved in them."""


class EveryByte:
    """Where all that comes is what was sent."""

    __slots__ = ()

    def feed(self, data: bytes) -> bool:
        """Return whether there is any."""
        return bool(data)


class NoByte:
    """Where nobody can tell what comes."""

    __slots__ = ()

    def feed(self, data: bytes) -> bool:  # noqa: ARG002 - whatever it is
        """Return False."""
        return False


class WatchEvents:
    """The body of a watch; an event is written at once, so a bookmark stands at a beginning."""

    __slots__ = ("_chunks",)

    def __init__(self) -> None:
        self._chunks = ChunkScanner(UpstreamInvalid)

    def feed(self, data: bytes) -> bool:
        """Return whether an event has come, or a part of one."""
        pieces, _ = self._chunks.scan(data)
        return any(_is_event(data[piece]) for piece in pieces)


def _is_event(payload: bytes) -> bool:
    return bool(payload) and _BOOKMARK not in payload[:_EVENT_TYPE_BYTES]


class SpdyData:
    """SPDY/3.1: data and new streams count; PING, WINDOW_UPDATE and the like do not."""

    __slots__ = ("_frames",)

    def __init__(self) -> None:
        self._frames = SpdyFrames()

    def feed(self, data: bytes) -> bool:
        """Return whether data have come, or a stream was opened."""
        inside = self._frames.in_data
        found = [frame.type for frame in self._frames.feed(data)]
        return (inside and bool(data)) or FrameType.DATA in found or FrameType.SYN_STREAM in found


class WebSocketData:
    """WebSocket messages: PING, PONG and CLOSE do not count, nor does an empty channel.

    Args:
        payload: Says what counts within the messages; None: all that is over a channel's number.
    """

    __slots__ = ("_header", "_is_data", "_left_bytes", "_mask", "_payload", "_position")

    def __init__(self, payload: "SpdyData | WatchMessages | None") -> None:
        self._payload = payload
        self._header = b""
        self._left_bytes = 0
        self._position = 0
        self._mask = b""
        self._is_data = False

    def feed(self, data: bytes) -> bool:
        """Return whether something moved in these bytes."""
        moved = False
        position, end = 0, len(data)
        while position < end:
            if self._left_bytes:
                piece = data[position : position + self._left_bytes]
                moved = self._read(piece) or moved
                position += len(piece)
                continue
            held = len(self._header)
            self._header += data[position : position + LONGEST_HEADER_BYTES - held]
            header = frame_header(self._header)
            if header is None:
                break
            position += header.size_bytes - held
            self._begin(header)
            self._header = b""
        return moved

    def _begin(self, header: FrameHeader) -> None:
        self._is_data = header.opcode in _DATA
        self._mask, self._left_bytes = header.mask, header.payload_bytes
        self._position = 0
        if self._left_bytes <= _CHANNEL_BYTES and self._payload is None:
            self._is_data = False

    def _read(self, piece: bytes) -> bool:
        begun_at, self._position = self._position, self._position + len(piece)
        self._left_bytes -= len(piece)
        if not self._is_data:
            return False
        if self._payload is None:
            return True
        return self._payload.feed(_unmasked(piece, self._mask, begun_at))


class WatchMessages:
    """The messages of a watch by WebSocket: one event each."""

    __slots__ = ()

    def feed(self, payload: bytes) -> bool:
        """Return whether an event has come."""
        return _is_event(payload)


def movements(kind: StreamKind, answer: ResponseHead) -> tuple[Movement, Movement]:
    """Return what follows the bytes to the client, and what follows those from it."""
    if answer.upgrade == "spdy/3.1":
        return SpdyData(), SpdyData()
    if answer.upgrade == "websocket":
        protocol = next(iter(answer.values("sec-websocket-protocol")), "")
        if protocol.startswith(_TUNNELLED):
            return WebSocketData(SpdyData()), WebSocketData(SpdyData())
        payload = WatchMessages() if kind is StreamKind.WATCH else None
        return WebSocketData(payload), WebSocketData(None)
    if kind is StreamKind.WATCH and answer.values("content-encoding"):
        return NoByte(), EveryByte()
    if kind is StreamKind.WATCH and isinstance(answer.body, Chunked):
        return WatchEvents(), EveryByte()
    return EveryByte(), EveryByte()


def _unmasked(piece: bytes, mask: bytes, begun_at: int) -> bytes:
    """Undo the masking of a client's payload (RFC 6455 section 5.3)."""
    if not mask:
        return piece
    turned = mask[begun_at % 4 :] + mask[: begun_at % 4]
    key = (turned * (len(piece) // 4 + 1))[: len(piece)]
    return (int.from_bytes(piece, "big") ^ int.from_bytes(key, "big")).to_bytes(len(piece), "big")
