"""Named networks: from where a request may come."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network

from kzproxy.attributes.environment import IPAddress

IPNetwork = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A name for address blocks."""

    name: str
    blocks: tuple[IPNetwork, ...]

    def holds(self, address: IPAddress) -> bool:
        """Whether the address lies in one of the blocks; an IPv4-mapped one counts as IPv4."""
        if isinstance(address, IPv6Address):
            address = address.ipv4_mapped or address
        # ``in`` is false between the versions.
        return any(address in block for block in self.blocks)
