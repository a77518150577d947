"""Whole WebSocket messages of a server, where what they say is looked at (RFC 6455 section 5)."""

from collections.abc import Iterator
from typing import NamedTuple

from kzproxy.errors.kinds import UpstreamInvalid
from kzproxy.http.websocket_frames import Opcode, frame_header

_OPCODES = frozenset(Opcode)
_CONTROLS = frozenset({Opcode.CLOSE, Opcode.PING, Opcode.PONG})
_MAX_CONTROL_BYTES = 125


class Message(NamedTuple):
    """One message: TEXT or BINARY, or a control frame."""

    opcode: Opcode
    payload: bytes


class WebSocketMessages:
    """Puts messages together out of buffers cut anywhere; holds an incomplete one, within a bound.

    Control frames may come between the fragments of a message, and are given out as they come.
    """

    __slots__ = ("_begun", "_buffer", "_max_bytes", "_opcode")

    def __init__(self, max_bytes: int) -> None:
        """Begin after the 101; ``max_bytes`` is the bound of one message."""
        self._max_bytes = max_bytes
        self._buffer = bytearray()
        self._begun = bytearray()
        self._opcode: Opcode | None = None

    def feed(self, data: bytes) -> Iterator[Message]:
        """Yield the messages that ``data`` completes.

        Raises:
            UpstreamInvalid: It is nothing that a server may send to who has offered no extension,
                or a message is over its bound.
        """
        self._buffer += data
        while (frame := self._frame()) is not None:
            is_final, opcode, payload = frame
            if opcode in _CONTROLS:
                if not is_final or len(payload) > _MAX_CONTROL_BYTES:
                    raise _invalid("a control frame that is no whole message")
                yield Message(opcode, payload)
                continue
            if (opcode is Opcode.CONTINUATION) is (self._opcode is None):
                raise _invalid("a fragment of nothing, or a message within another")
            self._begun += payload
            self._opcode = self._opcode or opcode
            if is_final:
                message = Message(self._opcode, bytes(self._begun))
                self._begun, self._opcode = bytearray(), None
                yield message

    def _frame(self) -> tuple[bool, Opcode, bytes] | None:
        """Take the next frame out of the buffer; None while it has not come whole."""
        header = frame_header(self._buffer)
        if header is None:
            return None
        if header.mask or header.is_extended or header.opcode not in _OPCODES:
            raise _invalid("a frame that no server may send")
        if header.payload_bytes + len(self._begun) > self._max_bytes:
            raise _invalid(f"a message over {self._max_bytes} bytes")
        end = header.size_bytes + header.payload_bytes
        if len(self._buffer) < end:
            return None
        payload = bytes(self._buffer[header.size_bytes : end])
        del self._buffer[:end]
        return header.is_final, Opcode(header.opcode), payload


def _invalid(what: str) -> UpstreamInvalid:
    return UpstreamInvalid(f"kube-apiserver sent {what} on a WebSocket")
