"""Whom a request comes from that came through proxies, as ``X-Forwarded-For`` has it; pure.

Each proxy adds the address that it was connected from, at the end. So the list is believed from its
end on, as long as it was written by a proxy that we list: the first address that is none of theirs
is the client's. What stands before it the client wrote itself, and nobody looks at it.
"""

from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from kzproxy.errors.kinds import BadRequest

HEADER = "x-forwarded-for"
MAX_HOPS = 32
_SHOWN_CHARACTERS = 64

Address = IPv4Address | IPv6Address


def forwarded_client(values: Sequence[str], is_hop: Callable[[Address], bool]) -> Address:
    """Return the client's address.

    Args:
        values: Of all headers of that name, in their order, of a request that a listed proxy sent.
        is_hop: Whether a proxy of this address is listed.

    Raises:
        BadRequest: Nobody says whom it comes from, or not in one way.
    """
    before = ",".join(values)
    if not values:
        raise BadRequest(
            "the proxy in front of kzproxy did not say whom the request comes from, in"
            " X-Forwarded-For"
        )
    for _ in range(MAX_HOPS):
        before, comma, last = before.rpartition(",")
        address = _address(last)
        # Where all are listed, it is the first of them that asks.
        if not comma or not is_hop(address):
            return address
    raise BadRequest(f"X-Forwarded-For names more than {MAX_HOPS} listed proxies")


def _address(text: str) -> Address:
    text = text.strip(" \t")
    try:
        address = ip_address(text)
    except ValueError:
        address = None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    address = address if mapped is None else mapped
    if address is None or "%" in text or address.is_unspecified or address.is_multicast:
        raise BadRequest(
            f"X-Forwarded-For holds {text[:_SHOWN_CHARACTERS]!r} where an IP address must stand"
        )
    return address
