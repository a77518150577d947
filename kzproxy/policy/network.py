"""Named networks: from where a request may come."""

from bisect import bisect_right
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, collapse_addresses
from typing import TypeVar

import msgspec

from kzproxy.attributes.environment import IPAddress

IPNetwork = IPv4Network | IPv6Network
_Block = TypeVar("_Block", IPv4Network, IPv6Network)


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """A name for address blocks."""

    name: str
    blocks: tuple[IPNetwork, ...]


class Addresses:
    """The addresses of some networks, ready to be asked; the number of blocks hardly matters."""

    __slots__ = ("_v4", "_v6")

    def __init__(self, networks: Iterable[Network]) -> None:
        blocks = [block for network in networks for block in network.blocks]
        self._v4 = _ranges(block for block in blocks if isinstance(block, IPv4Network))
        self._v6 = _ranges(block for block in blocks if isinstance(block, IPv6Network))

    def hold(self, address: IPAddress) -> bool:
        """Whether the address lies in one of the blocks; an IPv4-mapped one counts as IPv4."""
        if isinstance(address, IPv6Address):
            address = address.ipv4_mapped or address
        firsts, lasts = self._v6 if isinstance(address, IPv6Address) else self._v4
        number = int(address)
        # The only range that can hold it is the last that does not begin after it.
        place = bisect_right(firsts, number) - 1
        return place >= 0 and number <= lasts[place]


def _ranges(blocks: Iterable[_Block]) -> tuple[list[int], list[int]]:
    """Return the first and the last addresses of the blocks: sorted, none within another."""
    collapsed: list[_Block] = list(collapse_addresses(blocks))
    firsts = [int(block.network_address) for block in collapsed]
    return firsts, [int(block.broadcast_address) for block in collapsed]
