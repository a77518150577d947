"""Where listeners listen."""

from ipaddress import ip_address
from urllib.parse import urlsplit

import msgspec

from kzproxy.config.document import Node

_MAX_PORT = 65535


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where a listener listens."""

    host: str
    port: int


def read_address(node: Node) -> Address:
    """Read ``HOST:PORT``, the host being an IP address; ``[::1]:8443`` for IPv6."""
    text = node.string()
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        ip_address(host)
        number = int(port)
    except ValueError:
        if text:
            node.mistake(f"{text!r} must be ADDRESS:PORT, such as 0.0.0.0:8443 or [::]:8443")
        return Address(host="127.0.0.1", port=0)
    if not 0 <= number <= _MAX_PORT:
        node.mistake(f"{number} is not a port")
    return Address(host=host, port=number)


def names_https_host(text: str) -> bool:
    """Whether a text is an https URL, in plain characters, of a host that it names."""
    if not text.isascii() or not text.isprintable() or any(mark in text for mark in " \\"):
        return False
    try:
        parts = urlsplit(text)
        return text.startswith("https://") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
