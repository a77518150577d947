"""Which proxy leads out of this network, as kubectl finds it (golang.org/x/net/http/httpproxy)."""

import re
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Self
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, getproxies_environment, proxy_bypass

from kzproxy.client.failure import ClientFailure

HTTP = "http"
SOCKS = ("socks5", "socks5h")
SCHEMES = (HTTP, "https", *SOCKS)

# Which variables count, in their order: kubectl asks the first alone.
AS_KUBECTL = ("https",)
AS_BROWSERS = ("https", "all")

_Address = IPv4Address | IPv6Address
_WITH_PORT = re.compile(r"(?:\[([^\[\]]*)\]|([^\[\]:]*)):([^\[\]:]*)")
_CIDR = re.compile(r"[0-9a-f.:]+/[0-9]+")


class UnusableProxy(ClientFailure):
    """A proxy is named that nothing can be sent through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingProxy:
    """A proxy.

    Attributes:
        url: One of ``SCHEMES``, with a host; may hold a password.
        named_by: Where it stands, for messages.
    """

    url: SplitResult = field(repr=False)
    named_by: str

    @classmethod
    def parse(cls, text: str, named_by: str) -> Self:
        """Read a variable's or a kubeconfig's value; without a scheme it is http.

        Raises:
            UnusableProxy: It names none. What it says is not repeated: it may hold a password.
        """
        with suppress(ValueError):
            url = urlsplit(text if "://" in text else f"{HTTP}://{text}")
            names_one = url.scheme in SCHEMES and bool(url.hostname) and url.port != 0
            if names_one and text.isprintable() and " " not in text:
                return cls(url=url, named_by=named_by)
        raise UnusableProxy(
            f"{named_by} names no proxy that can be used; write it as SCHEME://HOST:PORT, where"
            f" SCHEME is one of {', '.join(SCHEMES)}"
        )

    @property
    def user(self) -> tuple[str, str] | None:
        """Return the name and the password that the proxy asks for; None: it asks for none."""
        if self.url.username is None:
            return None
        return unquote(self.url.username), unquote(self.url.password or "")


def environment_proxy(host: str, port: int, kinds: tuple[str, ...]) -> OutgoingProxy | None:
    """Return the proxy to a host that the environment names, or else the system; None: none.

    Raises:
        UnusableProxy: One is named that cannot be used.
    """
    named = getproxies()
    kind = next((kind for kind in kinds if named.get(kind)), None)
    if kind is None or _goes_straight(host.lower(), port, named.get("no", "")):
        return None
    return OutgoingProxy.parse(named[kind], f"{kind.upper()}_PROXY")


def _goes_straight(host: str, port: int, exceptions: str) -> bool:
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    if not getproxies_environment():  # The system names one, and has exceptions of its own.
        return bool(proxy_bypass(f"{host}:{port}"))
    named = (one.strip().lower() for one in exceptions.split(","))
    return any(_covers(one, host, str(port), address) for one in named if one)


def _covers(exception: str, host: str, port: str, address: _Address | None) -> bool:
    """Return whether a part of NO_PROXY is for ``host``: all of a network, or a name and a port."""
    if exception == "*":
        return True
    network = _network(exception)
    if network is not None:
        return address is not None and address in network
    name, wanted_port = _split(exception)
    if wanted_port not in ("", port):
        return False
    named = _address(name)
    if named is not None:
        return address == named
    # Of ".example.com" and "*.example.com" the name itself is not one; of "example.com" it is.
    if name.startswith((".", "*.")):
        return host.endswith(name.removeprefix("*"))
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _split(exception: str) -> tuple[str, str]:
    """Take the port off a name, an IPv4 address or an IPv6 address in brackets."""
    found = _WITH_PORT.fullmatch(exception)
    return (found[1] or found[2] or "", found[3]) if found is not None else (exception, "")


def _network(text: str) -> IPv4Network | IPv6Network | None:
    if _CIDR.fullmatch(text) is None:
        return None
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def _address(host: str) -> _Address | None:
    try:
        found = ip_address(host)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return found if mapped is None else mapped
