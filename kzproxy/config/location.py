"""Where requests come from: ``listen.clientAddress``."""

from dataclasses import dataclass

from kzproxy.config.document import Node
from kzproxy.config.policy_contexts import read_block
from kzproxy.config.policy_names import filled
from kzproxy.policy.network import Addresses, IPNetwork, Network

_MODES = ("proxyProtocol", "forwardedFor")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientAddress:
    """Who says what the address of a client is; with neither, its connection.

    Attributes:
        proxies: Load balancers that alone may connect, with a PROXY header each time.
        hops: Proxies whose ``X-Forwarded-For`` counts.
    """

    proxies: tuple[IPNetwork, ...] = ()
    hops: tuple[IPNetwork, ...] = ()

    @property
    def proxy_addresses(self) -> Addresses | None:
        """The ``proxies``, ready to be asked; None where there are none."""
        return _addresses(self.proxies)

    @property
    def hop_addresses(self) -> Addresses | None:
        """The ``hops``, ready to be asked; None where there are none."""
        return _addresses(self.hops)


def load_client_address(node: Node | None) -> ClientAddress:
    """Read ``listen.clientAddress``; None is a configuration without it."""
    if node is None:
        return ClientAddress()
    fields = node.mapping(optional=_MODES)
    if node.is_mapping() and len(fields) != 1:
        node.mistake("name one of proxyProtocol and forwardedFor; there is one address to find")
    return ClientAddress(
        proxies=_listed(fields["proxyProtocol"]) if "proxyProtocol" in fields else (),
        hops=_listed(fields["forwardedFor"]) if "forwardedFor" in fields else (),
    )


def _listed(node: Node) -> tuple[IPNetwork, ...]:
    blocks: list[IPNetwork] = []
    for item in filled(node.mapping(required=("from",))["from"], "address blocks"):
        block = read_block(item)
        if block is not None and block.prefixlen == 0:
            item.mistake(
                f"{block} would let everybody say what address they come from; name the load"
                " balancers"
            )
        elif block is not None:
            blocks.append(block)
    return tuple(blocks)


def _addresses(blocks: tuple[IPNetwork, ...]) -> Addresses | None:
    return Addresses((Network(name="listed", blocks=blocks),)) if blocks else None
