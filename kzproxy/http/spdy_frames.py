"""SPDY/3.1 frames, as far as needed to put data frames between them.

A frame begins with eight bytes that are never compressed (SPDY draft 3.1, section 2.2); the stream
that a control frame is about follows in the next four. Nothing else is read, so no zlib is needed.
"""

from enum import IntEnum

import msgspec

_HEADER_BYTES = 8
_STREAM_ID_BYTES = 4
_CONTROL_BIT = 0x80
_VERSION = 3
_STREAM_ID_BITS = 0x7FFFFFFF

FLAG_FIN = 1


class FrameType(IntEnum):
    """What a frame is; the control types are SPDY's numbers, DATA has none there."""

    DATA = 0
    SYN_STREAM = 1
    SYN_REPLY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PING = 6
    GOAWAY = 7
    HEADERS = 8
    WINDOW_UPDATE = 9


class SpdyFrame(msgspec.Struct, frozen=True):
    """The beginning of a frame.

    Attributes:
        type: DATA, or the number of a control type, known or not.
        stream_id: Meaningless for the types that are not about one stream.
        flags: ``FLAG_FIN``: the sender ends its half of the stream with this frame.
    """

    type: int
    stream_id: int
    flags: int


def data_frame(stream_id: int, payload: bytes) -> bytes:
    """Return a data frame that carries ``payload`` (below 16 MiB) and ends the stream's half."""
    header = stream_id.to_bytes(4, "big") + bytes([FLAG_FIN]) + len(payload).to_bytes(3, "big")
    return header + payload


class SpdyFrames:
    """Follows the frames of one direction through buffers cut anywhere.

    Holds at most twelve bytes. A control frame of another version ends the following: from then on
    there is no boundary.
    """

    __slots__ = ("_begun", "_frame_bytes", "_is_data", "_left_bytes", "_over")

    def __init__(self) -> None:
        self._begun = b""
        self._frame_bytes = 0
        self._left_bytes = 0
        self._is_data = False
        self._over = False

    @property
    def between_frames(self) -> bool:
        """Whether a whole frame may be put in here."""
        return not (self._begun or self._left_bytes or self._over)

    @property
    def last_is_whole(self) -> bool:
        """Whether the frame that became known last has come to its end."""
        return not self._left_bytes

    @property
    def unfinished_bytes(self) -> int:
        """How many bytes have come of a frame that is not whole yet; 0 where none can be told."""
        if self._over:
            return 0
        return len(self._begun) or (self._frame_bytes - self._left_bytes if self._left_bytes else 0)

    @property
    def in_data(self) -> bool:
        """Whether the bytes that come next are the payload of a data frame."""
        return self._is_data and self._left_bytes > 0

    def feed(self, data: bytes) -> list[SpdyFrame]:
        """Follow these bytes; return the frames that began in them or became known by them."""
        frames: list[SpdyFrame] = []
        position, end = 0, len(data)
        while position < end and not self._over:
            if self._left_bytes:
                taken = min(self._left_bytes, end - position)
                self._left_bytes -= taken
                position += taken
                continue
            held = len(self._begun)
            self._begun += data[position : position + _HEADER_BYTES + _STREAM_ID_BYTES - held]
            needed = _beginning_bytes(self._begun)
            if len(self._begun) < needed:
                break
            position += needed - held
            frames.append(self._begin(self._begun[:needed]))
            self._begun = b""
        return frames

    def _begin(self, begun: bytes) -> SpdyFrame:
        length = int.from_bytes(begun[5:8], "big")
        self._frame_bytes = _HEADER_BYTES + length
        self._left_bytes = self._frame_bytes - len(begun)
        self._is_data = not begun[0] & _CONTROL_BIT
        if self._is_data:
            return SpdyFrame(FrameType.DATA, int.from_bytes(begun[:4], "big"), begun[4])
        self._over = int.from_bytes(begun[:2], "big") & 0x7FFF != _VERSION
        stream_id = int.from_bytes(begun[8:12], "big") & _STREAM_ID_BITS
        return SpdyFrame(int.from_bytes(begun[2:4], "big"), stream_id, begun[4])


def _beginning_bytes(begun: bytes) -> int:
    """Return how many bytes are read of the frame that begins so."""
    if len(begun) < _HEADER_BYTES or not begun[0] & _CONTROL_BIT:
        return _HEADER_BYTES
    return _HEADER_BYTES + min(_STREAM_ID_BYTES, int.from_bytes(begun[5:8], "big"))
