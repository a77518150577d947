"""Boundaries between SPDY/3.1 frames, whatever the buffers."""

import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from kzproxy.http.spdy_frames import FrameType, SpdyFrame, SpdyFrames, data_frame
from tests.http.spdy import control


@st.composite
def frames(draw: st.DrawFn) -> tuple[bytes, SpdyFrame]:
    stream_id, flags = draw(st.integers(1, 2**31 - 1)), draw(st.integers(0, 3))
    payload = draw(st.binary(max_size=40))
    if draw(st.booleans()):
        head = struct.pack(">II", stream_id, flags << 24 | len(payload))
        return head + payload, SpdyFrame(FrameType.DATA, stream_id, flags)
    kind = draw(st.integers(1, 12))
    return control(kind, stream_id, payload, flags), SpdyFrame(kind, stream_id, flags)


@given(st.lists(frames(), max_size=6), st.lists(st.integers(0, 400), max_size=8))
@settings(deadline=None, max_examples=300)
def test_frames_and_boundaries_are_the_same_however_the_bytes_are_cut(sent, cuts):
    stream, ends = b"", {0}
    for frame, _ in sent:
        stream += frame
        ends.add(len(stream))
    tracker, found, position = SpdyFrames(), [], 0
    for cut in sorted({cut % (len(stream) + 1) for cut in cuts} | {len(stream)}):
        found += tracker.feed(stream[position:cut])
        position = cut
        assert tracker.between_frames == (cut in ends)
    assert found == [frame for _, frame in sent]


def test_byte_by_byte_a_frame_is_known_once():
    stream = control(FrameType.SYN_STREAM, 1, b"\0" * 10) + data_frame(3, b"abc")
    tracker = SpdyFrames()
    found = [frame for byte in stream for frame in tracker.feed(bytes([byte]))]
    assert found == [SpdyFrame(FrameType.SYN_STREAM, 1, 0), SpdyFrame(FrameType.DATA, 3, 1)]
    assert tracker.between_frames


def test_a_control_frame_shorter_than_a_stream_id_is_a_frame():
    tracker = SpdyFrames()
    assert len(tracker.feed(struct.pack(">HHI", 0x8003, 5, 0))) == 1
    assert tracker.between_frames


def test_another_version_has_no_boundaries():
    tracker = SpdyFrames()
    tracker.feed(struct.pack(">HHI", 0x8002, 6, 0))
    assert not tracker.between_frames
    assert tracker.feed(data_frame(1, b"x")) == []


def test_a_data_frame_is_laid_out_as_measured():
    """The bytes that made kubectl 1.32 exit 1 (stream 1, FIN)."""
    assert data_frame(1, b"abc") == struct.pack(">II", 1, (1 << 24) | 3) + b"abc"
    assert data_frame(5, b"") == struct.pack(">II", 5, 1 << 24)
