"""A small HTTPS OpenID issuer; it stands in for an organisation's identity provider."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_DISCOVERY = "/.well-known/openid-configuration"
_KEYS = "/keys"


class Issuer:
    """Serves a discovery document and a key set; tokens are signed elsewhere."""

    def __init__(self) -> None:
        """Bind to a free port; nothing is served yet."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
        self.url = f"https://localhost:{self._server.server_address[1]}"

    @contextmanager
    def serving(self, jwks: bytes, certificate: Path, key: Path) -> Iterator[None]:
        """Serve until the block ends."""
        document = {"issuer": self.url, "jwks_uri": self.url + _KEYS}
        self._server.RequestHandlerClass = _answering(
            {_DISCOVERY: json.dumps(document).encode(), _KEYS: jwks}
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        thread = threading.Thread(target=self._server.serve_forever, name="issuer", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


def _answering(documents: dict[str, bytes]) -> type[BaseHTTPRequestHandler]:
    class Answers(BaseHTTPRequestHandler):
        """Answers GET with one of the documents."""

        def do_GET(self) -> None:
            body = documents.get(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    return Answers
