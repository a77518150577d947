"""The kzproxy that a kubeconfig context leads to, and requests to its own endpoints."""

import base64
import binascii
import http.client
import json
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from kzproxy.client.bounded_file import read_bounded
from kzproxy.client.failure import ClientFailure
from kzproxy.client.https_url import host_and_port
from kzproxy.client.kubeconfig import context_settings
from kzproxy.client.kubeconfig_document import Entry
from kzproxy.client.kubeconfig_files import KubeconfigFiles
from kzproxy.client.notices import visible
from kzproxy.client.outgoing_proxy import AS_KUBECTL, OutgoingProxy, environment_proxy
from kzproxy.client.plugin_settings import PluginSettings
from kzproxy.client.proxy_tunnel import tunnel
from kzproxy.client.server_trust import as_by_kubectl
from kzproxy.client.tls_identity import TlsIdentity

_MAX_CA_BYTES = 1024 * 1024
_MAX_ANSWER_BYTES = 16 * 1024 * 1024
_TIMEOUT_SECONDS = 15.0
_OK = 200
_UNAUTHORIZED = 401
_NOT_FOUND = 404

Document = dict[str, object]


class NotThere(ClientFailure):
    """kzproxy has not what it was asked for.

    Attributes:
        said: Its own words; may be empty.
    """

    def __init__(self, server: str, said: str) -> None:
        super().__init__(f"{server} does not serve this: {said}")
        self.said = said


class TokenRefused(ClientFailure):
    """kzproxy does not take the token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyServer:
    """Where a context leads, and who speaks there.

    Attributes:
        settings: Of the sign-in; ``settings.server`` is the URL.
        authorities: PEM; None means the system's.
        server_name: What its certificate must name; empty: the URL's host.
        proxy: The one that the kubeconfig names; None: that of the environment, if any.
        identity: The certificate that a session's token is bound to; None: the device's, if any.
    """

    settings: PluginSettings
    authorities: str | None = field(repr=False)
    server_name: str
    proxy: OutgoingProxy | None = None
    identity: TlsIdentity | None = None


def proxy_server(files: KubeconfigFiles, context: str) -> ProxyServer:
    """Return the kzproxy of a context; an empty name means the current one.

    Raises:
        ClientFailure: There is none that can be used.
    """
    settings = context_settings(files, context)
    entry = files.entry("contexts", context or files.current_context) or {}
    name = str(entry.get("cluster"))
    cluster = files.entry("clusters", name) or {}
    if cluster.get("insecure-skip-tls-verify"):
        raise ClientFailure(f"the cluster {name!r} is not to be verified; a token is not sent so")
    if settings.server != str(cluster.get("server") or "").rstrip("/"):
        raise ClientFailure(f"the sign-in is for {settings.server}, not for the cluster {name!r}")
    return ProxyServer(
        settings=settings,
        authorities=_authorities(cluster, files.directory("clusters", name)),
        server_name=str(cluster.get("tls-server-name") or ""),
        proxy=_named_proxy(cluster, name),
    )


def _authorities(cluster: Entry, directory: Path) -> str | None:
    if data := cluster.get("certificate-authority-data"):
        try:
            return base64.b64decode(str(data), validate=True).decode("ascii")
        except (binascii.Error, ValueError):
            raise ClientFailure("certificate-authority-data is not Base64 of PEM") from None
    if file := cluster.get("certificate-authority"):
        path = directory / str(file)
        try:
            return read_bounded(str(path), _MAX_CA_BYTES, "the authorities").decode("ascii")
        except UnicodeDecodeError:
            raise ClientFailure(f"{path} is not PEM") from None
    return None


def _named_proxy(cluster: Entry, name: str) -> OutgoingProxy | None:
    url = cluster.get("proxy-url")
    return OutgoingProxy.parse(str(url), f"proxy-url of the cluster {name!r}") if url else None


def ask(
    server: ProxyServer,
    token: str,
    method: str,
    path: str,
    body: Document | None = None,
    *,
    timeout_seconds: float = _TIMEOUT_SECONDS,
) -> Document:
    """Ask an endpoint of kzproxy's own, below ``/kzproxy.dev/v1/``; return the answer's object.

    No redirect is followed: the token goes to this server alone.

    Raises:
        TokenRefused: It does not take the token.
        ClientFailure: It refused, with its reason, or could not be asked.
    """
    connection = _Connection(server, timeout_seconds)
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    content = None
    if body is not None:
        headers["Content-Type"] = "application/json"
        content = json.dumps(body)
    try:
        connection.request(method, f"/kzproxy.dev/v1/{path}", body=content, headers=headers)
        with connection.getresponse() as answer:
            received = answer.read(_MAX_ANSWER_BYTES + 1)
            return _document(answer.status, received, server)
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        raise ClientFailure(f"{server.settings.server} cannot be asked: {error}") from None
    finally:
        connection.close()


class _Connection(http.client.HTTPSConnection):
    """As its base, with the name and the proxy from the kubeconfig."""

    def __init__(self, server: ProxyServer, timeout_seconds: float) -> None:
        host, port = _place(server.settings.server)
        self._tls = _context(server)
        self._server_name = server.server_name or host
        # As client-go: what NO_PROXY says is for the environment's alone.
        self._proxy = server.proxy or environment_proxy(host, port, AS_KUBECTL)
        self._seconds = timeout_seconds
        super().__init__(host, port, timeout=timeout_seconds, context=self._tls)

    def connect(self) -> None:
        """Connect, and check the certificate."""
        if self._proxy is None:
            http.client.HTTPConnection.connect(self)
        else:
            self.sock = tunnel(self._proxy, self.host, self.port, self._seconds)
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._server_name)


def _place(url: str) -> tuple[str, int]:
    if "/" not in url.partition("://")[2]:
        with suppress(ValueError):
            return host_and_port(url)
    raise ClientFailure(f"{url} is not https://HOST:PORT")


def _context(server: ProxyServer) -> ssl.SSLContext:
    settings = server.settings
    try:
        context = as_by_kubectl(ssl.create_default_context(cadata=server.authorities))
        if server.identity is not None:
            server.identity.load_into(context)
        if settings.device_certificate:
            context.load_cert_chain(settings.device_certificate, settings.device_key)
    except OSError as error:  # ssl.SSLError is one
        message = f"the authorities or the device certificate cannot be used: {error}"
        raise ClientFailure(message) from None
    return context


def _document(status: int, received: bytes, server: ProxyServer) -> Document:
    try:
        document = json.loads(received)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise ClientFailure(f"{server.settings.server} answers {status}, and not as kzproxy does")
    if status == _OK:
        return document
    said = visible(str(document.get("message", "")))[:2000]
    if status == _UNAUTHORIZED:
        raise TokenRefused(f"{server.settings.server} answers {status}: {said}")
    if status == _NOT_FOUND:
        raise NotThere(server.settings.server, said)
    raise ClientFailure(f"{server.settings.server} answers {status}: {said}")
