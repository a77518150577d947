"""A client that sends exactly the bytes it is told to, as attackers do."""

import json
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_SECONDS = 20.0
_QUIET_SECONDS = 0.3


@dataclass(frozen=True)
class Answer:
    """One answer off the wire."""

    status: int
    headers: dict[str, list[str]]
    body: bytes

    @property
    def audit_id(self) -> str:
        return self.headers["audit-id"][0]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        return str(self.json["message"])


class RawClient:
    """One TLS connection to kzproxy."""

    def __init__(
        self,
        port: int,
        authority: Path,
        *,
        certificate: tuple[Path, Path] | None = None,
        alpn: tuple[str, ...] = ("http/1.1",),
        seconds: float = _SECONDS,
        source: str = "127.0.0.1",
        preamble: bytes = b"",
    ) -> None:
        context = ssl.create_default_context(cafile=authority)
        context.set_alpn_protocols(list(alpn))
        if certificate is not None:
            context.load_cert_chain(*certificate)
        sock = socket.create_connection(
            ("127.0.0.1", port), timeout=seconds, source_address=(source, 0)
        )
        # As every real client does; else a request waits for the acknowledgement of the handshake.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            sock.sendall(preamble)
            self.tls = context.wrap_socket(sock, server_hostname="localhost")
        except BaseException:
            sock.close()
            raise
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.tls.close()

    def send(self, data: bytes) -> None:
        self.tls.sendall(data)

    def ask(self, data: bytes, *, to_head: bool = False) -> Answer:
        """Send and return the answer."""
        self.send(data)
        return self.answer(to_head=to_head)

    def answer(self, *, to_head: bool = False) -> Answer:
        """Receive one answer whole; that to HEAD has no body."""
        status, headers = self.head()
        if to_head or status in {101, 204, 304}:
            return Answer(status, headers, b"")
        if headers.get("transfer-encoding") == ["chunked"]:
            return Answer(status, headers, self._chunked())
        if "content-length" in headers:
            return Answer(status, headers, self._exactly(int(headers["content-length"][0])))
        return Answer(status, headers, self.to_end())

    def head(self) -> tuple[int, dict[str, list[str]]]:
        """Receive one head."""
        lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        headers: dict[str, list[str]] = {}
        for line in lines[1:]:
            name, _, value = line.partition(": ")
            headers.setdefault(name.lower(), []).append(value)
        return int(lines[0].split(" ")[1]), headers

    def to_end(self) -> bytes:
        """Receive until the connection ends cleanly; raises where it is reset or truncated."""
        while data := self.tls.recv(65536):
            self._buffer += data
        data, self._buffer = self._buffer, b""
        return data

    def ended(self) -> bool:
        """Whether the connection ends now without another byte, cleanly or not."""
        try:
            return not self._buffer and not self.tls.recv(1)
        except (ConnectionError, ssl.SSLEOFError):
            return True

    def is_quiet(self) -> bool:
        """Whether neither a byte nor an end comes for a while."""
        patience = self.tls.gettimeout()
        self.tls.settimeout(_QUIET_SECONDS)
        try:
            self._fill()
        except TimeoutError:
            return not self._buffer
        except (ConnectionError, ssl.SSLEOFError):
            return False
        finally:
            self.tls.settimeout(patience)
        return False

    def receive(self) -> bytes:
        """Receive some bytes; empty at the end."""
        data, self._buffer = self._buffer, b""
        return data or self.tls.recv(65536)

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            self._fill()
        found, _, self._buffer = self._buffer.partition(mark)
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._fill()
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def _chunked(self) -> bytes:
        body = b""
        while size := int(self._until(b"\r\n"), 16):
            body += self._exactly(size)
            self._exactly(2)
        self._exactly(2)
        return body

    def _fill(self) -> None:
        data = self.tls.recv(65536)
        if not data:
            raise ConnectionError(f"closed after {self._buffer!r}")
        self._buffer += data
