"""When and from where."""

from datetime import datetime
from ipaddress import IPv4Address, IPv6Address

import msgspec

IPAddress = IPv4Address | IPv6Address


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where in the world an address is, as far as a database says.

    Attributes:
        country: ISO 3166-1 alpha-2; empty where it is not known.
        asn: Number of the autonomous system; 0 where it is not known.
    """

    country: str = ""
    asn: int = 0


NOWHERE = Place()


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """The context of one request.

    Attributes:
        received_at: Aware, UTC.
        source_address: The client's; an IPv4-mapped IPv6 address is given as IPv4.
        country: Of that address, see ``Place``.
        asn: The same.
        sign_in_country: Of the address that the session was signed in from.
        seen_country: Of the address that it was last seen at.
        user_agent: As the client sent it, so only a hint; empty where none.
        reason: What the user gave as the reason for what they do, where they gave one that still
            holds; empty where none.
        reason_ends_at: Aware, UTC; when ``reason`` is one no longer. None where there is none.
    """

    received_at: datetime
    source_address: IPAddress
    country: str = ""
    asn: int = 0
    sign_in_country: str = ""
    seen_country: str = ""
    user_agent: str = ""
    reason: str = ""
    reason_ends_at: datetime | None = None
