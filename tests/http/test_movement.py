"""What counts as movement, and what only keeps a connection alive."""

import gzip

from hypothesis import given
from hypothesis import strategies as st

from kzproxy.attributes.request_info import StreamKind
from kzproxy.http.chunks import chunk
from kzproxy.http.messages import Chunked, NoBody, ResponseHead
from kzproxy.http.movement import Movement, movements
from kzproxy.http.spdy_frames import FrameType, data_frame
from kzproxy.http.websocket_frames import Opcode, server_frame
from tests.http.pieces import in_pieces
from tests.http.spdy import control

PING = control(FrameType.PING, 1)
WINDOW = control(FrameType.WINDOW_UPDATE, 1, b"\0\0\1\0")
OPEN = control(FrameType.SYN_STREAM, 1, b"\0\0\0\0\0\0headers")
BOOKMARK = b'{"type":"BOOKMARK","object":{"kind":"Pod","metadata":{"resourceVersion":"9"}}}\n'
ADDED = b'{"type":"ADDED","object":{"kind":"Pod","metadata":{"name":"BOOKMARK"}}}\n'
MASK = b"\x9c\x01\xfe\x33"


def answer(upgrade: str = "", protocol: str = "", coding: str = "") -> ResponseHead:
    said = (("sec-websocket-protocol", protocol), ("content-encoding", coding))
    headers = tuple([header for header in said if header[1]])
    body = NoBody() if upgrade else Chunked()
    status = 101 if upgrade else 200
    return ResponseHead(status=status, reason="", headers=headers, body=body, upgrade=upgrade)


def both(kind: StreamKind, head: ResponseHead) -> tuple[Movement, Movement]:
    return movements(kind, head)


def client_frame(opcode: Opcode, payload: bytes) -> bytes:
    """A masked frame as RFC 6455 section 5.2 has it."""
    size = len(payload)
    long = bytes([0x80 | 126]) + size.to_bytes(2, "big")
    length = bytes([0x80 | size]) if size < 126 else long
    masked = bytes(byte ^ MASK[index % 4] for index, byte in enumerate(payload))
    return bytes([0x80 | opcode]) + length + MASK + masked


CUTS = st.lists(st.integers(1, 9), max_size=60)


@given(CUTS)
def test_spdy_pings_do_not_count_however_they_are_cut(cuts: list[int]) -> None:
    for follower in both(StreamKind.EXEC, answer("spdy/3.1")):
        assert not any(follower.feed(piece) for piece in in_pieces((PING + WINDOW) * 5, cuts))


@given(CUTS)
def test_spdy_data_count_however_they_are_cut(cuts: list[int]) -> None:
    for follower in both(StreamKind.EXEC, answer("spdy/3.1")):
        data = PING + data_frame(3, b"hello") + PING
        moved = [follower.feed(piece) for piece in in_pieces(data, cuts)]
        assert any(moved)
        assert not follower.feed(PING)


def test_each_part_of_a_long_spdy_frame_counts() -> None:
    _, up = both(StreamKind.EXEC, answer("spdy/3.1"))
    data = data_frame(3, b"x" * 100)
    assert up.feed(data[:20])
    assert up.feed(data[20:50])
    assert up.feed(data[50:])
    assert not up.feed(PING)


def test_a_new_stream_counts() -> None:
    _, up = both(StreamKind.PORT_FORWARD, answer("spdy/3.1"))
    assert up.feed(OPEN)


@given(CUTS)
def test_websocket_pings_do_not_count(cuts: list[int]) -> None:
    down, up = both(StreamKind.EXEC, answer("websocket", "v5.channel.k8s.io"))
    pongs = server_frame(Opcode.PONG, b"beat") + server_frame(Opcode.CLOSE, b"\x03\xe8")
    assert not any(down.feed(piece) for piece in in_pieces(pongs, cuts))
    pings = client_frame(Opcode.PING, b"beat") * 5 + client_frame(Opcode.PING, b"")
    assert not any(up.feed(piece) for piece in in_pieces(pings, cuts))


@given(CUTS)
def test_websocket_messages_count(cuts: list[int]) -> None:
    down, up = both(StreamKind.EXEC, answer("websocket", "v5.channel.k8s.io"))
    assert any(down.feed(piece) for piece in in_pieces(server_frame(Opcode.BINARY, b"\1out"), cuts))
    keys = client_frame(Opcode.BINARY, b"\0ls\n")
    assert any(up.feed(piece) for piece in in_pieces(keys, cuts))


def test_the_empty_message_that_opens_a_channel_does_not_count() -> None:
    down, _ = both(StreamKind.EXEC, answer("websocket", "v5.channel.k8s.io"))
    assert not down.feed(server_frame(Opcode.BINARY, b"\1"))


@given(CUTS)
def test_pings_in_a_tunnelled_port_forward_do_not_count(cuts: list[int]) -> None:
    head = answer("websocket", "SPDY/3.1+portforward.k8s.io")
    down, up = both(StreamKind.PORT_FORWARD, head)
    pings = b"".join(client_frame(Opcode.BINARY, piece) for piece in in_pieces(PING * 3, cuts))
    assert not any(up.feed(piece) for piece in in_pieces(pings, cuts))
    assert not any(down.feed(server_frame(Opcode.BINARY, p)) for p in in_pieces(PING * 3, cuts))
    assert up.feed(client_frame(Opcode.BINARY, data_frame(1, b"GET / HTTP/1.1")))
    assert down.feed(server_frame(Opcode.BINARY, data_frame(1, b"x" * 300)))


def test_events_count_and_bookmarks_do_not() -> None:
    down, _ = both(StreamKind.WATCH, answer())
    assert not down.feed(chunk(BOOKMARK))
    assert down.feed(chunk(ADDED))
    assert down.feed(chunk(BOOKMARK) + chunk(ADDED))


def test_bookmarks_in_protobuf_do_not_count() -> None:
    down, _ = both(StreamKind.WATCH, answer())
    assert not down.feed(chunk(b"\0\0\0\x10\n\x08BOOKMARK\x12\x04k8s\0"))
    assert down.feed(chunk(b"\0\0\0\x10\n\x05ADDED\x12\x07k8s\0..."))


def test_a_watch_that_nobody_can_read_does_not_move() -> None:
    """Since Kubernetes 1.37 one that begins with a list may come in gzip, bookmarks and all."""
    down, _ = both(StreamKind.WATCH, answer(coding="gzip"))
    assert not down.feed(chunk(gzip.compress(BOOKMARK)))


def test_bookmarks_by_websocket_do_not_count() -> None:
    down, _ = both(StreamKind.WATCH, answer("websocket"))
    assert not down.feed(server_frame(Opcode.TEXT, BOOKMARK))
    assert down.feed(server_frame(Opcode.TEXT, ADDED))


def test_every_byte_of_a_log_counts() -> None:
    down, _ = both(StreamKind.LOG, answer())
    assert down.feed(b"1\r\nx\r\n")
    assert not down.feed(b"")


@given(st.binary(max_size=200), CUTS, st.sampled_from(["spdy/3.1", "websocket"]))
def test_nothing_breaks_a_follower(data: bytes, cuts: list[int], upgrade: str) -> None:
    for follower in both(StreamKind.EXEC, answer(upgrade)):
        for piece in in_pieces(data, cuts):
            follower.feed(piece)
