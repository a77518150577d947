"""WebSocket frames: their headers, and where frames may be put between a server's (RFC 6455).

Only the two to fourteen bytes of a frame's header are read; payload passes uncounted but for its
length.
"""

from enum import IntEnum
from typing import NamedTuple

_SHORTEST_HEADER_BYTES = 2
LONGEST_HEADER_BYTES = 14
_FINAL = 0x80
_RESERVED = 0x70
_OPCODE = 0x0F
_MASKED = 0x80
_MASK_BYTES = 4
# What stands in the place of a length says how many bytes of the length follow.
_LENGTH_BYTES = {126: 2, 127: 8}


class Opcode(IntEnum):
    """What a frame is (RFC 6455 section 5.2)."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


NORMAL_CLOSURE = (1000).to_bytes(2, "big")


def server_frame(opcode: Opcode, payload: bytes) -> bytes:
    """Return one whole, unmasked message (RFC 6455 section 5.2)."""
    size = len(payload)
    if size < 126:
        length = bytes([size])
    elif size < 1 << 16:
        length = b"\x7e" + size.to_bytes(2, "big")
    else:
        length = b"\x7f" + size.to_bytes(8, "big")
    return bytes([_FINAL | opcode]) + length + payload


class FrameHeader(NamedTuple):
    """What a frame says of itself (RFC 6455 section 5.2).

    Attributes:
        size_bytes: Its own.
        is_final: Whether the frame ends its message.
        is_extended: Whether it needs an extension.
        opcode: An ``Opcode``, or a number that is none.
        mask: What its payload is masked with; empty for none.
        payload_bytes: How long its payload is.
    """

    size_bytes: int
    is_final: bool
    is_extended: bool
    opcode: int
    mask: bytes
    payload_bytes: int


def frame_header(data: bytes | bytearray) -> FrameHeader | None:
    """Read the header that ``data`` begins with; None while it has not come whole."""
    if len(data) < _SHORTEST_HEADER_BYTES:
        return None
    first, short = data[0], data[1] & ~_MASKED
    masked_from = _SHORTEST_HEADER_BYTES + _LENGTH_BYTES.get(short, 0)
    size = masked_from + (_MASK_BYTES if data[1] & _MASKED else 0)
    if len(data) < size:
        return None
    length = data[_SHORTEST_HEADER_BYTES:masked_from]
    return FrameHeader(
        size_bytes=size,
        is_final=bool(first & _FINAL),
        is_extended=bool(first & _RESERVED),
        opcode=first & _OPCODE,
        mask=bytes(data[masked_from:size]),
        payload_bytes=int.from_bytes(length, "big") if length else short,
    )


class WebSocketFrames:
    """Follows the frames of one direction through buffers cut anywhere.

    Holds at most one incomplete header. A frame that RFC 6455 forbids a server to send, or that
    needs an extension (kzproxy forwards no offer of any), ends the following: from then on there is
    no boundary.

    Attributes:
        last_data_opcode: TEXT or BINARY as of the last message begun; None before the first.
    """

    __slots__ = (
        "_frame_bytes",
        "_header",
        "_in_message",
        "_left_bytes",
        "_over",
        "_was_in_message",
        "last_data_opcode",
    )

    def __init__(self) -> None:
        self._header = b""
        self._frame_bytes = 0
        self._left_bytes = 0
        self._in_message = False
        self._was_in_message = False
        self._over = False
        self.last_data_opcode: Opcode | None = None

    @property
    def between_messages(self) -> bool:
        """Whether a whole message may be put in here; never once a CLOSE has passed."""
        inside = self._header or self._left_bytes or self._in_message
        return not (inside or self._over)

    @property
    def between_messages_before(self) -> bool:
        """The same without the frame that is not whole: as if nothing of it had come."""
        in_message = self._was_in_message if self._left_bytes else self._in_message
        return not (in_message or self._over)

    @property
    def unfinished_bytes(self) -> int:
        """How many bytes have come of a frame that is not whole yet; 0 where none can be told."""
        if self._over:
            return 0
        inside = self._frame_bytes - self._left_bytes if self._left_bytes else 0
        return len(self._header) or inside

    def feed(self, data: bytes) -> None:
        """Follow these bytes."""
        position, end = 0, len(data)
        while position < end and not self._over:
            if self._left_bytes:
                taken = min(self._left_bytes, end - position)
                self._left_bytes -= taken
                position += taken
                continue
            held = len(self._header)
            self._header += data[position : position + LONGEST_HEADER_BYTES - held]
            header = frame_header(self._header)
            if header is None:
                return
            position += header.size_bytes - held
            self._begin(header)
            self._header = b""

    def _begin(self, header: FrameHeader) -> None:
        self._left_bytes = header.payload_bytes
        self._frame_bytes = header.size_bytes + self._left_bytes
        self._was_in_message = self._in_message
        match header.opcode:
            case Opcode.TEXT | Opcode.BINARY:
                expected = not self._in_message
                self._in_message = not header.is_final
                self.last_data_opcode = Opcode(header.opcode)
            case Opcode.CONTINUATION:
                expected = self._in_message
                self._in_message = not header.is_final
            case Opcode.CLOSE | Opcode.PING | Opcode.PONG:
                # May come between the fragments of a message, and is whole itself.
                expected = header.is_final and header.size_bytes == _SHORTEST_HEADER_BYTES
            case _:
                expected = False
        is_allowed = expected and not header.is_extended and not header.mask
        self._over = not is_allowed or header.opcode == Opcode.CLOSE
