"""How many connections are taken, and how long one may keep us waiting.

Every figure is per worker: each counts what it serves.
"""

import resource
from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from ipaddress import IPv6Network

import msgspec

from kzproxy.policy.network import Addresses
from kzproxy.transport.dealing import Dealing
from kzproxy.transport.peer import peer_address

# What is open beside connections: logs, listeners, the selector, the issuers' keys, the probes.
_OTHER_DESCRIPTORS = 128
# A request under way holds two descriptors, the client's and one to kube-apiserver.
_DESCRIPTORS_A_CONNECTION = 2
# About 100 KiB of memory each, with what is behind a watch. In containers files are as good as
# unlimited: a million, or a thousand times that.
_BY_MEMORY = 50_000
# An IPv6 site has a whole /64 (RFC 4291 section 2.5.1): counted singly, it had no limit.
_IPV6_SITE_BITS = 64


class ConnectionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The listener's limits.

    Attributes:
        connections: In all; None takes what the limit on open files allows.
        connections_per_address: From one IPv4 address, or one IPv6 /64.
        handshake_seconds: From accept to the end of the TLS handshake.
        head_seconds: From a request's first byte to the end of its head.
        body_seconds: Between two reads of a request's body.
        send_seconds: Within which a client must take some of an ordinary answer.
    """

    connections: int | None = None
    # A build farm or an office behind one address has hundreds of clients, and each watch is a
    # connection of its own.
    connections_per_address: int = 1024
    handshake_seconds: float = 10.0
    # Precedents: nginx client_header_timeout 60 s, Go's kube-apiserver 32 s. A head is one packet
    # or a few: ten seconds is generous and bounds what a slowloris can hold.
    head_seconds: float = 10.0
    # A client that sends a body sends it steadily; kubectl's largest pause is a slow uplink.
    body_seconds: float = 60.0
    # kube-apiserver itself gives an ordinary request a minute in all.
    send_seconds: float = 60.0


DEFAULT_CONNECTION_LIMITS = ConnectionLimits()


class Excess(StrEnum):
    """Which bound a connection is over; ``UNLISTED``: it comes from nobody who may connect."""

    TOTAL = "total"
    ADDRESS = "address"
    UNLISTED = "unlisted"


def no_proxies() -> None:
    """Say that clients connect themselves."""


class OpenConnections:
    """Counts connections from accept to close, and says which are taken.

    Attributes:
        limits: What they are held to.
        proxies: Called for each connection: who alone may connect, each time with a PROXY header
            that names the client; None where clients connect themselves.
        dealing: To whom else they go in turn; None where this process has all of them.
    """

    def __init__(
        self,
        limits: ConnectionLimits,
        proxies: Callable[[], Addresses | None] = no_proxies,
        dealing: Dealing | None = None,
    ) -> None:
        self.limits = limits
        self.proxies = proxies
        self.dealing = dealing
        self._total = limits.connections or connections_by_open_files()
        self._per_address = limits.connections_per_address
        self._of_address: Counter[str] = Counter()
        self._open = 0

    def admit(self, host: str) -> Excess | None:
        """Count a connection, or say which bound it is over; then it is not counted.

        Of one whose client is not known yet ``host`` is empty: ``attribute`` must follow.
        """
        if self._open >= self._total:
            return Excess.TOTAL
        excess = self.attribute(host) if host else None
        if excess is None:
            self._open += 1
        return excess

    def attribute(self, host: str) -> Excess | None:
        """Count a connection as its client's, or say that this is over the bound."""
        site = _site(host)
        if self._of_address[site] >= self._per_address:
            return Excess.ADDRESS
        self._of_address[site] += 1
        return None

    def release(self, host: str) -> None:
        """Forget a connection that was admitted; ``host`` is empty where it is still nobody's."""
        self._open -= 1
        if not host:
            return
        site = _site(host)
        self._of_address[site] -= 1
        if not self._of_address[site]:
            del self._of_address[site]


def connections_by_open_files() -> int:
    """Return how many connections the limit on open files has room for, from 1 to 50,000."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return _BY_MEMORY
    room = (files - _OTHER_DESCRIPTORS) // _DESCRIPTORS_A_CONNECTION
    return min(max(1, room), _BY_MEMORY)


def _site(host: str) -> str:
    if ":" not in host:
        return host
    address = peer_address(host)
    if address.version == 4:
        return str(address)
    return str(IPv6Network((address.packed, _IPV6_SITE_BITS), strict=False))
