"""One small HTTPS server that is many OpenID issuers, told apart by their path, with one key.

It stands in for somebody else's identity providers. Tokens are signed by the tests themselves.
"""

import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.servers.authority import Authority
from tests.servers.tokens import SigningKey

AUDIENCE = "kubernetes"


class ManyIssuers:
    """The issuers ``URL/0``, ``URL/1`` and so on while they are served."""

    def __init__(self, url: str, authority: Authority) -> None:
        self._url = url
        self._authority = authority
        self.key = SigningKey.make("key-1")

    def issuer(self, number: int) -> dict[str, object]:
        """Return the ``issuer`` of an AuthenticationConfiguration's entry."""
        return {
            "url": f"{self._url}/{number}",
            "audiences": [AUDIENCE],
            "certificateAuthority": self._authority.pem.decode(),
        }

    def token(self, number: int, claims: dict[str, object]) -> str:
        now = int(time.time())
        times = {"iat": now, "exp": now + 3600, "aud": AUDIENCE, "sub": "s-1"}
        return self.key.token({"iss": f"{self._url}/{number}"} | times | claims)

    def document(self, path: str) -> dict[str, object] | None:
        if path == "/keys":
            return {"keys": [self.key.jwk()]}
        tenant, _, rest = path.removeprefix("/").partition("/")
        if rest == ".well-known/openid-configuration":
            return {"issuer": f"{self._url}/{tenant}", "jwks_uri": f"{self._url}/keys"}
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Two programs ask for the keys of sixty issuers at once. Of five that wait, as there are
    # otherwise, the kernel leaves out all others, and their connections hang for seconds.
    request_queue_size = 512


@contextmanager
def many_issuers(directory: Path, authority: Authority) -> Iterator[ManyIssuers]:
    """Serve them on a free port of 127.0.0.1 until the block ends."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            document = issuers.document(self.path)
            body = json.dumps(document).encode()
            self.send_response(200 if document is not None else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = _Server(("127.0.0.1", 0), Answer)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.server("127.0.0.1", "localhost").write_to(directory, "idps"))
    # Each thread shakes its own hands: nobody who is slow keeps the next from being accepted.
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    issuers = ManyIssuers(f"https://127.0.0.1:{server.server_port}", authority)
    thread = threading.Thread(target=server.serve_forever, name="issuers")
    thread.start()
    try:
        yield issuers
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
