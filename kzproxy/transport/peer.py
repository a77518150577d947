"""The other end of a connection, as the socket, TLS and whom we believe vouch for it."""

from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address


@dataclass(frozen=True, slots=True, kw_only=True, weakref_slot=True)
class Peer:
    """Who is connected.

    Attributes:
        address: The client's: that of the socket's peer, or the one that a load balancer in front
            gives. An IPv4-mapped IPv6 address is given as IPv4, so that one client has one address
            however it came.
        port: The client's port; 0 where nobody says it.
        certificates: The chain that TLS verified up to the device CA, DER, leaf first; empty where
            no certificate was presented. Its dates are *not* checked by TLS.
        via: The socket's peer, where the client is another; else None.
        whence: Both addresses in words, which are compared in a moment.
    """

    address: IPv4Address | IPv6Address
    port: int
    certificates: tuple[bytes, ...] = field(default=(), repr=False)
    via: IPv4Address | IPv6Address | None = None
    whence: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Write the addresses out, once for all requests."""
        whence = str(self.address) if self.via is None else f"{self.address} via {self.via}"
        object.__setattr__(self, "whence", whence)


@lru_cache(maxsize=4096)  # Clients come back, and each time it would take twenty calls.
def peer_address(host: str) -> IPv4Address | IPv6Address:
    """Return the address in a socket name, without zone and IPv4 mapping."""
    address = ip_address(host.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
