"""Stands in for an issuer that misbehaves: it answers what a test scripted, over TLS.

What a well-behaved issuer does is tested against a real one (``tests/servers/foreign_idp``).
"""

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

from tests.servers.authority import Authority

# A name that only a proxy can lead to.
FAR_AWAY = "far-away.test"

Body = bytes | Callable[[], Iterator[bytes]]


@dataclass(kw_only=True)
class Scripted:
    """One answer; ``body`` may be a generator, sent piece by piece."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: Body = b"{}"

    @classmethod
    def json(cls, document: object, status: int = 200) -> "Scripted":
        return cls(status=status, body=json.dumps(document).encode())


@dataclass(kw_only=True)
class RudeIssuer:
    """The answers by path, in their order; the last one is repeated.

    Attributes:
        forms: What was posted, in order.
        headers: Of each request, in order.
    """

    issuer: str
    script: dict[str, list[Scripted]] = field(default_factory=dict)
    forms: list[dict[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def far_away(self) -> str:
        """Its URL beyond a proxy."""
        return self.issuer.replace("localhost", FAR_AWAY)

    def answers(self, path: str, answers: Sequence[Scripted]) -> None:
        self.script[path] = list(answers)

    def discovers(self, **changes: object) -> None:
        """Answer discovery with a sound document, but for ``changes``; None leaves one out."""
        document: dict[str, object] = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "device_authorization_endpoint": f"{self.issuer}/device",
            **changes,
        }
        kept = {name: value for name, value in document.items() if value is not None}
        self.answers("/.well-known/openid-configuration", [Scripted.json(kept)])


@contextmanager
def running_rude_issuer(directory: Path, authority: Authority) -> Iterator[RudeIssuer]:
    """Run one for the block on a free port of 127.0.0.1, named ``localhost``, or ``FAR_AWAY``."""
    server = _Server(("127.0.0.1", 0), _Handler)
    issuer = RudeIssuer(issuer=f"https://localhost:{server.server_port}")
    server.rude = issuer
    certificate, key = authority.server("localhost", FAR_AWAY).write_to(directory, "rude")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    rude: RudeIssuer

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is what many of these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 5

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        length = int(self.headers["content-length"])
        posted = parse_qs(self.rfile.read(length).decode(), keep_blank_values=True)
        self.server.rude.forms.append({name: values[0] for name, values in posted.items()})
        self._answer()

    def _answer(self) -> None:
        rude = self.server.rude
        rude.headers.append({name.lower(): value for name, value in self.headers.items()})
        script = rude.script.get(self.path) or [Scripted(status=404)]
        scripted = script.pop(0) if len(script) > 1 else script[0]
        self.send_response(scripted.status)
        for name, value in scripted.headers.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        parts = [scripted.body] if isinstance(scripted.body, bytes) else scripted.body()
        for part in parts:
            self.wfile.write(part)
            self.wfile.flush()

    def log_message(self, *args: object) -> None:
        """Keep the test's output clean."""
