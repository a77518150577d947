"""The operators' listener, asked by hand, byte for byte."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from kzproxy.transport.accepting import listening_socket
from kzproxy.transport.alongside import alongside
from kzproxy.web import ops_server
from kzproxy.web.ops_server import OpsServer, Shown


async def shown() -> Shown:
    return Shown(body=b"fine\n")


async def long() -> Shown:
    return Shown(body=bytes(20_000_000))


async def broken() -> Shown:
    raise KeyError("a bug")


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[str, int]]:
    sock = listening_socket("127.0.0.1", 0)
    server = OpsServer(sock, {"/livez": shown, "/broken": broken, "/long": long})
    async with alongside(server.run()):
        yield sock.getsockname()[:2]


async def said(address: tuple[str, int], *sent: bytes) -> bytes:
    """Send pieces on one connection and return all that comes until its end."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        for piece in sent:
            writer.write(piece)
            await writer.drain()
        writer.write_eof()
        async with asyncio.timeout(5):
            return await reader.read()
    finally:
        writer.close()


def statuses(answers: bytes) -> list[int]:
    return [int(part[:3]) for part in answers.split(b"HTTP/1.1 ")[1:]]


GET = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n"


async def test_many_requests_are_answered_on_one_connection_in_their_order() -> None:
    async with serving() as address:
        answers = await said(address, GET + GET, GET[:9], GET[9:])

    assert statuses(answers) == [200, 200, 200]
    assert b"connection: close" not in answers


async def test_a_common_client_keeps_its_connection() -> None:
    async with serving() as (host, port), httpx.AsyncClient() as client:
        answers = [await client.get(f"http://{host}:{port}/livez?verbose") for _ in range(2)]

    assert [(answer.status_code, answer.text) for answer in answers] == [(200, "fine\n")] * 2
    assert answers[0].headers["content-type"] == "text/plain; charset=utf-8"


async def test_head_tells_the_length_and_sends_nothing_of_it() -> None:
    async with serving() as address:
        answer = await said(address, GET.replace(b"GET", b"HEAD"))

    assert b"content-length: 5\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /livez HTTP/1.0\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nhost: x\r\nConnection: keep-alive\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nhost: x\r\nContent-Length: 44\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nhost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nhost: x\r\nExpect: 100-continue\r\n\r\n",
    ],
)
async def test_nothing_after_a_request_that_may_have_a_body_is_read_as_another(
    request_bytes: bytes,
) -> None:
    async with serving() as address:
        answers = await said(address, request_bytes + GET)

    assert statuses(answers) == [200]
    assert b"connection: close\r\n" in answers


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"POST /livez HTTP/1.1\r\nhost: x\r\n\r\n", 405),
        (b"GET /other HTTP/1.1\r\nhost: x\r\n\r\n", 404),
        (b"GET /livez/../livez HTTP/1.1\r\nhost: x\r\n\r\n", 404),
        (b"GET http://x/livez HTTP/1.1\r\nhost: x\r\n\r\n", 400),
        (b"GET /livez HTTP/2.0\r\n\r\n", 400),
        (b"get /livez HTTP/1.1\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nx: \x00\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\nhost: x\r\n\r\n", 400),
        (b"\x16\x03\x01\r\n\r\n", 400),
        (b"GET /broken HTTP/1.1\r\nhost: x\r\n\r\n", 500),
    ],
)
async def test_all_else_is_refused_and_ends_the_connection(sent: bytes, status: int) -> None:
    async with serving() as address:
        answers = await said(address, sent + GET)

    assert statuses(answers) == [status]


async def test_a_head_without_end_is_refused() -> None:
    async with serving() as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"GET /livez HTTP/1.1\r\nx: " + b"y" * 2 * ops_server.MAX_HEAD_BYTES)
        async with asyncio.timeout(5):
            line = await reader.readline()
        writer.close()

    assert b" 431 " in line


async def test_a_client_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops_server, "IDLE_SECONDS", 0.02)
    async with serving() as address:
        reader, writer = await asyncio.open_connection(*address)
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize("asked", [b"", GET[:9], GET, b"GET /long HTTP/1.1\r\nhost: x\r\n\r\n"])
async def test_no_number_of_connections_keeps_a_probe_from_its_answer(asked: bytes) -> None:
    """A probe that fails has kzproxy started again, and everything that is under way ended."""
    async with serving() as address:
        held = []
        for _ in range(2 * ops_server.MAX_CONNECTIONS):
            held.append(socket.create_connection(address))
            held[-1].sendall(asked)
            await asyncio.sleep(0)
        await asyncio.sleep(0.2)
        for _ in range(3):
            assert statuses(await said(address, GET)) == [200]
        for sock in held:
            sock.close()


async def test_so_many_connections_and_no_more_are_held() -> None:
    async with serving() as address:
        held = [socket.create_connection(address) for _ in range(ops_server.MAX_CONNECTIONS + 3)]
        for sock in held[:3]:
            sock.setblocking(False)
            async with asyncio.timeout(5):
                assert await asyncio.get_running_loop().sock_recv(sock, 1) == b""
        await asyncio.sleep(0.1)
        for sock in held[3:]:
            sock.setblocking(False)
            with pytest.raises(BlockingIOError):
                sock.recv(1)
        for sock in held:
            sock.close()


async def test_it_ends_with_its_connections_when_it_is_ended() -> None:
    async with serving() as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(GET)
        assert b"200" in await reader.readline()
    async with asyncio.timeout(5):
        await reader.read()
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*address)


async def test_request_after_request_of_one_client_leaves_the_loop_to_others() -> None:
    """It is the loop that users are served by."""
    loop = asyncio.get_running_loop()
    turns_at: list[float] = []

    async def others() -> None:
        while True:
            turns_at.append(loop.time())
            await asyncio.sleep(0)

    async with serving() as address, alongside(others()):
        answers = await asyncio.to_thread(flood, address, 20_000)

    assert answers == 20_000
    # Each answer takes its turn: there were as many for everybody else.
    assert len(turns_at) > 20_000 / 2


def flood(address: tuple[str, int], count: int) -> int:
    """Send requests, a few hundred ahead of their answers; return how many are answered."""
    ahead, answers = 300, 0
    with socket.create_connection(address, timeout=60) as sock:
        sock.sendall(GET * ahead)
        sent, rest = ahead, b""
        while answers < count:
            data = rest + sock.recv(65536)
            got = data.count(b"fine\n")
            rest = data[data.rfind(b"fine\n") + 5 :] if got else data
            answers += got
            more = min(got, count - sent)
            sock.sendall(GET * more)
            sent += more
    return answers
