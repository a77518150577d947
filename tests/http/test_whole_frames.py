"""What of a direction goes on, however its bytes are cut."""

from hypothesis import given, settings
from hypothesis import strategies as st

from kzproxy.http.spdy_frames import SpdyFrames, data_frame
from kzproxy.http.websocket_frames import Opcode, WebSocketFrames, server_frame
from kzproxy.http.whole_frames import WholeFrames
from tests.http.pieces import in_pieces

_PAYLOADS = st.lists(st.binary(max_size=30) | st.just(b"x" * 70_000), max_size=4)
_CUTS = st.lists(st.integers(0, 150_000), max_size=12)


@given(_PAYLOADS, _CUTS)
@settings(deadline=None)
def test_spdy_goes_on_in_order_and_nothing_is_kept_of_whole_frames(payloads, cuts):
    stream = b"".join(data_frame(3, payload) for payload in payloads)
    frames, whole = SpdyFrames(), WholeFrames()
    passed = b""
    for piece in in_pieces(stream, cuts):
        frames.feed(piece)
        passed += whole.let_through(piece, frames.unfinished_bytes)
        assert len(whole.held) <= 64 * 1024
        assert stream.startswith(passed + whole.held)
    assert passed == stream


@given(_PAYLOADS, _CUTS)
@settings(deadline=None)
def test_websocket_goes_on_in_order_and_nothing_is_kept_of_whole_frames(payloads, cuts):
    stream = b"".join(server_frame(Opcode.BINARY, payload) for payload in payloads)
    frames, whole = WebSocketFrames(), WholeFrames()
    passed = b""
    for piece in in_pieces(stream, cuts):
        frames.feed(piece)
        passed += whole.let_through(piece, frames.unfinished_bytes)
        assert len(whole.held) <= 64 * 1024
        assert stream.startswith(passed + whole.held)
    assert passed == stream
