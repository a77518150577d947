"""When and from where."""

from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address

IPAddress = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The context of one request.

    Attributes:
        received_at: Aware, UTC.
        source_address: The socket's peer; an IPv4-mapped IPv6 address is given as IPv4.
    """

    received_at: datetime
    source_address: IPAddress
