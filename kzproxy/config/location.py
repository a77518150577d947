"""Where requests come from: ``listen.clientAddress`` and ``location``."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from kzproxy.config.document import Node
from kzproxy.config.files import named_file
from kzproxy.config.policy_contexts import read_block
from kzproxy.config.policy_names import filled
from kzproxy.location.settings import LocationSettings
from kzproxy.policy.network import Addresses, IPNetwork, Network
from kzproxy.policy.rules import AccessPolicySet, NamedCondition, Rule, Tier

_COUNTRY = frozenset({"source.country", "source.geoKnown", "session.countryChanged"})


class ClientAddress(msgspec.Struct, frozen=True, kw_only=True):
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


DIRECT = ClientAddress()


def load_client_address(node: Node | None) -> ClientAddress:
    """Read ``listen.clientAddress``; None is a configuration without it."""
    if node is None:
        return DIRECT
    fields = node.mapping(optional=("proxyProtocol", "forwardedFor"))
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


def load_location(node: Node | None, base: Path) -> LocationSettings | None:
    """Read ``location``; None is a configuration without it."""
    if node is None:
        return None
    fields = node.mapping(optional=("database", "asnDatabase"))
    if node.is_mapping() and not fields:
        node.mistake("name database or asnDatabase")
    return LocationSettings(
        database=named_file(fields["database"], base) if "database" in fields else None,
        asn_database=named_file(fields["asnDatabase"], base) if "asnDatabase" in fields else None,
    )


def refuse_to_ask_for_unknown_places(
    policy: AccessPolicySet, settings: LocationSettings | None, where: Node
) -> None:
    """Record a mistake where a rule asks for what no database is there to say."""
    known = settings or LocationSettings()
    for field, file, asks in (
        ("database", known.database, _asks_for_country),
        ("asnDatabase", known.asn_database, _asks_for_system),
    ):
        asking = next((each for each in _asking(policy) if asks(each)), None)
        if file is None and asking is not None:
            what = "country" if field == "database" else "autonomous system"
            where.mistake(
                f"{_name(asking)} asks for the {what} of an address, which nobody can tell:"
                f" set location.{field}"
            )


def _asking(policy: AccessPolicySet) -> Iterator[Rule | NamedCondition | Tier]:
    yield from policy.conditions
    yield from policy.tiers
    yield from policy.rules


def _asks_for_country(asking: Rule | NamedCondition | Tier) -> bool:
    asked = asking.conditions
    return (
        bool(asked.countries)
        or asked.session_same_country
        or (asking.when is not None and not asking.when.reads.isdisjoint(_COUNTRY))
    )


def _asks_for_system(asking: Rule | NamedCondition | Tier) -> bool:
    return bool(asking.conditions.asns) or (
        asking.when is not None and "source.asn" in asking.when.reads
    )


def _name(asking: Rule | NamedCondition | Tier) -> str:
    if isinstance(asking, Rule):
        return f"rule {asking.id}"
    kind = "tier" if isinstance(asking, Tier) else "condition"
    return f"{kind} {asking.name}"
