"""Connections are bounded: in number, in time, and in what a handshake may take."""

import asyncio
import contextlib
import gzip
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web
from msgspec.structs import replace

from kzproxy.transport.accepting import listening_socket
from kzproxy.web.bounded_server import ServerLimits, serving_bounded
from tests.audit.faults import no_more_files
from tests.servers.authority import Authority

LIMITS = ServerLimits(
    connections=6,
    connections_per_address=3,
    handshake=timedelta(seconds=10),
    idle=timedelta(seconds=20),
    life=timedelta(seconds=20),
)
ASK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@dataclass
class Scene:
    directory: Path
    authority: Authority
    contexts: list[ssl.SSLContext]

    def context(self) -> ssl.SSLContext:
        certificate, key = self.authority.server("localhost").write_to(self.directory, "tls")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    scene = Scene(tmp_path, Authority.root(), [])
    scene.contexts.append(scene.context())
    return scene


@asynccontextmanager
async def serving(scene: Scene, limits: ServerLimits = LIMITS) -> AsyncIterator[int]:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def measure(request: web.Request) -> web.Response:
        return web.Response(text=f"{len(await request.read())} bytes")

    async def fail(_: web.Request) -> web.Response:
        raise RuntimeError("a bug")

    application = web.Application()
    application.router.add_get("/", answer)
    application.router.add_get("/bug", fail)
    application.router.add_post("/", measure)
    sock = listening_socket("127.0.0.1", 0)
    port = sock.getsockname()[1]
    async with serving_bounded(application, sock, lambda: scene.contexts[-1], limits):
        yield port


async def opened(
    scene: Scene, port: int, address: str = "127.0.0.1"
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    context = ssl.create_default_context(cadata=scene.authority.pem.decode())
    return await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname="localhost", local_addr=(address, 0)
    )


async def asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(ASK)
    try:
        return await asyncio.wait_for(reader.readline(), 10)
    except ConnectionError:
        return b""


async def closed(reader: asyncio.StreamReader) -> bool:
    """Wait until the server has hung up."""
    try:
        return await asyncio.wait_for(reader.read(), 15) == b""
    except ConnectionError:
        return True


async def let_go(*writers: asyncio.StreamWriter) -> None:
    for writer in writers:
        writer.transport.abort()
    await asyncio.sleep(0)


async def silent(
    port: int, address: str = "127.0.0.1"
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect, and say nothing."""
    return await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))


async def is_served(scene: Scene, port: int, address: str = "127.0.0.1") -> bool:
    """Connect and ask; False where the connection is closed instead."""
    try:
        reader, writer = await opened(scene, port, address)
    except (ConnectionError, ssl.SSLError):
        return False
    answer = await asked(reader, writer)
    await let_go(writer)
    return answer == b"HTTP/1.1 200 OK\r\n"


async def served_at_last(scene: Scene, port: int, address: str = "127.0.0.1") -> None:
    """Wait until the server has seen that others have gone."""
    async with asyncio.timeout(5):
        while not await is_served(scene, port, address):
            await asyncio.sleep(0.01)


async def eventually(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


async def test_it_answers(scene: Scene):
    async with serving(scene) as port:
        reader, writer = await opened(scene, port)
        assert await asked(reader, writer) == b"HTTP/1.1 200 OK\r\n"
        await let_go(writer)


async def test_a_body_is_never_decompressed(scene: Scene):
    """A thousandth of what it unpacks to is what its sender pays."""
    bomb = gzip.compress(bytes(1_000_000))
    head = f"Content-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    async with serving(scene) as port:
        reader, writer = await opened(scene, port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\n" + head + bomb)
        answer = await asyncio.wait_for(reader.readuntil(b" bytes"), 10)
        assert answer.endswith(f"\r\n\r\n{len(bomb)} bytes".encode())
        await let_go(writer)


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: secret\x00\r\n\r\n",
        b"GET / HTTP/1.1\r\nAuthorization: " + b"secret" * 4000 + b"\r\n\r\n",
        b"GET /" + b"secret" * 4000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: secret\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_a_line_of_the_log(
    scene: Scene, caplog: pytest.LogCaptureFixture, head: bytes
):
    """Any stranger can send it: no traceback, nothing of it, and the headers of every answer."""
    caplog.set_level("INFO")
    async with serving(scene) as port:
        reader, writer = await opened(scene, port)
        writer.write(head)
        answer = await asyncio.wait_for(reader.read(), 10)
        await let_go(writer)
    assert answer.startswith(b"HTTP/1.0 400 ")
    assert b"\r\nX-Content-Type-Options: nosniff\r\n" in answer
    assert b"\r\nServer: kzproxy\r\n" in answer
    [line] = [one for one in caplog.records if one.name != "asyncio"]
    assert (line.levelname, line.exc_info) == ("INFO", None)
    assert line.getMessage().startswith("127.0.0.1 sent what is no request: ")
    assert "secret" not in f"{answer!r}{caplog.text}"


async def test_a_bug_is_in_the_log_with_its_traceback(
    scene: Scene, caplog: pytest.LogCaptureFixture
):
    async with serving(scene) as port:
        reader, writer = await opened(scene, port)
        writer.write(ASK.replace(b"/", b"/bug", 1))
        assert await asyncio.wait_for(reader.readline(), 10) == (
            b"HTTP/1.1 500 Internal Server Error\r\n"
        )
        await let_go(writer)
    assert "RuntimeError: a bug" in caplog.text


async def test_one_address_has_its_share_and_no_more(scene: Scene):
    async with serving(scene) as port:
        mine = [await opened(scene, port) for _ in range(3)]
        for reader, writer in mine:
            assert await asked(reader, writer)
        assert not await is_served(scene, port)
        neighbour = await opened(scene, port, "127.0.0.2")
        assert await asked(*neighbour)
        await let_go(mine[0][1])
        await served_at_last(scene, port)
        await let_go(neighbour[1], *(writer for _, writer in mine))


async def test_all_have_no_more_than_there_are(scene: Scene):
    async with serving(scene) as port:
        held = [await opened(scene, port, f"127.0.0.{n + 1}") for n in range(6)]
        for reader, writer in held:
            assert await asked(reader, writer)
        assert not await is_served(scene, port, "127.0.0.9")
        await let_go(*(writer for _, writer in held))


async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Ask and read the whole answer; False where there is none."""
    writer.write(ASK)
    try:
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\nok"), 10)
    except (ConnectionError, asyncio.IncompleteReadError):
        return False
    return answer.startswith(b"HTTP/1.1 200")


async def test_who_has_many_keeps_nobody_out_who_has_none(scene: Scene):
    async with serving(scene) as port:
        held = [await opened(scene, port, f"127.0.0.{n // 3 + 1}") for n in range(6)]
        assert [await answered(*one) for one in held] == [True] * 6
        late = [await opened(scene, port, "127.0.0.9") for _ in range(2)]
        assert [await answered(*one) for one in late] == [True, True]
        # Now all have two, and nobody loses any for another one's third.
        assert not await is_served(scene, port, "127.0.0.9")
        assert [await answered(*one) for one in held] == [False, True, True] * 2
        await let_go(*(writer for _, writer in held + late))


async def test_who_never_asks_is_let_go(scene: Scene):
    """Half a head, a head without its body, or nothing at all: it ends all the same."""
    async with serving(scene, replace(LIMITS, life=timedelta(seconds=5))) as port:
        for sent in (b"", b"GET / HTTP/1.1\r\nHo", ASK):
            reader, writer = await opened(scene, port)
            writer.write(sent)
            if sent == ASK:
                assert (await reader.readuntil(b"\r\n\r\nok")).startswith(b"HTTP/1.1 200")
            assert await closed(reader)
            await let_go(writer)


async def test_who_never_shakes_hands_is_let_go(scene: Scene):
    async with serving(scene, replace(LIMITS, handshake=timedelta(seconds=1))) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await closed(reader)
        await let_go(writer)


async def test_E4_2_who_shakes_no_hands_has_the_share_of_an_address_and_no_more(scene: Scene):
    async with serving(scene) as port:
        held = [await silent(port) for _ in range(3)]
        over = await silent(port)
        async with asyncio.timeout(5):  # A handshake has ten.
            assert await closed(over[0])
        assert not await is_served(scene, port)
        assert await is_served(scene, port, "127.0.0.2")
        await let_go(over[1], *(writer for _, writer in held))
        await served_at_last(scene, port)


async def test_E4_2_who_shakes_no_hands_keeps_nobody_out_who_has_none(scene: Scene):
    async with serving(scene) as port:
        held = [await silent(port, f"127.0.0.{n // 3 + 1}") for n in range(6)]
        assert await is_served(scene, port, "127.0.0.9")
        async with asyncio.timeout(5):
            assert await closed(held[0][0])
        await let_go(*(writer for _, writer in held))


@pytest.mark.parametrize("sent", [b"", b"no TLS at all\r\n", b"\x16\x03\x01\x02\x00\x01"])
async def test_a_handshake_that_fails_is_counted_no_more(scene: Scene, sent: bytes):
    async with serving(scene, replace(LIMITS, handshake=timedelta(seconds=1))) as port:
        for _ in range(3):
            held = [await silent(port) for _ in range(3)]
            for reader, writer in held:
                writer.write(sent)
                assert await closed(reader)
            await let_go(*(writer for _, writer in held))
        await served_at_last(scene, port)


async def test_a_handshake_ends_with_the_server(scene: Scene):
    async with asyncio.timeout(5):
        async with serving(scene) as port:
            reader, writer = await silent(port)
            other = await silent(port)
            await let_go(other[1])
        assert await closed(reader)
    await let_go(writer)


async def test_without_a_descriptor_it_rests_and_goes_on(
    scene: Scene, caplog: pytest.LogCaptureFixture
):
    context = ssl.create_default_context(cadata=scene.authority.pem.decode())
    async with serving(scene) as port:
        sock = socket.socket()
        sock.setblocking(False)
        with no_more_files():
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
            await eventually(lambda: "cannot accept" in caplog.text)
        reader, writer = await asyncio.open_connection(
            sock=sock, ssl=context, server_hostname="localhost"
        )
        assert await asked(reader, writer)
        await let_go(writer)


async def test_a_renewed_certificate_is_shown_at_once(scene: Scene):
    async with serving(scene) as port:

        async def shown() -> bytes:
            reader, writer = await opened(scene, port)
            certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            assert await asked(reader, writer)
            await let_go(writer)
            return bytes(certificate)

        first = await shown()
        assert await shown() == first
        scene.contexts.append(scene.context())
        assert await shown() != first


async def version(scene: Scene, port: int) -> str | None:
    """Shake hands with 1.2 at most; return what was agreed on, None where nothing was."""
    context = ssl.create_default_context(cadata=scene.authority.pem.decode())
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    try:
        _, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname="localhost"
        )
    except (ssl.SSLError, ConnectionError):
        return None
    agreed: str = writer.get_extra_info("ssl_object").version()
    await let_go(writer)
    return agreed


async def test_another_minimum_version_holds_from_the_next_handshake_on(scene: Scene):
    old, new = scene.context(), scene.context()
    old.minimum_version, new.minimum_version = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
    scene.contexts.append(old)
    async with serving(scene) as port:
        for context, agreed in ((old, "TLSv1.2"), (new, None), (old, "TLSv1.2")):
            scene.contexts.append(context)
            assert await version(scene, port) == agreed


def resumed(scene: Scene, port: int) -> tuple[bool, bytes]:
    """Ask twice over TLS 1.2, the second time in the first one's session."""
    context = ssl.create_default_context(cadata=scene.authority.pem.decode())
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    session, is_reused, got = None, False, b""
    for _ in range(2):
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as sock,
            context.wrap_socket(sock, server_hostname="localhost", session=session) as tls,
        ):
            session, is_reused, got = tls.session, bool(tls.session_reused), b""
            with contextlib.suppress(ConnectionError):
                tls.sendall(ASK)
                got = tls.recv(65536)
            with contextlib.suppress(OSError):
                tls.unwrap()
    return is_reused, got


async def test_nothing_is_answered_in_a_session_that_is_resumed(scene: Scene):
    """It would bring back a certificate that nobody has verified."""
    async with serving(scene) as port:
        assert await asyncio.to_thread(resumed, scene, port) == (True, b"")
        await served_at_last(scene, port)
