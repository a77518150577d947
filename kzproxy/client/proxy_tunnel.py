"""A connection by way of a proxy (RFC 9110 section 9.3.6)."""

import base64
import http.client
import socket

from kzproxy.client.failure import ClientFailure
from kzproxy.client.notices import visible
from kzproxy.client.outgoing_proxy import HTTP, OutgoingProxy, UnusableProxy

_DEFAULT_PORT = 80
_SUCCESSES = range(200, 300)
_MAX_SAID = 200


def tunnel(proxy: OutgoingProxy, host: str, port: int, timeout_seconds: float) -> socket.socket:
    """Return a connection to ``host`` that the proxy has made; whoever asks for it closes it.

    Args:
        proxy: Of the kind http.
        host: An IPv6 address stands without its brackets.
        port: Of the host.
        timeout_seconds: For each step, and of the socket.

    Raises:
        UnusableProxy: It is of another kind.
        ClientFailure: It cannot be reached, or does not lead there.
    """
    kind, named_by = proxy.url.scheme, proxy.named_by
    if kind != HTTP:
        raise UnusableProxy(
            f"{named_by} names a proxy of the kind {kind}://, which kzproxy's own commands cannot"
            f" go through; name one of the kind {HTTP}://"
        )
    place = (proxy.url.hostname or "", proxy.url.port or _DEFAULT_PORT)
    try:
        connection = socket.create_connection(place, timeout_seconds)
        try:
            _ask(connection, proxy, f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        except BaseException:
            connection.close()
            raise
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        message = f"the proxy that {named_by} names cannot be asked: {visible(str(error))}"
        raise ClientFailure(message) from None
    return connection


def _ask(connection: socket.socket, proxy: OutgoingProxy, target: str) -> None:
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.user is not None:
        told = base64.b64encode(":".join(proxy.user).encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {told}")
    connection.sendall("".join(f"{line}\r\n" for line in [*lines, ""]).encode("ascii"))
    # Of what it reads, no line and no number of lines is without a bound.
    with http.client.HTTPResponse(connection, method="CONNECT") as answer:
        answer.begin()
    if answer.status not in _SUCCESSES:
        said = visible(f"{answer.status} {answer.reason}")[:_MAX_SAID]
        raise ClientFailure(f"the proxy that {proxy.named_by} names answers {said}")
