"""Real TLS over real sockets, both ends in one process."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kzproxy.transport.readiness import new_event_loop
from kzproxy.transport.tls import ListenerTls, listener_context
from kzproxy.transport.tls_stream import TlsStream
from tests.servers.authority import Authority

Pair = tuple[TlsStream, TlsStream]


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run these on asyncio's own loop too: where there is no epoll there is no other."""
    return {"serving": new_event_loop, "plain": asyncio.new_event_loop}


@pytest.fixture
def authority() -> Authority:
    return Authority.root()


@pytest.fixture
def server_context(tmp_path: Path, authority: Authority) -> ssl.SSLContext:
    certificate, key = authority.server("localhost").write_to(tmp_path, "server")
    (tmp_path / "ca.crt").write_bytes(authority.pem)
    return listener_context(
        ListenerTls(
            certificate_file=certificate,
            private_key_file=key,
            device_authority_file=tmp_path / "ca.crt",
        )
    )


@pytest.fixture
def client_context(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=authority.pem.decode())


def wrapped(sock: socket.socket, context: ssl.SSLContext, *, server: bool) -> TlsStream:
    sock.setblocking(False)
    tls = context.wrap_socket(
        sock,
        server_side=server,
        server_hostname=None if server else "localhost",
        do_handshake_on_connect=False,
        suppress_ragged_eofs=False,
    )
    return TlsStream(tls, asyncio.get_running_loop())


def connected() -> tuple[socket.socket, socket.socket]:
    """Connect over TCP, whose resets and buffers are not those of a ``socketpair``."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        theirs = socket.create_connection(listening.getsockname())
        ours, _ = listening.accept()
    for sock in (ours, theirs):  # As on both sides of kzproxy.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return ours, theirs


@asynccontextmanager
async def shaken_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> AsyncIterator[Pair]:
    """Connect two streams that have shaken hands: the server's side and the client's."""
    ours, theirs = connected()
    pair = wrapped(ours, server, server=True), wrapped(theirs, client, server=False)
    async with asyncio.TaskGroup() as group:
        for side in pair:
            group.create_task(side.handshake())
    yield pair
    for side in pair:
        side.close()


@pytest.fixture
async def pair(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> AsyncIterator[Pair]:
    async with shaken_hands(server_context, client_context) as pair:
        yield pair
