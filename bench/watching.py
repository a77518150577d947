"""Thousands of watches from one process, and when the last byte of each came."""

import contextlib
import selectors
import socket
import ssl
import threading
import time
from pathlib import Path

from bench.world import SERVER_NAME

_HEAD_END = b"\r\n\r\n"
_LOOK_SECONDS = 0.05


class Watch:
    """One watch that is open.

    Attributes:
        audit_id: That kzproxy gave it.
        last_at: In seconds; when the last byte came.
        ended_at: In seconds; None while it is open.
    """

    __slots__ = ("audit_id", "ended_at", "last_at", "tls")

    def __init__(self, tls: ssl.SSLSocket, audit_id: str) -> None:
        self.tls = tls
        self.audit_id = audit_id
        self.last_at = time.perf_counter()
        self.ended_at: float | None = None


class Entrance:
    """Connects to kzproxy with one client certificate, from many loopback addresses."""

    def __init__(self, port: int, authority: Path, certificate: Path, key: Path) -> None:
        self._port = port
        self._context = ssl.create_default_context(cafile=authority)
        self._context.load_cert_chain(certificate, key)

    def connect(self, source: str) -> ssl.SSLSocket:
        """Return a connection from an address of this machine."""
        sock = socket.create_connection(("127.0.0.1", self._port), 30, (source, 0))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._context.wrap_socket(sock, server_hostname=SERVER_NAME)

    def watch(self, token: str, target: str, source: str) -> Watch:
        """Open a watch; return once its head has come.

        Raises:
            OSError: It was not permitted, or the connection ended.
        """
        tls = self.connect(source)
        tls.sendall(request("GET", target, token))
        head = read_head(tls)
        if not head.startswith(b"HTTP/1.1 200"):
            raise OSError(f"a watch was answered {head[:300]!r}")
        return Watch(tls, header(head, b"audit-id"))


class Watching:
    """Receives on all watches, on a thread, while the block runs."""

    def __init__(self, watches: list[Watch]) -> None:
        self._watches = watches
        self._selector = selectors.DefaultSelector()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._receive, name="watches")

    def __enter__(self) -> "Watching":
        for each in self._watches:
            each.tls.settimeout(0)
            self._selector.register(each.tls, selectors.EVENT_READ, each)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._selector.close()
        for each in self._watches:
            with contextlib.suppress(OSError):
                each.tls.close()

    def _receive(self) -> None:
        while not self._over.is_set():
            for key, _ in self._selector.select(_LOOK_SECONDS):
                self._take(key.data)

    def _take(self, watch: Watch) -> None:
        try:
            while data := watch.tls.recv(65536):
                watch.last_at = time.perf_counter()
                if not data:
                    break
        except ssl.SSLWantReadError:
            return
        except OSError:
            pass
        watch.ended_at = time.perf_counter()
        self._selector.unregister(watch.tls)


def request(method: str, target: str, token: str) -> bytes:
    """Write a request without a body."""
    lines = (
        f"{method} {target} HTTP/1.1",
        f"Host: {SERVER_NAME}",
        f"Authorization: Bearer {token}",
    )
    return "\r\n".join((*lines, "", "")).encode()


def read_head(tls: ssl.SSLSocket) -> bytes:
    """Read until the end of a head; what came with it is in what is returned."""
    data = b""
    while _HEAD_END not in data:
        more = tls.recv(65536)
        if not more:
            raise OSError(f"closed after {data!r}")
        data += more
    return data


def header(head: bytes, name: bytes) -> str:
    """Return a header's value; empty where there is none."""
    for line in head.partition(_HEAD_END)[0].split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.lower() == name:
            return value.strip().decode()
    return ""
