"""A stand-in for kube-apiserver that answers as a test tells it to: rudely, late, or not at all.

The real one cannot be made to misbehave on the wire. What it does answer by itself - the reviews
that kzproxy asks for at its start - it answers as the real one does, and
``tests/conformance/account_checks.py`` holds both to that.
"""

import contextlib
import errno
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.servers.authority import Authority

ACCOUNT = "system:serviceaccount:kzproxy:kzproxy"
TOKEN = "scripted-account-token"
_REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_ACCESS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


class Connection:
    """One connection of kzproxy's, with what has come on it."""

    def __init__(self, tls: ssl.SSLSocket) -> None:
        self.tls = tls
        self._buffer = b""

    def head(self) -> bytes | None:
        """Return the next head, or None at the end."""
        while b"\r\n\r\n" not in self._buffer:
            data = self.tls.recv(65536)
            if not data:
                return None
            self._buffer += data
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        return head + b"\r\n\r\n"

    def body(self, size: int) -> bytes:
        """Return that much of the body."""
        while len(self._buffer) < size:
            data = self.tls.recv(65536)
            if not data:
                raise ConnectionError("ended inside a body")
            self._buffer += data
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def send(self, data: bytes) -> None:
        self.tls.sendall(data)

    def reset(self) -> None:
        """End the connection as a crash does."""
        self.tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.tls.close()


Script = Callable[[Connection, bytes], None]


class ScriptedApiServer:
    """The server while it runs.

    Attributes:
        script: Answers every request that is not one of kzproxy's own; closes by returning after
            ``connection.tls.close()``.
        reviews: Answers kzproxy's own, the reviews that it asks for, in the same way.
        heads: Every head received that is not one of kzproxy's own.
        connections: How many were accepted; none is answered before it is counted.
        context: For each handshake; None leaves the client waiting for one.
    """

    def __init__(self, directory: Path, authority: Authority) -> None:
        self.script: Script = lambda connection, _: connection.send(json_answer(200, {"ok": True}))
        self.reviews: Script = answer_review
        self.heads: list[bytes] = []
        self.connections = 0
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.server("127.0.0.1").write_to(directory, "upstream"))
        self.context: ssl.SSLContext | None = context
        self._sock = socket.create_server(("127.0.0.1", 0))
        # Of what is counted and what is open, which threads of their own change.
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        (directory / "upstream.token").write_text(TOKEN)

    @property
    def port(self) -> int:
        port: int = self._sock.getsockname()[1]
        return port

    def upstream(self) -> dict[str, object]:
        """Return the ``upstream`` of kzproxy's configuration."""
        return {
            "server": {
                "url": f"https://127.0.0.1:{self.port}",
                "certificateAuthorityFile": "ca.crt",
                "tokenFile": "upstream.token",
            }
        }

    def serve(self) -> None:
        while True:
            try:
                sock, _ = self._sock.accept()
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):  # A test has none left for now.
                    time.sleep(0.05)
                    continue
                return
            # As Go's net does; else each answer would wait for an acknowledgement.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                with contextlib.suppress(OSError):
                    self._begin(self._wrapped(sock))
                self.connections += 1

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()
        self.drop_connections()

    def drop_connections(self) -> None:
        """End every connection, as a stopping server does."""
        with self._lock:
            open_now, self._open = self._open, []
            threads, self._threads = self._threads, []
        for sock in open_now:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        for thread in threads:
            thread.join(10)

    @contextlib.contextmanager
    def down(self) -> Iterator[None]:
        """Refuse connections until the block ends, as a server that is not there."""
        port = self.port
        self.close()
        # Bound, but not listening: else some connection to elsewhere might take the port meanwhile.
        self._sock = socket.socket()
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._sock.bind(("127.0.0.1", port))
        try:
            yield
        finally:
            self._sock.listen()
            threading.Thread(target=self.serve, daemon=True).start()

    def _wrapped(self, sock: socket.socket) -> socket.socket:
        if self.context is None:
            return sock
        return self.context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)

    def _begin(self, sock: socket.socket) -> None:
        thread = threading.Thread(target=self._serve_connection, args=(sock,))
        self._open.append(sock)
        thread.start()
        self._threads.append(thread)

    def _serve_connection(self, sock: socket.socket) -> None:
        with self._lock:
            pass  # it is counted now, before anybody has an answer
        with contextlib.suppress(OSError), sock:
            if isinstance(sock, ssl.SSLSocket):
                sock.do_handshake()
                self._answer(Connection(sock))
                return
            while sock.recv(65536):
                pass

    def _answer(self, connection: Connection) -> None:
        while (head := connection.head()) is not None:
            if head.startswith((f"POST {_REVIEW} ".encode(), f"POST {_ACCESS} ".encode())):
                self.reviews(connection, head)
                continue
            self.heads.append(head)
            self.script(connection, head)


def answer_review(connection: Connection, head: bytes) -> None:
    """Answer as the real one does an account that is what it must be."""
    take_body(connection, head)
    if _header(head, "authorization") != f"Bearer {TOKEN}":
        connection.send(json_answer(401, {"message": "Unauthorized"}))
        return
    if _ACCESS.encode() in head:
        connection.send(json_answer(201, {"status": {"allowed": False}}))
        return
    user = {"username": _header(head, "impersonate-user") or ACCOUNT, "groups": []}
    connection.send(json_answer(201, {"status": {"userInfo": user}}))


def take_body(connection: Connection, head: bytes) -> bytes:
    """Return the body that follows a head."""
    return connection.body(int(_header(head, "content-length") or 0))


def _header(head: bytes, name: str) -> str:
    found = re.search(rf"(?im)^{name}: (.*)\r$".encode(), head)
    return found[1].decode() if found else ""


def json_answer(status: int, body: object, *headers: str) -> bytes:
    """Write an answer with a JSON body."""
    payload = json.dumps(body).encode()
    return answer(status, payload, "content-type: application/json", *headers)


def answer(status: int, body: bytes, *headers: str) -> bytes:
    """Write an answer of known length."""
    lines = [f"HTTP/1.1 {status} Whatever", f"content-length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


@contextlib.contextmanager
def scripted_api_server(directory: Path, authority: Authority) -> Iterator[ScriptedApiServer]:
    """Serve until the block ends."""
    server = ScriptedApiServer(directory, authority)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join(10)
