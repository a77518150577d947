"""Which network addresses a fetched document may send kzproxy to.

The operator names the issuer; the issuer's document names where its keys are. That second name is
another party's word, and must not turn kzproxy into a probe of its own network or of the cloud's
metadata service.
"""

from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address, IPv6Network

IPAddress = IPv4Address | IPv6Address

_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052 section 2.1


def unwrapped(address: IPAddress) -> IPAddress:
    """Return the IPv4 address inside an IPv4-mapped or NAT64 one, else the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def is_internal(address: IPAddress) -> bool:
    """Tell whether an address is one of a private network or of this machine."""
    return not unwrapped(address).is_global


def may_be_sent_to(target: Collection[IPAddress], issuer: Collection[IPAddress]) -> bool:
    """Tell whether a document served at ``issuer`` may name a host that resolves to ``target``.

    A public issuer may name public hosts. An issuer inside may name hosts inside too, but never a
    link-local one (169.254.169.254 and its like), nor multicast or the unspecified address.
    """
    if not target or any(_is_never_allowed(unwrapped(address)) for address in target):
        return False
    if any(is_internal(address) for address in target):
        return bool(issuer) and all(is_internal(address) for address in issuer)
    return True


def _is_never_allowed(address: IPAddress) -> bool:
    return address.is_link_local or address.is_multicast or address.is_unspecified
