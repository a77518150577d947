"""How exec and attach over SPDY are ended: the error stream first."""

import json
import struct

import pytest

from kzproxy.errors.kinds import Forbidden
from kzproxy.errors.status import status_body
from kzproxy.http.spdy_cut import SpdyExecCut
from kzproxy.http.spdy_frames import FLAG_FIN, FrameType, data_frame
from tests.http.spdy import control

STATUS = status_body(Forbidden("posture lapsed"), "audit-1")
ERROR, STDOUT, STDERR = 1, 3, 5
COMPRESSED_HEADERS = b"\0" * 6 + b"\x78\xbb\xe3\xc6"


def syn_stream(stream_id: int) -> bytes:
    return control(FrameType.SYN_STREAM, stream_id, COMPRESSED_HEADERS)


def syn_reply(stream_id: int) -> bytes:
    return control(FrameType.SYN_REPLY, stream_id, COMPRESSED_HEADERS)


def output(stream_id: int, payload: bytes, flags: int = 0) -> bytes:
    return struct.pack(">II", stream_id, flags << 24 | len(payload)) + payload


def session(protocol: str = "v4.channel.k8s.io") -> SpdyExecCut:
    """Open error, stdout and stderr, as client-go does."""
    cut = SpdyExecCut(protocol)
    for stream_id in (ERROR, STDOUT, STDERR):
        cut.feed_client(syn_stream(stream_id))
        cut.feed(syn_reply(stream_id))
    return cut


def test_the_status_goes_to_the_error_stream_and_all_streams_end():
    cut = session()
    cut.feed(output(STDOUT, b"hello"))
    assert cut.at_boundary
    assert cut.farewell(STATUS) == (
        output(ERROR, STATUS.strip(), FLAG_FIN)
        + output(STDOUT, b"", FLAG_FIN)
        + output(STDERR, b"", FLAG_FIN)
    )
    assert json.loads(STATUS)["code"] == 403


@pytest.mark.parametrize("protocol", ["", "channel.k8s.io", "v2.channel.k8s.io"])
def test_old_protocols_are_told_in_plain_text(protocol):
    farewell = session(protocol).farewell(STATUS)
    assert farewell.startswith(data_frame(ERROR, b"posture lapsed (audit id audit-1)"))


def test_a_stream_that_has_ended_is_not_written_to():
    cut = session()
    cut.feed(output(STDOUT, b"bye", FLAG_FIN))
    cut.feed(control(FrameType.RST_STREAM, STDERR, b"\0\0\0\5"))
    assert cut.farewell(STATUS) == output(ERROR, STATUS.strip(), FLAG_FIN)


def test_a_stream_that_the_client_has_reset_is_not_written_to():
    cut = session()
    cut.feed_client(control(FrameType.RST_STREAM, STDOUT, b"\0\0\0\5"))
    assert output(STDOUT, b"", FLAG_FIN) not in cut.farewell(STATUS)
    cut.feed_client(control(FrameType.RST_STREAM, ERROR, b"\0\0\0\5"))
    assert cut.farewell(STATUS) is None


def test_a_reply_that_ends_its_stream_does_not_open_it():
    cut = session()
    cut.feed_client(syn_stream(7))
    cut.feed(control(FrameType.SYN_REPLY, 7, COMPRESSED_HEADERS, FLAG_FIN))
    assert output(7, b"", FLAG_FIN) not in cut.farewell(STATUS)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(output(ERROR, b"{}", FLAG_FIN), id="error-stream-ended"),
        pytest.param(struct.pack(">HHI", 0x8002, 6, 4) + b"\0\0\0\1", id="not-spdy-3"),
        pytest.param(struct.pack(">HHI", 0x8002, 6, 9) + bytes(6), id="not-spdy-3-and-not-whole"),
        pytest.param(output(STDOUT, b"x" * 70_000)[:66_000], id="within-a-frame-too-long-to-hold"),
    ],
)
def test_where_the_reason_cannot_be_told_there_is_no_farewell(sent):
    """Every other end exits 0, so the caller aborts."""
    cut = session()
    assert cut.feed(sent) == sent
    assert not cut.at_boundary
    assert cut.farewell(STATUS) is None


@pytest.mark.parametrize(
    "begun",
    [
        pytest.param(output(STDOUT, b"hello")[:4], id="the-stream-alone"),
        pytest.param(output(STDOUT, b"hello")[:8], id="the-header-alone"),
        pytest.param(output(STDOUT, b"hello")[:-1], id="most-of-the-frame"),
        pytest.param(output(ERROR, b"{}", FLAG_FIN)[:-1], id="the-end-of-the-error-stream"),
        pytest.param(control(FrameType.RST_STREAM, ERROR, b"\0\0\0\5")[:-1], id="its-reset"),
    ],
)
def test_a_frame_that_is_not_whole_is_held_back_so_that_the_reason_can_be_told(begun):
    cut = session()
    assert cut.feed(output(STDERR, b"oh") + begun) == output(STDERR, b"oh")
    assert cut.at_boundary
    assert cut.farewell(STATUS) == session().farewell(STATUS)


def test_a_stream_whose_reply_is_held_back_is_not_written_to():
    """What comes on a stream before its reply, client-go drops."""
    cut = SpdyExecCut("v4.channel.k8s.io")
    cut.feed_client(syn_stream(ERROR))
    assert cut.feed(syn_reply(ERROR)[:-1]) == b""
    assert cut.farewell(STATUS) is None
    assert cut.feed(syn_reply(ERROR)[-1:]) == syn_reply(ERROR)
    assert cut.farewell(STATUS) == output(ERROR, STATUS.strip(), FLAG_FIN)


def test_a_frame_goes_on_in_whole_when_its_end_comes():
    cut, frame = session(), output(STDOUT, b"hello")
    passed = [cut.feed(bytes([byte])) for byte in frame]
    assert passed == [b""] * (len(frame) - 1) + [frame]


def test_a_frame_too_long_to_hold_goes_on_as_it_comes_and_the_next_is_held_again():
    cut, long, short = session(), output(STDOUT, b"x" * 100_000), output(STDOUT, b"y")
    assert cut.feed(long[:60_000]) == b""
    assert cut.feed(long[60_000:80_000]) == long[:80_000]
    assert cut.feed(long[80_000:90_000]) == long[80_000:90_000]
    assert cut.feed(long[90_000:] + short[:5]) == long[90_000:]
    assert cut.at_boundary
    assert cut.feed(short[5:]) == short


def test_before_the_error_stream_is_answered_there_is_no_farewell():
    cut = SpdyExecCut("v4.channel.k8s.io")
    assert cut.farewell(STATUS) is None
    cut.feed_client(syn_stream(ERROR))
    assert cut.farewell(STATUS) is None
    cut.feed(syn_reply(ERROR))
    assert cut.farewell(STATUS) == output(ERROR, STATUS.strip(), FLAG_FIN)


def test_a_reply_to_a_stream_that_was_never_opened_opens_nothing():
    cut = SpdyExecCut("v4.channel.k8s.io")
    cut.feed(syn_reply(ERROR))
    assert cut.farewell(STATUS) is None


def test_many_streams_do_not_fill_memory_and_the_error_stream_is_still_told():
    cut = session()
    for stream_id in range(7, 2007, 2):
        cut.feed_client(syn_stream(stream_id))
        cut.feed(syn_reply(stream_id))
    farewell = cut.farewell(STATUS)
    assert farewell.startswith(output(ERROR, STATUS.strip(), FLAG_FIN))
    assert len(farewell) < len(STATUS) + 16 * 8


def test_frames_cut_anywhere_give_the_same_farewell():
    whole, byte_by_byte = session(), SpdyExecCut("v4.channel.k8s.io")
    for stream_id in (ERROR, STDOUT, STDERR):
        for byte in syn_stream(stream_id):
            byte_by_byte.feed_client(bytes([byte]))
        for byte in syn_reply(stream_id):
            byte_by_byte.feed(bytes([byte]))
    assert byte_by_byte.farewell(STATUS) == whole.farewell(STATUS)
