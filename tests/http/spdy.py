"""SPDY/3.1 control frames for the tests, written from the draft and not from the code."""

import struct


def control(kind: int, stream_id: int, rest: bytes = b"", flags: int = 0) -> bytes:
    """Build a control frame about a stream; ``rest`` follows the stream's id."""
    payload = struct.pack(">I", stream_id) + rest
    return struct.pack(">HHI", 0x8003, kind, flags << 24 | len(payload)) + payload
