"""An application behind load balancers that say for whom they connect, before TLS."""

import asyncio
import contextlib
import errno
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from ipaddress import ip_network

import pytest
from aiohttp import web
from msgspec.structs import replace

from kzproxy.policy.network import Addresses, Network
from kzproxy.transport.accepting import listening_socket
from kzproxy.web.bounded_server import ServerLimits, serving_bounded
from tests.servers.proxy_header import local, proxied
from tests.transport.conftest import (  # noqa: F401 - fixtures
    authority,
    client_context,
    server_context,
)

LIMITS = ServerLimits(connections_per_address=2)
_SECONDS = 30
CLIENT_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40)
ASKED = b"GET / HTTP/1.1\r\nHost: kzproxy\r\n\r\n"


async def who(request: web.Request) -> web.Response:
    assert request.transport is not None
    return web.Response(text=f"{request.remote} {request.transport.get_extra_info('peername')[1]}.")


@asynccontextmanager
async def served(
    context: ssl.SSLContext, listed: str = "127.0.0.1/32", limits: ServerLimits = LIMITS
) -> AsyncIterator[int]:
    application = web.Application()
    application.router.add_get("/", who)
    sock = listening_socket("127.0.0.1", 0)
    port = sock.getsockname()[1]
    proxies = Addresses((Network(name="listed", blocks=(ip_network(listed),)),))
    async with serving_bounded(application, sock, lambda: context, limits, proxies):
        yield port


def connected(port: int, header: bytes, context: ssl.SSLContext) -> ssl.SSLSocket:
    sock = socket.create_connection(("127.0.0.1", port), timeout=_SECONDS)
    try:
        sock.sendall(header)
        sock = tls = context.wrap_socket(
            sock, server_hostname="localhost", do_handshake_on_connect=False
        )
        tls.do_handshake()
    except OSError as error:
        sock.close()
        if error.errno == errno.ENOTCONN:  # it was reset before TLS began
            raise ConnectionResetError(str(error)) from error
        raise
    return tls


def asked(sock: ssl.SSLSocket) -> str:
    """Send a request; return what is said of its client."""
    sock.sendall(ASKED)
    received = b""
    while not received.endswith(b"."):
        more = sock.recv(4096)
        if not more:
            raise ConnectionError(received)
        received += more
    return received.rpartition(b"\r\n")[2].decode().rstrip(".")


def answer_now(port: int, header: bytes, context: ssl.SSLContext) -> str:
    with connected(port, header, context) as sock:
        return asked(sock)


async def answer(port: int, header: bytes, context: ssl.SSLContext) -> str:
    return await asyncio.to_thread(answer_now, port, header, context)


def received_after(port: int, data: bytes) -> bytes:
    """Send bytes and return what comes; nothing where the connection is closed."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=_SECONDS) as sock:
            sock.sendall(data)
            return sock.recv(1)
    except (ConnectionResetError, BrokenPipeError):
        return b""


async def test_requests_come_from_whom_the_load_balancer_names(
    server_context: ssl.SSLContext,  # noqa: F811
    client_context: ssl.SSLContext,  # noqa: F811
) -> None:
    async with served(server_context) as port:
        assert await answer(port, proxied("192.0.2.7", 4711), client_context) == "192.0.2.7 4711"
        assert await answer(port, proxied("2001:db8::7", 1), client_context) == "2001:db8::7 1"
        assert (await answer(port, local(), client_context)).startswith("127.0.0.1 ")


@pytest.mark.parametrize(
    ("header", "listed"),
    [
        pytest.param(b"", "127.0.0.1/32", id="none"),
        pytest.param(b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", "127.0.0.1/32", id="version-1"),
        pytest.param(proxied("192.0.2.7"), "127.0.0.2/32", id="of-nobody-listed"),
    ],
)
async def test_other_connections_are_closed_and_the_next_is_served(
    server_context: ssl.SSLContext,  # noqa: F811
    client_context: ssl.SSLContext,  # noqa: F811
    header: bytes,
    listed: str,
) -> None:
    async with served(server_context, listed) as port:
        assert await asyncio.to_thread(received_after, port, header or CLIENT_HELLO) == b""
        if listed == "127.0.0.1/32":
            assert await answer(port, proxied("192.0.2.7", 1), client_context) == "192.0.2.7 1"


async def test_a_header_that_never_comes_is_not_waited_for(
    server_context: ssl.SSLContext,  # noqa: F811
) -> None:
    soon = replace(LIMITS, handshake=timedelta(seconds=1))
    async with served(server_context, limits=soon) as port:
        begun = time.monotonic()

        def silent() -> bytes:
            with socket.create_connection(("127.0.0.1", port), timeout=_SECONDS) as sock:
                return sock.recv(1)

        with pytest.raises(ConnectionError):
            await asyncio.to_thread(silent)
        assert 0.5 < time.monotonic() - begun < 9  # Of a handshake that is begun it is ten.


async def test_each_client_behind_one_load_balancer_is_counted_by_itself(
    server_context: ssl.SSLContext,  # noqa: F811
    client_context: ssl.SSLContext,  # noqa: F811
) -> None:
    async with served(server_context) as port:
        with contextlib.ExitStack() as held:
            for number in (1, 2):
                header = proxied("192.0.2.7", number)
                sock = await asyncio.to_thread(connected, port, header, client_context)
                held.enter_context(sock)
                await asyncio.to_thread(asked, sock)
            with pytest.raises((ConnectionError, ssl.SSLError)):
                await answer(port, proxied("192.0.2.7", 3), client_context)
            assert await answer(port, proxied("192.0.2.8", 4), client_context) == "192.0.2.8 4"


async def test_E4_2_each_client_behind_one_load_balancer_has_its_share_of_handshakes(
    server_context: ssl.SSLContext,  # noqa: F811
    client_context: ssl.SSLContext,  # noqa: F811
) -> None:
    async with served(server_context) as port:
        with contextlib.ExitStack() as held:
            for number in (1, 2):
                sock = held.enter_context(socket.create_connection(("127.0.0.1", port)))
                sock.sendall(proxied("192.0.2.7", number))
            begun = time.monotonic()
            assert await asyncio.to_thread(received_after, port, proxied("192.0.2.7", 3)) == b""
            assert time.monotonic() - begun < 9  # A handshake has ten.
            assert await answer(port, proxied("192.0.2.8", 4), client_context) == "192.0.2.8 4"
