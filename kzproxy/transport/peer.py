"""The other end of a connection, as the socket and TLS vouch for it."""

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address


@dataclass(frozen=True, slots=True, kw_only=True, weakref_slot=True)
class Peer:
    """Who is connected.

    Attributes:
        address: The socket's peer; an IPv4-mapped IPv6 address is given as IPv4, so that one
            client has one address however it came.
        port: The peer's port.
        certificates: The chain that TLS verified up to the device CA, DER, leaf first; empty where
            no certificate was presented. Its dates are *not* checked by TLS.
    """

    address: IPv4Address | IPv6Address
    port: int
    certificates: tuple[bytes, ...] = field(default=(), repr=False)


def peer_address(host: str) -> IPv4Address | IPv6Address:
    """Return the address in a socket name, without zone and IPv4 mapping."""
    address = ip_address(host.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
