"""Networks and calendars of access policies, under the names that rules use."""

import re
import zoneinfo
from datetime import UTC, datetime, tzinfo
from ipaddress import IPv6Network, ip_network
from typing import TypeVar

from kzproxy.config.document import Node, did_you_mean
from kzproxy.config.policy_holidays import read_holidays
from kzproxy.config.policy_names import checked_name, filled
from kzproxy.policy.calendar import DAYS, Calendar, DatedWindow, WeeklyWindow
from kzproxy.policy.network import IPNetwork, Network

_Context = TypeVar("_Context", Network, Calendar)

CIDR = re.compile(r"[0-9A-Fa-f.:]+/[0-9]{1,3}")
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2})?")
TIME_OF_DAY = re.compile(r"(?:([01][0-9]|2[0-3]):([0-5][0-9]))|24:00")
_IPV4_MAPPED = IPv6Network("::ffff:0:0/96")
# Not IANA names: what this machine is set to, and trees that count seconds in other ways.
_OTHER_ZONES = ("localtime", "posix", "right/", "Factory")


class Contexts:
    """The networks and calendars of all files; a name means one thing in all of them."""

    def __init__(self) -> None:
        self._networks: dict[str, Network] = {}
        self._calendars: dict[str, Calendar] = {}

    def define_networks(self, node: Node) -> None:
        """Read ``networks``: name to a list of CIDRs."""
        for key, value in node.entries():
            name = checked_name(key)
            if name in self._networks:
                key.mistake(f"network {name} is already defined in another document")
            blocks = [read_block(item) for item in filled(value, "address blocks")]
            known = tuple(block for block in blocks if block is not None)
            self._networks[name] = Network(name=name, blocks=known)

    def define_calendars(self, node: Node) -> None:
        """Read ``calendars``: name to a time zone and its windows."""
        for key, value in node.entries():
            name = checked_name(key)
            if name in self._calendars:
                key.mistake(f"calendar {name} is already defined in another document")
            self._calendars[name] = _calendar(name, value)

    @property
    def all_networks(self) -> tuple[Network, ...]:
        """All that are defined."""
        return tuple(self._networks.values())

    @property
    def all_calendars(self) -> tuple[Calendar, ...]:
        """All that are defined."""
        return tuple(self._calendars.values())

    def networks(self, node: Node) -> tuple[Network, ...]:
        """Return the networks that a condition names."""
        return _named(node, self._networks, "networks")

    def calendars(self, node: Node) -> tuple[Calendar, ...]:
        """Return the calendars that a condition names."""
        return _named(node, self._calendars, "calendars")


def _named(node: Node, known: dict[str, _Context], section: str) -> tuple[_Context, ...]:
    found: dict[str, _Context] = {}
    for item in filled(node, f"one of {section}"):
        name = item.string()
        if name in known:
            found[name] = known[name]
        elif name:
            defined = ", ".join(sorted(known)) or "nothing"
            hint = did_you_mean(name, known)
            item.mistake(f"{name} is not defined under {section}{hint}; defined: {defined}")
    return tuple(found.values())


def read_block(node: Node) -> IPNetwork | None:
    """Read a CIDR; None where it is none, which is a mistake."""
    text = node.string()
    if not text:
        return None
    try:
        block = ip_network(text, strict=False)
    except ValueError:
        node.mistake(f'{text} is no address block; write it as "192.0.2.0/24" or "2001:db8::/32"')
        return None
    wrong = _wrong_spelling(text, block)
    if wrong:
        node.mistake(wrong)
    return block


def _wrong_spelling(text: str, block: IPNetwork) -> str:
    if not CIDR.fullmatch(text):
        return f"{text} needs a prefix length; write {block}"
    if isinstance(block, IPv6Network) and block.subnet_of(_IPV4_MAPPED):
        return f"{text} holds IPv4 addresses; write them as IPv4"
    if text.partition("/")[0] != str(block.network_address) and not _same_address(text, block):
        return f"{text} has bits set after its prefix; the network is {block}"
    return ""


def _same_address(text: str, block: IPNetwork) -> bool:
    """Whether only the spelling differs, as in ``2001:DB8:0::/32``."""
    return ip_network(text.partition("/")[0]).network_address == block.network_address


def _calendar(name: str, node: Node) -> Calendar:
    fields = node.mapping(
        required=("timeZone",), optional=("weekly", "dated", "except", "holidays")
    )
    if node.is_mapping() and not {"weekly", "dated"} & fields.keys():
        node.mistake("name weekly or dated windows, or it is never open")
    zone_name = fields["timeZone"].string()
    return Calendar(
        name=name,
        zone_name=zone_name,
        zone=_zone(zone_name, fields["timeZone"]),
        weekly=tuple(_weekly(item) for item in _items(fields, "weekly")),
        dated=_dated(fields, "dated"),
        exceptions=_dated(fields, "except"),
        holidays=read_holidays(fields["holidays"]) if "holidays" in fields else None,
    )


def _items(fields: dict[str, Node], name: str) -> list[Node]:
    return filled(fields[name], "windows") if name in fields else []


def _dated(fields: dict[str, Node], name: str) -> tuple[DatedWindow, ...]:
    found = [_dated_window(item) for item in _items(fields, name)]
    return tuple(window for window in found if window is not None)


def _dated_window(node: Node) -> DatedWindow | None:
    fields = node.mapping(required=("from", "to"))
    start, end = _wall(fields["from"]), _wall(fields["to"])
    if start is None or end is None:
        return None
    if end <= start:
        fields["to"].mistake('"to" must be after "from"; it is not included')
        return None
    return DatedWindow(start=start, end=end)


def _wall(node: Node) -> datetime | None:
    text = node.string()
    if not text:
        return None
    if DATE.fullmatch(text):
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            pass  # Such as the 30th of February.
    node.mistake(f'{text} is no date; write "YYYY-MM-DD" or "YYYY-MM-DDTHH:MM", in quotes')
    return None


def _zone(name: str, node: Node) -> tzinfo:
    zone = _iana_zone(name)
    if name and zone is None:
        zones = (z for z in zoneinfo.available_timezones() if not z.startswith(_OTHER_ZONES))
        hint = did_you_mean(name, zones)
        node.mistake(f"{name} is no IANA time zone, such as Europe/Prague or UTC{hint}")
    return zone or UTC


def _iana_zone(name: str) -> tzinfo | None:
    if not name or name.startswith(_OTHER_ZONES):
        return None
    try:
        return zoneinfo.ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def _weekly(node: Node) -> WeeklyWindow:
    fields = node.mapping(required=("days", "from", "to"))
    days = [item.choice(DAYS) for item in filled(fields["days"], "days")]
    start = _minute(fields["from"], "00:00 to 23:59", latest=23 * 60 + 59)
    end = _minute(fields["to"], "00:00 to 24:00", latest=24 * 60)
    if start is not None and start == end:
        fields["to"].mistake('"from" and "to" are the same; a whole day is "00:00" to "24:00"')
    return WeeklyWindow(
        days=frozenset(DAYS.index(day) for day in days if day),
        from_minute=start or 0,
        to_minute=end or 0,
    )


def _minute(node: Node, allowed: str, *, latest: int) -> int | None:
    text = node.string()
    if not text:
        return None
    minute = _minute_of_day(text)
    if minute is None or minute > latest:
        node.mistake(f'{text} is no time of day; write "HH:MM", {allowed}, in quotes')
        return None
    return minute


def _minute_of_day(text: str) -> int | None:
    if not TIME_OF_DAY.fullmatch(text):
        return None
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)
