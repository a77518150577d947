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
        user_agent: As the client sent it, so only a hint; empty where none.
        reason: What the user gave as the reason for what they do, where they gave one that still
            holds; empty where none.
        reason_ends_at: Aware, UTC; when ``reason`` is one no longer. None where there is none.
    """

    received_at: datetime
    source_address: IPAddress
    user_agent: str = ""
    reason: str = ""
    reason_ends_at: datetime | None = None
