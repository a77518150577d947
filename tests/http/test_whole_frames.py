"""What of a direction goes on, however its bytes are cut."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kzproxy.http.spdy_frames import SpdyFrames, data_frame
from kzproxy.http.websocket_frames import Opcode, WebSocketFrames, server_frame
from kzproxy.http.whole_frames import WholeFrames
from tests.http.pieces import in_pieces

_PAYLOADS = st.lists(st.binary(max_size=30) | st.just(b"x" * 70_000), max_size=4)
_CUTS = st.lists(st.integers(0, 150_000), max_size=12)


def spdy_frame(payload: bytes) -> bytes:
    return data_frame(3, payload)


def websocket_frame(payload: bytes) -> bytes:
    return server_frame(Opcode.BINARY, payload)


@pytest.mark.parametrize(
    ("reader", "framed"),
    [(SpdyFrames, spdy_frame), (WebSocketFrames, websocket_frame)],
    ids=["spdy", "websocket"],
)
@given(payloads=_PAYLOADS, cuts=_CUTS)
@settings(deadline=None)
def test_it_goes_on_in_order_and_nothing_is_kept_of_whole_frames(reader, framed, payloads, cuts):
    stream = b"".join(framed(payload) for payload in payloads)
    frames, whole = reader(), WholeFrames()
    passed = b""
    for piece in in_pieces(stream, cuts):
        frames.feed(piece)
        passed += whole.let_through(piece, frames.unfinished_bytes)
        assert len(whole.held) <= 64 * 1024
        assert stream.startswith(passed + whole.held)
    assert passed == stream
