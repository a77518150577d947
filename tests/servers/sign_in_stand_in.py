"""Stands in for kzproxy's own sign-in, where a test needs one that misbehaves, or obeys it.

It speaks the same protocol over TLS: an OAuth authorization server (RFC 8414, 6749, 7636, 8628,
7009) with certificates for clients' keys, bound tokens and rotated renewal tokens. It asks nobody
who they are: /authorize sends every browser straight back. The real one is tested elsewhere.
"""

import base64
import hashlib
import json
import secrets
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from kzproxy.demo.certificate_parts import as_end, signed, subject
from tests.servers.authority import Authority

# X509_V_FLAG_NO_CHECK_TIME of OpenSSL.
_NO_CHECK_TIME = 0x200000

Form = dict[str, str]
Document = dict[str, object]


@dataclass(kw_only=True)
class Kept:
    """A session as the stand-in keeps it."""

    id: str
    thumbprint: str
    renewal: str
    renewal_before: str = ""
    ended: bool = False


@dataclass(kw_only=True)
class SignInStandIn:
    """Its settings, and what it has seen.

    Attributes:
        url: What it calls itself.
        ca_file: Of its server certificate.
        refusal: What each renewal is answered with, while it is set.
        lost_answers: How many token answers are dropped after they were made.
        pending: How often a device code is answered ``authorization_pending``.
        certificate_life: Of the certificates that it issues, from now.
        issues: Whether it does issue any.
        forms: What was posted to /token, in order.
        asked: The parameters of each authorization request.
        device_asked: Those of each device authorization request.
        revoked: The tokens that were revoked.
        without_certificate: How many renewals came without the session's key.
    """

    url: str
    ca_file: Path
    devices: Authority
    token_seconds: int = 300
    refusal: Document | None = None
    lost_answers: int = 0
    pending: int = 0
    certificate_begins_before: timedelta = timedelta(minutes=5)
    certificate_life: timedelta = timedelta(hours=24)
    issues: bool = True
    discovery: Document = field(default_factory=dict)
    forms: list[Form] = field(default_factory=list)
    asked: list[Form] = field(default_factory=list)
    device_asked: list[Form] = field(default_factory=list)
    revoked: list[str] = field(default_factory=list)
    without_certificate: int = 0
    nonces: int = 0
    sessions: list[Kept] = field(default_factory=list)
    _codes: dict[str, Form] = field(default_factory=dict)

    @property
    def issuer(self) -> str:
        return self.url

    @property
    def renewals(self) -> list[Form]:
        return [form for form in self.forms if form["grant_type"] == "refresh_token"]

    def document(self) -> Document:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "device_authorization_endpoint": f"{self.url}/device_authorization",
            "revocation_endpoint": f"{self.url}/revoke",
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none"],
            "tls_client_certificate_bound_access_tokens": True,
            "authorization_response_iss_parameter_supported": True,
            "kzproxy_nonce_endpoint": f"{self.url}/nonce",
            **self.discovery,
        }

    def authorize(self, asked: Form) -> tuple[str, str]:
        """Return where to send the browser, and the page instead where it is to be shown."""
        self.asked.append(asked)
        code = secrets.token_urlsafe(16)
        self._codes[code] = asked
        if asked["redirect_uri"] == f"{self.url}/code":
            return "", f"<code>{code}</code>"
        answer = {"code": code, "state": asked["state"], "iss": self.url}
        return f"{asked['redirect_uri']}?{urlencode(answer)}", ""

    def device_authorization(self, asked: Form) -> Document:
        self.device_asked.append(asked)
        code = secrets.token_urlsafe(16)
        self._codes[code] = asked
        return {
            "device_code": code,
            "user_code": "WDJB-MJHT",
            "verification_uri": f"{self.url}/device",
            "expires_in": 600,
            "interval": 1,
        }

    def token(self, form: Form, certificate: bytes | None) -> tuple[int, Document]:
        self.forms.append(form)
        assert form["client_id"] == "kzproxy-cli"
        if form["grant_type"] == "refresh_token":
            return self._renewed(form, certificate)
        code = form.get("code") or form.get("device_code") or ""
        if "device_code" in form and self.pending > 0:
            self.pending -= 1
            return 400, {"error": "authorization_pending"}
        asked = self._codes.pop(code, None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if asked is None or asked["code_challenge"] != challenge:
            return 400, {"error": "invalid_grant", "error_description": "the code is not good"}
        thumbprint = _thumbprint(x509.load_pem_x509_csr(form["csr"].encode()))
        kept = Kept(id=secrets.token_hex(16), thumbprint=thumbprint, renewal="")
        self.sessions.append(kept)
        return 200, self._answer(kept, self._issue(form["csr"]) if self.issues else None)

    def _renewed(self, form: Form, certificate: bytes | None) -> tuple[int, Document]:
        if self.refusal is not None:
            return 400, self.refusal
        given = form["refresh_token"]
        found = [s for s in self.sessions if given in (s.renewal, s.renewal_before) and not s.ended]
        if not found:
            return 400, {"error": "invalid_grant", "error_description": "the session is over"}
        [kept] = found
        shown = x509.load_der_x509_certificate(certificate) if certificate else None
        if shown is None or _thumbprint(shown) != kept.thumbprint:
            self.without_certificate += 1
            return 400, {"error": "invalid_grant", "error_description": "not the session's key"}
        return 200, self._answer(kept, self._issue(form["csr"]) if "csr" in form else None)

    def _answer(self, kept: Kept, issued: x509.Certificate | None) -> Document:
        kept.renewal, kept.renewal_before = secrets.token_urlsafe(32), kept.renewal
        ends_at = datetime.now(UTC) + timedelta(hours=12)
        more = {"certificate": issued.public_bytes(Encoding.PEM).decode()} if issued else {}
        return {
            "access_token": f"token-{secrets.token_hex(8)}",
            "token_type": "Bearer",
            "expires_in": self.token_seconds,
            "refresh_token": kept.renewal,
            "session_id": kept.id,
            "session_ends_at": ends_at.isoformat(),
            "username": "oidc:alice",
            "nonce": f"nonce-{len(self.forms)}",
            **more,
        }

    def _issue(self, csr: str) -> x509.Certificate:
        request = x509.load_pem_x509_csr(csr.encode())
        assert request.is_signature_valid
        key = request.public_key()
        begins = datetime.now(UTC) - self.certificate_begins_before
        name = f"urn:kzproxy:client:{_thumbprint(request)[:32]}"
        builder = as_end(
            x509.CertificateBuilder()
            .subject_name(subject(["a client"]))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(datetime.now(UTC) + self.certificate_life)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(
                x509.SubjectAlternativeName([x509.UniformResourceIdentifier(name)]), critical=False
            )
        )
        issuer = self.devices.issued
        return signed(builder, issuer_name=issuer.certificate.subject, issuer_key=issuer.key)


def _thumbprint(one: x509.Certificate | x509.CertificateSigningRequest) -> str:
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(one.public_key().public_bytes(*form)).hexdigest()


@contextmanager
def running_sign_in(
    directory: Path, authority: Authority, ca_file: Path
) -> Iterator[SignInStandIn]:
    """Run one for the block on a free port of 127.0.0.1, named ``localhost``."""
    server = _Server(("127.0.0.1", 0), _Handler)
    devices = Authority.root("the stand-in's device authority")
    stand_in = SignInStandIn(
        url=f"https://localhost:{server.server_port}", ca_file=ca_file, devices=devices
    )
    server.stand_in = stand_in
    certificate, key = authority.server("localhost").write_to(directory, "sign-in")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.verify_mode = ssl.CERT_OPTIONAL
    # Tests have it stand for a server whose clock is not this machine's.
    context.verify_flags |= _NO_CHECK_TIME
    context.load_verify_locations(cadata=devices.pem.decode())
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield stand_in
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    stand_in: SignInStandIn

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is what some of these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    connection: ssl.SSLSocket
    timeout = 5

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/.well-known/oauth-authorization-server":
            self._answer(200, self.server.stand_in.document())
            return
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        location, page = self.server.stand_in.authorize(query)
        self.send_response(302 if location else 200)
        if location:
            self.send_header("Location", location)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(page.encode())

    def do_POST(self) -> None:
        length = int(self.headers["content-length"])
        posted = parse_qs(self.rfile.read(length).decode(), keep_blank_values=True)
        form = {name: values[0] for name, values in posted.items()}
        stand_in = self.server.stand_in
        match self.path:
            case "/token":
                status, document = stand_in.token(form, self.connection.getpeercert(True))
                if status == 200 and stand_in.lost_answers > 0:
                    stand_in.lost_answers -= 1
                    self.close_connection = True
                    return
                self._answer(status, document)
            case "/device_authorization":
                self._answer(200, stand_in.device_authorization(form))
            case "/nonce":
                stand_in.nonces += 1
                self._answer(200, {"nonce": f"fresh-{stand_in.nonces}", "expires_in": 600})
            case "/revoke":
                stand_in.revoked.append(form["token"])
                for kept in stand_in.sessions:
                    kept.ended = kept.ended or kept.renewal == form["token"]
                self._answer(200, {})
            case _:
                self._answer(404, {})

    def _answer(self, status: int, document: Document) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Keep the test's output clean."""


def certificate_of(status: Document) -> x509.Certificate:
    """Return the client certificate that kubectl is given."""
    return x509.load_pem_x509_certificate(str(status["clientCertificateData"]).encode())


def seconds_from_now(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp() - time.time()
