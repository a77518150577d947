"""How exec, attach and watch over WebSocket are ended; read back by aiohttp's own reader."""

import asyncio
import base64
import hashlib
import json

import aiohttp
import pytest

from kzproxy.errors.kinds import Forbidden
from kzproxy.errors.status import status_body
from kzproxy.http.websocket_cut import WebSocketExecCut, WebSocketWatchCut
from kzproxy.http.websocket_frames import Opcode, server_frame

STATUS = status_body(Forbidden("posture lapsed"), "audit-1")
CLOSE_1000 = b"\x88\x02\x03\xe8"
OUTPUT = server_frame(Opcode.BINARY, b"\x01hello")


def read_frame(frames: bytes) -> tuple[int, bytes, bytes]:
    """Read one short or medium frame by hand; return opcode, payload and the rest."""
    size, start = frames[1], 2
    if size == 126:
        size, start = int.from_bytes(frames[2:4], "big"), 4
    return frames[0] & 0x0F, frames[start : start + size], frames[start + size :]


@pytest.mark.parametrize("protocol", ["v4.channel.k8s.io", "v5.channel.k8s.io"])
def test_exec_is_told_by_a_status_on_channel_3_and_then_closed(protocol):
    cut = WebSocketExecCut(protocol)
    cut.feed(OUTPUT)
    opcode, payload, rest = read_frame(cut.farewell(STATUS))
    assert (opcode, payload[:1], rest) == (Opcode.BINARY, b"\x03", CLOSE_1000)
    assert json.loads(payload[1:])["reason"] == "Forbidden"


@pytest.mark.parametrize("protocol", ["", "channel.k8s.io"])
def test_old_protocols_are_told_in_plain_text(protocol):
    opcode, payload, rest = read_frame(WebSocketExecCut(protocol).farewell(STATUS))
    assert (opcode, rest) == (Opcode.BINARY, CLOSE_1000)
    assert payload == b"\x03posture lapsed (audit id audit-1)"


def test_base64_protocols_are_told_in_text_frames():
    opcode, payload, rest = read_frame(
        WebSocketExecCut("v4.base64.channel.k8s.io").farewell(STATUS)
    )
    assert (opcode, payload[:1], rest) == (Opcode.TEXT, b"3", CLOSE_1000)
    assert json.loads(base64.b64decode(payload[1:], validate=True))["code"] == 403
    _, payload, _ = read_frame(WebSocketExecCut("base64.channel.k8s.io").farewell(STATUS))
    assert base64.b64decode(payload[1:], validate=True) == b"posture lapsed (audit id audit-1)"


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"\x02" + OUTPUT[1:], id="within-a-message"),
        pytest.param(CLOSE_1000, id="after-a-close"),
        pytest.param(
            server_frame(Opcode.BINARY, b"x" * 70_000)[:66_000],
            id="within-a-frame-too-long-to-hold",
        ),
        pytest.param(b"\x83\x05hel", id="within-a-frame-that-must-not-be"),
    ],
)
def test_exec_is_never_closed_without_its_reason(sent):
    """Close 1000 alone exits 0: within a message there is only the abort."""
    cut = WebSocketExecCut("v5.channel.k8s.io")
    assert cut.feed(sent) == sent
    assert not cut.at_boundary
    assert cut.farewell(STATUS) is None


@pytest.mark.parametrize("begun", [OUTPUT[:1], OUTPUT[:2], OUTPUT[:-1], b"\x89\x04ping"[:-1]])
def test_a_frame_that_is_not_whole_is_held_back_so_that_the_reason_can_be_told(begun):
    cut = WebSocketExecCut("v5.channel.k8s.io")
    assert cut.feed(OUTPUT + begun) == OUTPUT
    assert cut.at_boundary
    assert cut.farewell(STATUS) == WebSocketExecCut("v5.channel.k8s.io").farewell(STATUS)


def test_what_continues_a_message_is_no_boundary_when_it_is_held_back():
    cut = WebSocketExecCut("v5.channel.k8s.io")
    first, last = b"\x02" + OUTPUT[1:], b"\x80" + OUTPUT[1:]
    assert cut.feed(first + last[:-1]) == first
    assert cut.farewell(STATUS) is None
    assert cut.feed(last[-1:]) == last
    assert cut.at_boundary


@pytest.mark.parametrize("protocol", ["SPDY/3.1+portforward.k8s.io", "v6.channel.k8s.io"])
def test_a_protocol_without_a_known_error_channel_has_no_farewell(protocol):
    cut = WebSocketExecCut(protocol)
    assert not cut.at_boundary
    assert cut.farewell(STATUS) is None


def test_a_watch_of_json_events_is_told_by_an_error_event():
    cut = WebSocketWatchCut()
    cut.feed(server_frame(Opcode.TEXT, b'{"type":"ADDED"}\n'))
    opcode, payload, rest = read_frame(cut.farewell(STATUS))
    assert (opcode, rest) == (Opcode.TEXT, CLOSE_1000)
    assert json.loads(payload)["type"] == "ERROR"


@pytest.mark.parametrize("sent", [b"", server_frame(Opcode.BINARY, b"k8s\x00")])
def test_a_watch_of_an_unknown_encoding_is_only_closed(sent):
    cut = WebSocketWatchCut()
    cut.feed(sent)
    assert cut.farewell(STATUS) == CLOSE_1000


def test_a_watch_within_a_message_has_no_farewell():
    cut = WebSocketWatchCut()
    cut.feed_client(b"\x00")
    assert cut.at_boundary
    cut.feed(b"\x01" + server_frame(Opcode.TEXT, b"{}")[1:])
    assert cut.farewell(STATUS) is None


def accept(key: str) -> str:
    """Answer a handshake's key (RFC 6455 section 4.2.2)."""
    magic = key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    return base64.b64encode(hashlib.sha1(magic.encode()).digest()).decode()


async def serve_frames(frames: bytes, over: asyncio.Event) -> asyncio.Server:
    """Start a server on loopback that answers any handshake, sends ``frames`` and waits for EOF."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        key = next(
            line.partition(":")[2].strip()
            for line in head.splitlines()
            if line.lower().startswith("sec-websocket-key:")
        )
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Accept: " + accept(key).encode() + b"\r\n\r\n" + frames
        )
        await reader.read()
        writer.close()
        await writer.wait_closed()
        over.set()

    return await asyncio.start_server(answer, "127.0.0.1", 0)


async def test_a_foreign_client_reads_the_farewell_as_a_message_and_a_close():
    """It is aiohttp's client, over a socket: output, then the Status, then a normal closure."""
    cut = WebSocketExecCut("v5.channel.k8s.io")
    cut.feed(OUTPUT)
    over = asyncio.Event()
    server = await serve_frames(OUTPUT + cut.farewell(STATUS), over)
    port = server.sockets[0].getsockname()[1]
    async with (
        server,
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://127.0.0.1:{port}/") as socket,
    ):
        assert (await socket.receive()).data == b"\x01hello"
        message = await socket.receive()
        assert message.type is aiohttp.WSMsgType.BINARY
        assert json.loads(message.data[1:])["code"] == 403
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == 1000
        await socket.close()
    await over.wait()
