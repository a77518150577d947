"""Headers that speak of one connection: never copied to another, always rebuilt from the value."""

from collections.abc import Iterable

from kzproxy.http.messages import Headers

# RFC 9110 section 7.6.1 with the framing, and what older software still sends. ``expect`` is met
# by us, and asked of nobody: kube-apiserver is sent the body as it comes.
REBUILT_HEADERS = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


def end_to_end(headers: Headers) -> Headers:
    """Return the headers that may be relayed: not hop-by-hop, and not named by ``Connection``.

    For answers. A request's headers are chosen by an allow-list instead, since a client that names
    ``Impersonate-User`` in ``Connection`` must not be able to remove it.
    """
    dropped = REBUILT_HEADERS | _nominated(value for name, value in headers if name == "connection")
    return tuple(header for header in headers if header[0] not in dropped)


def _nominated(connection_values: Iterable[str]) -> frozenset[str]:
    return frozenset(
        token.strip(" \t") for value in connection_values for token in value.lower().split(",")
    )
