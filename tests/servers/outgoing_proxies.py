"""Proxies that lead out of a network: whatever host they are asked for, they lead to 127.0.0.1.

A test names a host that there is not, so that only a proxy can have led there.
"""

import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from socketserver import BaseRequestHandler, ThreadingTCPServer

PATIENCE_SECONDS = 10.0
_MAX_HEAD = 16 * 1024
_CONNECTED = b"HTTP/1.1 200 OK\r\nVia: 1.1 proxy\r\n\r\n"
_SOCKS_NO_PASSWORD = b"\x05\x00"
_SOCKS_CONNECTED = b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"


@dataclass(kw_only=True)
class RunningProxy:
    """A proxy, and what it was asked.

    Attributes:
        address: ``127.0.0.1:PORT``.
        refusal: What is answered instead of leading anywhere, while it is set.
        asked: For what hosts and ports, as they were written.
        heads: The heads of CONNECT requests.
    """

    address: str
    refusal: bytes = b""
    asked: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)


@contextmanager
def running_connect_proxy() -> Iterator[RunningProxy]:
    """Run a proxy for ``CONNECT`` (RFC 9110 section 9.3.6)."""
    with _running(_connect) as proxy:
        yield proxy


@contextmanager
def running_socks_proxy() -> Iterator[RunningProxy]:
    """Run a proxy for SOCKS 5 (RFC 1928), for names alone and without a password."""
    with _running(_socks) as proxy:
        yield proxy


def _connect(proxy: RunningProxy, client: socket.socket) -> int:
    """Return the port that is asked for; 0 where it leads nowhere."""
    head = b""
    while not head.endswith(b"\r\n\r\n") and len(head) < _MAX_HEAD:
        byte = client.recv(1)
        if not byte:
            return 0
        head += byte
    proxy.heads.append(head.decode())
    proxy.asked.append(head.decode().split()[1])
    client.sendall(proxy.refusal or _CONNECTED)
    return 0 if proxy.refusal else int(proxy.asked[-1].rpartition(":")[2])


def _socks(proxy: RunningProxy, client: socket.socket) -> int:
    """Return the port that is asked for; 0 where it leads nowhere."""
    client.recv(2 + 255)
    if proxy.refusal:
        client.sendall(proxy.refusal)
        return 0
    client.sendall(_SOCKS_NO_PASSWORD)
    *_, length = client.recv(5)
    name, port = client.recv(length).decode(), int.from_bytes(client.recv(2), "big")
    proxy.asked.append(f"{name}:{port}")
    client.sendall(_SOCKS_CONNECTED)
    return port


class _Server(ThreadingTCPServer):
    daemon_threads = False
    proxy: RunningProxy
    greet: Callable[[RunningProxy, socket.socket], int]


class _Handler(BaseRequestHandler):
    server: _Server
    request: socket.socket

    def handle(self) -> None:
        self.request.settimeout(PATIENCE_SECONDS)
        port = type(self.server).greet(self.server.proxy, self.request)
        if not port:
            return
        with socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS) as origin:
            _relay(self.request, origin)


def _relay(one: socket.socket, other: socket.socket) -> None:
    to = {one: other, other: one}
    with suppress(ConnectionError):
        while readable := select.select([one, other], [], [], PATIENCE_SECONDS)[0]:
            for come_from in readable:
                data = come_from.recv(65536)
                if not data:
                    return
                to[come_from].sendall(data)


@contextmanager
def _running(greeting: Callable[[RunningProxy, socket.socket], int]) -> Iterator[RunningProxy]:
    class Greeting(_Server):
        greet = staticmethod(greeting)

    with Greeting(("127.0.0.1", 0), _Handler) as server:
        server.proxy = RunningProxy(address=f"127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.proxy
        finally:
            server.shutdown()
            thread.join()
