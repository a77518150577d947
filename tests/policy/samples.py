"""Short ways to write rules and requests down in a test."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from zoneinfo import ZoneInfo

from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import NO_DEVICE, DevicePosture, Fact
from kzproxy.attributes.environment import Environment
from kzproxy.attributes.identity import Identity
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.policy.calendar import DAYS, Calendar, DatedWindow, WeeklyWindow
from kzproxy.policy.decision import Decision
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.network import Network
from kzproxy.policy.rules import (
    NO_CONDITIONS,
    AccessPolicySet,
    Conditions,
    Effect,
    Match,
    Rule,
)

# A Wednesday, 11:00 in Prague.
WEDNESDAY_MORNING = datetime(2026, 1, 14, 10, 0, tzinfo=UTC)
ENROLLED = DevicePosture(enrolled=Fact.PASSED, device_id="laptop-1", thumbprint="ab" * 32)

OFFICE = Network(name="office", blocks=(ip_network("203.0.113.0/24"), ip_network("2001:db8::/32")))


def window(name: str, zone: str, days: str, start: str, end: str) -> Calendar:
    """Make a window with one weekly stretch, its days parted by blanks."""
    weekly = WeeklyWindow(
        days=frozenset(DAYS.index(day) for day in days.split()),
        from_minute=minute(start),
        to_minute=minute(end),
    )
    return Calendar(name=name, zone_name=zone, zone=ZoneInfo(zone), weekly=(weekly,))


def dated(start: str, end: str) -> DatedWindow:
    """Make a stretch from one moment of a wall clock to another."""
    return DatedWindow(start=datetime.fromisoformat(start), end=datetime.fromisoformat(end))


def minute(time_of_day: str) -> int:
    """Read HH:MM as minutes from midnight."""
    hours, minutes = time_of_day.split(":")
    return int(hours) * 60 + int(minutes)


OFFICE_HOURS = window("office-hours", "Europe/Prague", "Mon Tue Wed Thu Fri", "07:00", "20:00")


def match(
    verbs: str,
    resources: str = "",
    *,
    groups: Iterable[str] = ("*",),
    namespaces: str = "",
    names: str = "",
    urls: str = "",
) -> Match:
    """Make a match from words parted by blanks."""
    return Match(
        verbs=frozenset(verbs.split()),
        api_groups=frozenset(groups) if resources else frozenset(),
        resources=frozenset(resources.split()),
        namespaces=tuple(namespaces.split()),
        names=tuple(names.split()),
        non_resource_urls=frozenset(urls.split()),
    )


def allow(rule_id: str, *matches: Match, **fields: object) -> Rule:
    """Make an allow rule; for group dev unless ``users`` or ``groups`` say otherwise."""
    return _rule(Effect.ALLOW, rule_id, matches, **fields)


def deny(rule_id: str, *matches: Match, **fields: object) -> Rule:
    """Make a deny rule; for group dev unless ``users`` or ``groups`` say otherwise."""
    return _rule(Effect.DENY, rule_id, matches, **fields)


def _rule(
    effect: Effect,
    rule_id: str,
    matches: tuple[Match, ...],
    *,
    users: str = "",
    groups: str = "",
    conditions: Conditions = NO_CONDITIONS,
    message: str = "",
    **others: object,
) -> Rule:
    return Rule(
        id=rule_id,
        effect=effect,
        users=frozenset(users.split()),
        groups=frozenset((groups or ("" if users else "dev")).split()),
        match=matches,
        conditions=conditions,
        message=message,
        **others,
    )


def subject(username: str = "ann", groups: str = "dev") -> Identity:
    """Make an identity."""
    return Identity(
        username=username,
        groups=tuple(groups.split()),
        method="oidc",
        issuer="https://idp.example",
        subject=username,
        expires_at=WEDNESDAY_MORNING + timedelta(hours=1),
    )


def asked(
    method: str,
    target: str,
    *,
    who: Identity | None = None,
    device: DevicePosture = NO_DEVICE,
    at: datetime = WEDNESDAY_MORNING,
    come_from: str = "192.0.2.7",
) -> Attributes:
    """Make attributes of a request as it stands in a request line."""
    return Attributes(
        subject=who or subject(),
        device=device,
        request=RequestInfo.parse(method, target),
        environment=Environment(received_at=at, source_address=ip_address(come_from)),
    )


def decide(rules: Iterable[Rule], attributes: Attributes) -> Decision:
    """Judge by the rules."""
    return PolicyEngine(AccessPolicySet(rules=tuple(rules))).decide(attributes)
