"""Addresses that stand for all of a network, as far as the policy's networks tell them apart."""

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network

from kzproxy.attributes.environment import IPAddress
from kzproxy.policy_tools.policy_text import PolicyText

_MOST_PLACES = 16

_Block = IPv4Network | IPv6Network


def places_in(text: PolicyText) -> Iterator[tuple[str, tuple[IPAddress, ...]]]:
    """Give each network's name with addresses in it, one at least of each part of it.

    A part is what lies in the same blocks of all networks. Of a network with very many parts only
    the first are given.
    """
    networks = {
        definition.name: [ip_network(str(block)) for block in definition.value]
        for definition in text.definitions
        if definition.section == "networks" and isinstance(definition.value, list)
    }
    everywhere = [block for blocks in networks.values() for block in blocks]
    for name, blocks in networks.items():
        yield name, tuple(_places(blocks, everywhere))[:_MOST_PLACES]


def _places(blocks: list[_Block], everywhere: list[_Block]) -> list[IPAddress]:
    found: dict[IPAddress, None] = {}
    for block in blocks:
        found[block.network_address] = None
    for block in blocks:
        # Parts of a block begin where it does, where another block in it does, and behind that.
        for other in everywhere:
            for edge in (_first(other), _last(other) + 1):
                if other.version == block.version and _first(block) <= edge <= _last(block):
                    found[block.network_address + (edge - _first(block))] = None
    return list(found)


def _first(block: _Block) -> int:
    return int(block.network_address)


def _last(block: _Block) -> int:
    return int(block.broadcast_address)
