"""WebSocket frames from server to client, as far as needed to put frames between them (RFC 6455).

Only the two to ten bytes of a frame's header are read; payload passes uncounted but for its length.
"""

from enum import IntEnum

_LONGEST_HEADER_BYTES = 10
_FINAL = 0x80
_RESERVED = 0x70
_OPCODE = 0x0F
_MASKED = 0x80


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
            self._header += data[position : position + _LONGEST_HEADER_BYTES - held]
            size = _header_size(self._header)
            if len(self._header) < size:
                return
            position += size - held
            self._begin(self._header[:size])
            self._header = b""

    def _begin(self, header: bytes) -> None:
        opcode, final = header[0] & _OPCODE, bool(header[0] & _FINAL)
        self._left_bytes = int.from_bytes(header[2:], "big") if len(header) > 2 else header[1]
        self._frame_bytes = len(header) + self._left_bytes
        self._was_in_message = self._in_message
        match opcode:
            case Opcode.TEXT | Opcode.BINARY:
                expected = not self._in_message
                self._in_message = not final
                self.last_data_opcode = Opcode(opcode)
            case Opcode.CONTINUATION:
                expected = self._in_message
                self._in_message = not final
            case Opcode.CLOSE | Opcode.PING | Opcode.PONG:
                # May come between the fragments of a message, and is whole itself.
                expected = final and len(header) == 2
            case _:
                expected = False
        forbidden = header[0] & _RESERVED or header[1] & _MASKED
        self._over = bool(forbidden) or not expected or opcode == Opcode.CLOSE


def _header_size(header: bytes) -> int:
    """Return how long the header is that begins so; the shortest while that cannot be told."""
    if len(header) < 2:
        return 2
    match header[1] & ~_MASKED:
        case 126:
            return 4
        case 127:
            return 10
        case _:
            return 2
