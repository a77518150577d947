"""Boundaries between WebSocket messages, whatever the buffers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kzproxy.http.websocket_frames import (
    FrameHeader,
    Opcode,
    WebSocketFrames,
    frame_header,
    server_frame,
)

SIZES = st.sampled_from([0, 1, 5, 125, 126, 127, 300, 65535, 65536])
CONTROL = st.sampled_from([server_frame(Opcode.PING, b"p"), server_frame(Opcode.PONG, b"")])


def fragment(frame: bytes, opcode: int, *, final: bool) -> bytes:
    return bytes([(0x80 if final else 0) | opcode]) + frame[1:]


def header(
    size: int, opcode: int, length: int, *, final: bool = True, mask: str = ""
) -> FrameHeader:
    return FrameHeader(
        size_bytes=size,
        is_final=final,
        is_extended=False,
        opcode=opcode,
        mask=bytes.fromhex(mask),
        payload_bytes=length,
    )


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        ("81 05 48656c6c6f", header(2, Opcode.TEXT, 5)),
        ("81 85 37fa213d 7f9f4d5158", header(6, Opcode.TEXT, 5, mask="37fa213d")),
        ("01 03 48656c", header(2, Opcode.TEXT, 3, final=False)),
        ("80 02 6c6f", header(2, Opcode.CONTINUATION, 2)),
        ("89 05 48656c6c6f", header(2, Opcode.PING, 5)),
        ("8a 85 37fa213d 7f9f4d5158", header(6, Opcode.PONG, 5, mask="37fa213d")),
        ("82 7e 0100", header(4, Opcode.BINARY, 256)),
        ("82 7f 0000000000010000", header(10, Opcode.BINARY, 65536)),
    ],
)
def test_headers_are_read_as_in_the_standards_examples(frame: str, told: FrameHeader) -> None:
    """RFC 6455 section 5.7."""
    data = bytes.fromhex(frame)
    for cut in range(told.size_bytes):
        assert frame_header(data[:cut]) is None
    assert frame_header(data) == told


@pytest.mark.parametrize("bit", [0x40, 0x20, 0x10])
def test_each_reserved_bit_says_that_an_extension_is_needed(bit: int) -> None:
    told = frame_header(bytes([0x81 | bit, 0]))
    assert told is not None
    assert told.is_extended


def test_the_longest_header_is_read_whole() -> None:
    told = frame_header(bytes.fromhex("02 ff 00000000ffffffff 01020304"))
    assert told == header(14, Opcode.BINARY, 0xFFFFFFFF, final=False, mask="01020304")


@st.composite
def messages(draw: st.DrawFn) -> list[bytes]:
    """Frames of one message: whole or in fragments, with control frames between those."""
    opcode = draw(st.sampled_from([Opcode.TEXT, Opcode.BINARY]))
    count = draw(st.integers(1, 3))
    frames = []
    for number in range(count):
        payload = server_frame(opcode, b"\x81" * draw(SIZES))
        first = opcode if number == 0 else Opcode.CONTINUATION
        frames.append(fragment(payload, first, final=number == count - 1))
        if number < count - 1 and draw(st.booleans()):
            frames.append(draw(CONTROL))
    return frames


@given(
    st.lists(st.one_of(messages(), CONTROL.map(lambda frame: [frame])), max_size=4),
    st.lists(st.integers(0, 400_000), max_size=10),
)
@settings(deadline=None, max_examples=200)
def test_a_boundary_is_where_a_message_ends(parts, cuts):
    """Payload bytes that look like frames, and control frames within a message, do not count."""
    stream, ends = b"", {0}
    for frames in parts:
        stream += b"".join(frames)
        ends.add(len(stream))
    tracker, position = WebSocketFrames(), 0
    near_ends = {end + shift for end in ends for shift in (-1, 0, 1)}
    for cut in sorted({cut for cut in near_ends | set(cuts) if 0 <= cut <= len(stream)}):
        tracker.feed(stream[position:cut])
        position = cut
        assert tracker.between_messages == (cut in ends)


@given(
    st.lists(st.one_of(messages(), CONTROL.map(lambda frame: [frame])), min_size=1, max_size=4),
    st.lists(st.integers(0, 400_000), max_size=10),
)
@settings(deadline=None, max_examples=200)
def test_what_has_come_of_a_frame_is_told_and_where_there_was_a_boundary_before_it(parts, cuts):
    """What is held back of a frame is dropped at a cut: all depends on where it began."""
    stream, starts, ends = b"", [0], {0}
    for frames in parts:
        for frame in frames:
            stream += frame
            starts.append(len(stream))
        ends.add(len(stream))
    tracker, position = WebSocketFrames(), 0
    near_starts = {start + shift for start in starts for shift in (-1, 0, 1, 2)}
    for cut in sorted({cut for cut in near_starts | set(cuts) if 0 <= cut <= len(stream)}):
        tracker.feed(stream[position:cut])
        position = cut
        began = max(start for start in starts if start <= cut)
        assert tracker.unfinished_bytes == cut - began
        assert tracker.between_messages_before == (began in ends)


def test_byte_by_byte_the_boundaries_are_the_same():
    stream = server_frame(Opcode.BINARY, b"x" * 300) + server_frame(Opcode.TEXT, b"y")
    tracker, found = WebSocketFrames(), set()
    for position, byte in enumerate(stream):
        tracker.feed(bytes([byte]))
        if tracker.between_messages:
            found.add(position + 1)
    assert found == {304, len(stream)}


def test_an_unfinished_message_is_no_boundary_between_its_fragments():
    """A data frame put in here would be a protocol error."""
    tracker = WebSocketFrames()
    tracker.feed(fragment(server_frame(Opcode.BINARY, b"a"), Opcode.BINARY, final=False))
    assert not tracker.between_messages
    tracker.feed(server_frame(Opcode.PING, b""))
    assert not tracker.between_messages
    tracker.feed(fragment(server_frame(Opcode.BINARY, b"b"), Opcode.CONTINUATION, final=True))
    assert tracker.between_messages


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(server_frame(Opcode.CLOSE, b"\x03\xe8"), id="close"),
        pytest.param(b"\x82\x81\x00\x00\x00\x00a", id="masked"),
        pytest.param(b"\xc2\x01a", id="compressed"),
        pytest.param(b"\x80\x01a", id="continuation-of-nothing"),
        pytest.param(b"\x83\x00", id="opcode-3"),
        pytest.param(b"\x8b\x00", id="opcode-11"),
        pytest.param(b"\x09\x00", id="ping-in-fragments"),
        pytest.param(b"\x89\x7e\x00\x7e" + b"p" * 126, id="ping-too-long"),
        pytest.param(b"\x02\x00\x82\x00", id="message-within-a-message"),
    ],
)
def test_after_a_close_or_a_fault_there_is_no_boundary(frame):
    tracker = WebSocketFrames()
    tracker.feed(frame + server_frame(Opcode.BINARY, b"x"))
    assert not tracker.between_messages
    assert not tracker.between_messages_before
    assert not tracker.unfinished_bytes


def test_a_frame_is_as_long_as_it_says():
    """The forms of RFC 6455 section 5.2, shortest first."""
    assert server_frame(Opcode.BINARY, b"x") == b"\x82\x01x"
    assert server_frame(Opcode.TEXT, b"x" * 126).startswith(b"\x81\x7e\x00\x7ex")
    assert server_frame(Opcode.TEXT, b"x" * 65536).startswith(b"\x81\x7f" + b"\0" * 5 + b"\1\0\0x")
