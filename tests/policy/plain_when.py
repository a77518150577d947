"""What some expressions mean, said in Python: a second reading of what policies write in CEL.

Each text stands beside a function of the request, the policy's own answers (tier, named conditions)
and nothing of the engine's; None is what nobody can tell.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import DevicePosture, Fact

HOUR = timedelta(hours=1)
_RISKS = ("LOW", "MEDIUM", "HIGH")


@dataclass(frozen=True, slots=True)
class OfPolicy:
    """What a policy says of the request.

    Attributes:
        tier: Of its device.
        named: Whether a named condition holds.
        networks: The names of those that it comes from.
        calendars: The names of those that are open.
    """

    tier: Callable[[], int]
    named: Callable[[str], bool | None]
    networks: Callable[[], set[str]]
    calendars: Callable[[], set[str]]


Reading = Callable[[Attributes, OfPolicy], bool | None]


def _age(since: datetime | None, a: Attributes) -> timedelta | None:
    return None if since is None else a.environment.received_at - since


def _younger(age: timedelta | None, than: timedelta) -> bool | None:
    return None if age is None else age < than


def _is_shown(device: DevicePosture) -> bool:
    return device.enrolled is Fact.PASSED


def _now(a: Attributes) -> dict[str, Fact]:
    at = a.environment.received_at
    return {n: c.fact if at < c.expires_at else Fact.UNKNOWN for n, c in a.device.checks}


def _is_managed(a: Attributes) -> bool | None:
    if not _is_shown(a.device):
        return None
    said = {a.device.managed, _now(a).get("managed", Fact.UNKNOWN)}
    return True if Fact.PASSED in said else False if Fact.FAILED in said else None


def _session_age(a: Attributes) -> timedelta | None:
    who = a.subject
    return _age(who.session_began_at or who.authenticated_at or who.issued_at, a)


def _either(left: bool | None, right: bool | None) -> bool | None:
    return True if True in (left, right) else None if None in (left, right) else False


def _not(one: bool | None) -> bool | None:
    return None if one is None else not one


READINGS: dict[str, Reading] = {
    'authentication.acr == "s"': lambda a, _: (
        a.subject.authentication_class == "s" if a.subject.authentication_class else None
    ),
    '!("otp" in authentication.amr)': lambda a, _: (
        "otp" not in a.subject.authentication_methods if a.subject.authentication_methods else None
    ),
    'authentication.known && authentication.age < duration("1h")': lambda a, _: (
        a.subject.authenticated_at is not None
        and _younger(_age(a.subject.authenticated_at, a), HOUR) is True
    ),
    'authentication.age >= duration("1h")': lambda a, _: _not(
        _younger(_age(a.subject.authenticated_at, a), HOUR)
    ),
    'session.age < duration("2h")': lambda a, _: _younger(_session_age(a), 2 * HOUR),
    'session.mode == "session" && !session.bound': lambda a, _: (
        a.subject.method == "session" and not a.subject.confirmation
    ),
    'session.riskKnown && session.risk == "HIGH"': lambda a, _: a.subject.risk == "HIGH",
    'session.risk != "HIGH"': lambda a, _: (
        a.subject.risk != "HIGH" if a.subject.risk in _RISKS else None
    ),
    "device.tier >= 2": lambda _, p: p.tier() >= 2,
    "device.tier < 1": lambda _, p: p.tier() < 1,
    '"firewall" in device.passed': lambda a, _: (
        _is_shown(a.device) and _now(a).get("firewall") is Fact.PASSED
    ),
    '!("firewall" in device.failed)': lambda a, _: (
        _now(a).get("firewall") is not Fact.FAILED if _is_shown(a.device) else None
    ),
    "device.managed": lambda a, _: _is_managed(a),
    'device.postureAge <= duration("30m")': lambda a, _: (
        None
        if not _is_shown(a.device) or a.device.observed_at is None
        else a.environment.received_at - a.device.observed_at <= HOUR / 2
    ),
    'device.riskKnown && device.risk != "LOW"': lambda a, _: (
        _is_shown(a.device) and a.device.risk in ("MEDIUM", "HIGH")
    ),
    "device.enrolled": lambda a, _: (
        None if a.device.enrolled is Fact.UNKNOWN else _is_shown(a.device)
    ),
    '"office" in source.networks': lambda _, p: "office" in p.networks(),
    'source.geoKnown && source.country == "DE"': lambda a, _: a.environment.country == "DE",
    "source.asn == 64500": lambda a, _: a.environment.asn == 64500 if a.environment.asn else None,
    '"night" in time.calendars || "office-hours" in time.calendars': lambda _, p: bool(
        p.calendars() & {"night", "office-hours"}
    ),
    'time.now < timestamp("2026-01-16T12:00:00Z")': lambda a, _: (
        a.environment.received_at < datetime(2026, 1, 16, 12, tzinfo=UTC)
    ),
    'request.reason.startsWith("INC-")': lambda a, _: a.environment.reason.startswith("INC-"),
    'request.namespace_known && request.namespace_labels.?env.orValue("") == "prod"': lambda a, _: (
        dict(a.namespace_labels or ()).get("env", "") == "prod"
    ),
    'request.namespace_labels["env"] == "prod"': lambda a, _: (
        dict(a.namespace_labels)["env"] == "prod"
        if a.namespace_labels is not None and "env" in dict(a.namespace_labels)
        else None
    ),
    'request.dry_run || request.verb == "get"': lambda a, _: (
        a.request.is_dry_run or a.request.verb == "get"
    ),
    'user.name == "ann" || "ops" in user.groups': lambda a, _: (
        a.subject.username == "ann" or "ops" in a.subject.groups
    ),
    'workload.spiffe_id.glob("spiffe://example.org/ns/*")': lambda a, _: (
        a.subject.spiffe_id.startswith("spiffe://example.org/ns/")
    ),
    "conditions.fresh": lambda _, p: p.named("fresh"),
    "!conditions.calm": lambda _, p: _not(p.named("calm")),
    'conditions.some || request.container == "app"': lambda a, p: _either(
        p.named("some"), a.request.container == "app"
    ),
}
"""By their texts."""

OF_OBJECTS = frozenset({'conditions.some || request.container == "app"'})
"""Those that look at the object of a request behind a name."""

OF_TIERS = frozenset(text for text in READINGS if "device.tier" in text)
OF_NAMES = frozenset(text for text in READINGS if "conditions." in text)
