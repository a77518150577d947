"""Whole messages out of a server's frames, whatever the buffers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.errors.kinds import UpstreamInvalid
from kzproxy.http.websocket_frames import Opcode, server_frame
from kzproxy.http.websocket_messages import WebSocketMessages
from tests.http.pieces import in_pieces

PAYLOADS = st.sampled_from([b"", b"\x81", b"a" * 125, b"b" * 126, b"c" * 65535, b"d" * 65536])
DATA = st.tuples(st.sampled_from([Opcode.TEXT, Opcode.BINARY]), PAYLOADS)
CONTROL = st.tuples(st.sampled_from([Opcode.PING, Opcode.PONG, Opcode.CLOSE]), st.just(b"p"))
PING = server_frame(Opcode.PING, b"p")


def begun(frame: bytes) -> bytes:
    return bytes([frame[0] & 0x7F]) + frame[1:]


@given(st.lists(DATA | CONTROL, max_size=4), st.lists(st.integers(0, 70_000), max_size=6))
def test_messages_come_out_as_they_went_in(messages, sizes):
    stream = b"".join(server_frame(opcode, payload) for opcode, payload in messages)
    read = WebSocketMessages(65536)
    found = [each for piece in in_pieces(stream, sizes) for each in read.feed(piece)]
    assert [tuple(each) for each in found] == messages


def test_fragments_are_one_message_and_a_ping_may_come_between():
    stream = begun(server_frame(Opcode.TEXT, b"ab")) + PING
    stream += server_frame(Opcode.CONTINUATION, b"c")
    read = WebSocketMessages(3)
    found = [each for at in range(len(stream)) for each in read.feed(stream[at : at + 1])]
    assert found == [(Opcode.PING, b"p"), (Opcode.TEXT, b"abc")]


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(b"\xc1\x01a", id="needs-an-extension"),
        pytest.param(b"\x81\x81\0\0\0\0a", id="masked"),
        pytest.param(b"\x83\x01a", id="unknown-opcode"),
        pytest.param(begun(PING), id="part-of-a-ping"),
        pytest.param(server_frame(Opcode.PING, b"p" * 126), id="long-ping"),
        pytest.param(server_frame(Opcode.CONTINUATION, b"a"), id="fragment-of-nothing"),
        pytest.param(begun(server_frame(Opcode.TEXT, b"a")) * 2, id="message-in-a-message"),
        pytest.param(b"\x81\x7f" + b"\xff" * 8, id="longer-than-anything"),
        pytest.param(server_frame(Opcode.TEXT, b"a" * 201)[:4], id="over-the-bound"),
        pytest.param(
            begun(server_frame(Opcode.TEXT, b"a" * 200)) + server_frame(Opcode.CONTINUATION, b"a"),
            id="over-the-bound-in-fragments",
        ),
    ],
)
def test_what_no_server_may_send_has_no_reading(stream):
    with pytest.raises(UpstreamInvalid):
        list(WebSocketMessages(200).feed(stream))
