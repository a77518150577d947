r"""Chunked framing (RFC 9112 section 7.1), read without copying: says where the payload lies.

Strict where leniency has let requests be smuggled: a chunk's line is up to eight hexadecimal digits
and CRLF, nothing else. Chunk extensions are refused, not dropped: neither client-go nor Go's server
ever writes one, and parsers disagree on where they end (``5;a\nb``). Trailers are refused, because
a parser that merges them into the headers would take ``Impersonate-User`` from there.
"""

import re
from enum import Enum, auto

from kzproxy.errors.kinds import ProxyError

LAST_CHUNK = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """Frame ``data`` as one chunk; empty data gives nothing, since an empty chunk ends the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


class _Expected(Enum):
    SIZE = auto()
    PAYLOAD = auto()
    END_OF_CHUNK = auto()
    END_OF_BODY = auto()
    NOTHING = auto()


_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,8})\r\n")
_SIZE_LINE_SO_FAR = re.compile(rb"[0-9A-Fa-f]{0,8}|[0-9A-Fa-f]{1,8}\r")
_LONGEST_LINE_BYTES = 8 + 2
# What a chunk has around a payload of 256 to 4,095 bytes; of up to 65,535 a digit more.
_AROUND_THREE_DIGITS = 3 + 2 + 2
_MOST_IN_THREE_DIGITS = 0xFFF
# Go's server gathers small writes into chunks of 2,048 bytes (net/http, bufferBeforeChunkingSize):
# of these a list has thousands, and here they cost next to nothing.
_LIKE_GO = re.compile(rb"(?:800\r\n(?s:.){2048}\r\n)+")


class ChunkScanner:
    """Follows the chunks of one body through buffers cut anywhere.

    Holds at most one incomplete size line. The cost is per chunk and buffer, not per byte.

    Attributes:
        done: The last chunk has been seen whole.
        noted: Where payload lies in what was followed last; None where nobody asked for it.
        last_byte: The last one of payload so far; None before the first.
    """

    __slots__ = (
        "_alike_bytes",
        "_alike_line",
        "_error",
        "_expected",
        "_left_bytes",
        "_line",
        "done",
        "last_byte",
        "noted",
    )

    def __init__(self, error: type[ProxyError]) -> None:
        """Begin before the first chunk; ``error`` is raised for a body that has no reading."""
        self._error = error
        self._expected = _Expected.SIZE
        self._left_bytes = 0
        self._line = b""
        self.done = False
        self.noted: list[slice] | None = None
        self.last_byte: int | None = None
        # How a chunk begins that is as long as the one before: events of one object mostly are.
        self._alike_bytes = 0
        self._alike_line = b""

    @property
    def between_chunks(self) -> bool:
        """Whether a chunk has just ended (or none begun), so that another may be put in."""
        return self._expected is _Expected.SIZE and not self._line

    def scan(self, data: bytes) -> tuple[list[slice], int]:
        """Read on; return where payload lies in ``data`` and how much of it belongs to the body.

        Raises:
            ProxyError: Of the class given; the scanner must not be used again.
        """
        payload: list[slice] = []
        return payload, self._read(data, payload)

    def follow(self, data: bytes | memoryview) -> int:
        """Read on as ``scan`` does; the payload is noted where that was asked for.

        Raises:
            ProxyError: Of the class given; the scanner must not be used again.
        """
        noted = self.noted
        if self._expected is _Expected.SIZE and not self._line and type(data) is bytes:
            # One chunk and no more, as an event is: the same as ``chunk`` makes of what is in it.
            length = len(data)
            if length != self._alike_bytes:
                self._alike_bytes, self._alike_line = length, _line_of(length)
            line = self._alike_line
            if line and data.startswith(line) and data[-2:] == b"\r\n":
                self.last_byte = data[-3]
                if noted is not None:
                    noted[:] = (slice(len(line), length - 2),)
                return length
        if noted is not None:
            noted.clear()
        return self._read(data, noted)

    def note_payload(self) -> list[slice]:
        """Note from now on where payload lies; return what is filled anew with each ``follow``."""
        self.noted = []
        return self.noted

    def _read(self, data: bytes | memoryview, payload: list[slice] | None) -> int:
        """Read on; return how much belongs to the body, and note where ``payload`` lies."""
        position, end = 0, len(data)
        while position < end and not self.done:
            if self._expected is _Expected.SIZE and not self._line:
                position = self._whole_chunks(data, position, payload)
                if position == end:
                    break
            if self._expected is _Expected.PAYLOAD:
                stop = min(position + self._left_bytes, end)
                self.last_byte = data[stop - 1]
                if payload is not None:
                    payload.append(slice(position, stop))
                self._left_bytes -= stop - position
                position = stop
                if not self._left_bytes:
                    self._expected = _Expected.END_OF_CHUNK
            elif self._expected is _Expected.SIZE:
                position = self._size_line(data, position)
            else:
                position = self._line_end(data, position)
        return position

    def _whole_chunks(
        self, data: bytes | memoryview, position: int, payload: list[slice] | None
    ) -> int:
        """Pass over the chunks that ``data`` holds whole; return where the first other begins."""
        if payload is None and (run := _LIKE_GO.match(data, position)) is not None:
            position = run.end()
            self.last_byte = data[position - 3]
        while (line := _SIZE_LINE.match(data, position)) is not None:
            start = line.end()
            stop = start + int(line[1], 16)
            if stop == start or data[stop : stop + 2] != b"\r\n":
                break
            self.last_byte = data[stop - 1]
            if payload is not None:
                payload.append(slice(start, stop))
            position = stop + 2
        return position

    def _size_line(self, data: bytes | memoryview, position: int) -> int:
        """Read a size line, perhaps begun in an earlier buffer; return where it ends."""
        held = len(self._line)
        window = self._line + data[position : position + _LONGEST_LINE_BYTES - held]
        line = _SIZE_LINE.match(window)
        if line is None:
            if _SIZE_LINE_SO_FAR.fullmatch(window) is None:
                raise self._error(
                    "a chunk size that is not up to eight hexadecimal digits and CRLF"
                )
            self._line = window
            return len(data)
        self._line = b""
        self._left_bytes = int(line.group(1), 16)
        self._expected = _Expected.PAYLOAD if self._left_bytes else _Expected.END_OF_BODY
        return position + line.end() - held

    def _line_end(self, data: bytes | memoryview, position: int) -> int:
        """Read the CRLF after a chunk or, where trailers could stand, after the last one."""
        held = len(self._line)
        window = self._line + data[position : position + 2 - held]
        if window != b"\r\n"[: len(window)]:
            raise self._error(
                "trailers are not accepted"
                if self._expected is _Expected.END_OF_BODY
                else "a chunk that does not end in CRLF where its size says"
            )
        if len(window) < 2:
            self._line = window
            return len(data)
        self._line = b""
        self.done = self._expected is _Expected.END_OF_BODY
        self._expected = _Expected.NOTHING if self.done else _Expected.SIZE
        return position + 2 - held


def _line_of(length: int) -> bytes:
    """Return how ``chunk`` begins what it makes so long; empty where its size has 1, 2, 5 digits.

    Of what is that long nothing else has this beginning: the line says the size.
    """
    size = length - _AROUND_THREE_DIGITS
    if size > _MOST_IN_THREE_DIGITS:
        size -= 1
    line = b"%x\r\n" % max(size, 0)
    return line if size > 0 and len(line) + size + 2 == length else b""
