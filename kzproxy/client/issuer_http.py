"""HTTP to an issuer: https only, no redirects, every answer bounded in size and time."""

import json
import ssl
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from kzproxy import __version__
from kzproxy.client.failure import ClientFailure
from kzproxy.client.https_url import DEFAULT_PORT
from kzproxy.client.outgoing_proxy import (
    AS_BROWSERS,
    SOCKS,
    OutgoingProxy,
    UnusableProxy,
    environment_proxy,
)
from kzproxy.client.server_trust import as_by_kubectl
from kzproxy.client.tls_identity import TlsIdentity
from kzproxy.clock.system import Clock

# httpx brings a command of its own, and with it rich, pygments and click: more than half of what
# importing it takes, which kubectl would wait for at each renewal. It does without where it must.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]

import httpx  # noqa: E402

MAX_ANSWER_BYTES = 1024 * 1024
ANSWER_TIMEOUT = timedelta(seconds=15)
_OPERATION_TIMEOUT = httpx.Timeout(10.0, connect=5.0)

# RFC 8446 section 6.2, as OpenSSL words what it was sent.
_CERTIFICATE_ALERTS = (
    *("ALERT_UNKNOWN_CA", "ALERT_BAD_CERTIFICATE", "ALERT_UNSUPPORTED_CERTIFICATE"),
    *("ALERT_CERTIFICATE_REVOKED", "ALERT_CERTIFICATE_EXPIRED", "ALERT_CERTIFICATE_UNKNOWN"),
)

# What fails so has not been asked.
_NOT_THERE = (
    *(httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol, httpx.ProxyError),
)
_HEADERS = {
    "accept": "application/json",
    # What is not compressed cannot grow past the bound.
    "accept-encoding": "identity",
    "user-agent": f"kzproxy/{__version__} ({sys.platform})",
}

Document = dict[str, object]


class IssuerUnreachable(ClientFailure):
    """The issuer gave no answer that can be used; a later try may do better."""


class AnswerLost(IssuerUnreachable):
    """The issuer was reached and may have done what it was asked; its answer did not arrive."""


class CertificateRefused(ClientFailure):
    """The server does not take this client's certificate; trying again does not help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A JSON object and its status; ``document`` is empty where there was none to read."""

    status: int
    document: Document


class IssuerHttp:
    """The connections to one issuer; whoever makes it closes it."""

    def __init__(self, ca_file: str, clock: Clock, identity: TlsIdentity | None = None) -> None:
        self._clock = clock
        self._trust = _trust(ca_file)
        if identity is not None:
            identity.load_into(self._trust)
        self._clients: dict[OutgoingProxy | None, httpx.Client] = {}

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            client.close()

    def get(self, url: str) -> Answer:
        """Fetch ``url``.

        Raises:
            IssuerUnreachable: There was no usable answer.
        """
        return self._answer(_request("GET", url))

    def post(self, url: str, form: dict[str, str], authorization: str = "") -> Answer:
        """Post a form to ``url``.

        Raises:
            IssuerUnreachable: There was no usable answer.
        """
        headers = {"authorization": authorization} if authorization else {}
        return self._answer(_request("POST", url, form, headers))

    def _answer(self, request: httpx.Request) -> Answer:
        place = f"{request.url.scheme}://{request.url.netloc.decode()}{request.url.path}"
        if request.url.scheme != "https":
            raise IssuerUnreachable(f"{place} is not https")
        proxy = _proxy(request.url)
        deadline = self._clock.monotonic() + ANSWER_TIMEOUT.total_seconds()
        try:
            response = self._client(proxy).send(request, stream=True)
            try:
                body = self._body(response, place, deadline)
            finally:
                response.close()
        except httpx.HTTPError as error:
            raise _failure(error, place, proxy) from None
        except UnicodeError:  # the look-up of a name that there cannot be
            raise _nowhere(place, proxy) from None
        if response.is_redirect or response.status_code >= 500 or response.status_code == 429:
            said = _document(body).get("error_description")
            why = f": {said[:500]}" if isinstance(said, str) and said else ""
            raise IssuerUnreachable(f"{place} answers {response.status_code}{why}")
        return Answer(status=response.status_code, document=_document(body))

    def _client(self, proxy: OutgoingProxy | None) -> httpx.Client:
        if proxy not in self._clients:
            self._clients[proxy] = httpx.Client(
                transport=_transport(self._trust, proxy),
                timeout=_OPERATION_TIMEOUT,
                follow_redirects=False,
            )
        return self._clients[proxy]

    def _body(self, response: httpx.Response, place: str, deadline: float) -> bytes:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise IssuerUnreachable(f"{place} answers compressed, unasked")
        body = bytearray()
        for part in response.iter_raw():
            body += part
            if len(body) > MAX_ANSWER_BYTES:
                raise IssuerUnreachable(f"{place} answers more than {MAX_ANSWER_BYTES} bytes")
            if self._clock.monotonic() > deadline:
                raise IssuerUnreachable(f"{place} answers too slowly")
        return bytes(body)


def _trust(ca_file: str) -> ssl.SSLContext:
    if ca_file:
        try:
            return as_by_kubectl(ssl.create_default_context(cafile=ca_file))
        except OSError as error:  # ssl.SSLError is one
            message = f"--issuer-ca {ca_file} cannot be used: {error.strerror or error}"
            raise ClientFailure(message) from None
    paths = ssl.get_default_verify_paths()
    # A Python that knows no authorities of the system falls back on httpx's own.
    return as_by_kubectl(
        ssl.create_default_context() if paths.cafile or paths.capath else httpx.create_ssl_context()
    )


def _request(
    method: str, url: str, form: dict[str, str] | None = None, headers: Mapping[str, str] = _HEADERS
) -> httpx.Request:
    try:
        return httpx.Request(method, url, data=form, headers={**_HEADERS, **headers})
    except httpx.InvalidURL:  # as an issuer's document may have one
        raise _nowhere(url, None) from None


def _proxy(url: httpx.URL) -> OutgoingProxy | None:
    try:
        return environment_proxy(url.host, url.port or DEFAULT_PORT, AS_BROWSERS)
    except UnusableProxy as failure:
        raise IssuerUnreachable(str(failure)) from None


def _transport(trust: ssl.SSLContext, proxy: OutgoingProxy | None) -> httpx.BaseTransport:
    # httpx's own reading of the environment chokes on what other programs take in NO_PROXY.
    if proxy is None:
        return httpx.HTTPTransport(verify=trust, trust_env=False)
    try:
        kind = _SocksTransport if proxy.url.scheme in SOCKS else httpx.HTTPTransport
        return kind(verify=trust, trust_env=False, proxy=proxy.url.geturl())
    except httpx.InvalidURL:
        raise _nowhere("", proxy) from None


class _SocksTransport(httpx.HTTPTransport):
    """As its base, which lets the errors of the library for SOCKS through as they are."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return super().handle_request(request)
        except (httpx.HTTPError, UnicodeError):
            raise
        except Exception as error:
            raise httpx.ProxyError("it does not speak SOCKS 5") from error


def _nowhere(url: str, proxy: OutgoingProxy | None) -> IssuerUnreachable:
    if proxy is not None:
        return IssuerUnreachable(f"{proxy.named_by} names a proxy of a name that there cannot be")
    return IssuerUnreachable(f"{url.partition('?')[0]} is no URL that can be asked")


def _failure(error: httpx.HTTPError, place: str, proxy: OutgoingProxy | None) -> ClientFailure:
    text = str(error)
    # With TLS 1.3 the server says what it thinks of our certificate once we begin to read.
    if any(alert in text for alert in _CERTIFICATE_ALERTS):
        return CertificateRefused(f"{place} does not take this client's certificate ({text})")
    way = f", by way of {proxy.named_by}" if proxy is not None else ""
    message = f"{place} cannot be reached{way}: {_reason(error)}"
    return IssuerUnreachable(message) if isinstance(error, _NOT_THERE) else AnswerLost(message)


def _reason(error: httpx.HTTPError) -> str:
    text = str(error) or type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in text:
        text += "; if it has an authority of its own, name that with --issuer-ca"
    return text


def _document(body: bytes) -> Document:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
