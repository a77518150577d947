"""What conditions ask of the device and of the session."""

import re
from datetime import timedelta

import msgspec

from kzproxy.config.document import Node, did_you_mean
from kzproxy.config.policy_durations import read_duration
from kzproxy.config.policy_names import NAME, filled
from kzproxy.policy.device_features import (
    LOW,
    MEDIUM,
    NO_FEATURES,
    OWNER_SELF,
    STATES,
    DeviceFeatures,
    Platform,
    version_of,
)
from kzproxy.policy.rules import Effect

MAX_LEVEL = 99
CHECK = re.compile(r"[a-z][a-z0-9_]{0,62}")
VERSION = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9}){0,7}")
RISKS_ASKED = (LOW, MEDIUM)
MODES = ("session",)
DEVICE_FIELDS = (
    *("enrolled", "tier", "belowTier", "managed", "state", "owner", "checks"),
    *("postureAge", "os", "risk"),
)
SESSION_FIELDS = ("maxAge", "mode", "risk", "sameAddress", "sameCountry")

OF_GOOD_DEVICES = tuple(
    name for name in DEVICE_FIELDS if name not in ("enrolled", "tier", "belowTier")
)


class DeviceAsked(msgspec.Struct, frozen=True, kw_only=True):
    """What ``device`` says."""

    enrolled: bool | None = None
    tier: int | None = None
    below_tier: int | None = None
    features: DeviceFeatures = NO_FEATURES


class SessionAsked(msgspec.Struct, frozen=True, kw_only=True):
    """What ``session`` says."""

    max_age: timedelta | None = None
    kept: bool = False
    max_risk: str = ""
    same_address: bool = False
    same_country: bool = False


def read_device(node: Node, effect: Effect | None, tiers: dict[str, int]) -> DeviceAsked:
    """Read ``device``; ``tiers`` are the levels of all tiers by their names."""
    fields = node.mapping(optional=DEVICE_FIELDS)
    if node.is_mapping() and not fields:
        node.mistake(f"name {', '.join(DEVICE_FIELDS[:-1])} or {DEVICE_FIELDS[-1]}")
    if effect is Effect.DENY:
        _refuse_of_good_devices(fields)
    if effect is Effect.ALLOW and "belowTier" in fields:
        fields["belowTier"].mistake("an allow rule can ask for tier only")
    return DeviceAsked(
        enrolled=_enrolled(fields["enrolled"], effect) if "enrolled" in fields else None,
        tier=_level(fields["tier"], tiers) if "tier" in fields else None,
        below_tier=_level(fields["belowTier"], tiers) if "belowTier" in fields else None,
        features=_features(fields),
    )


def read_session(node: Node) -> SessionAsked:
    """Read ``session``."""
    fields = node.mapping(optional=SESSION_FIELDS)
    if node.is_mapping() and not fields:
        node.mistake(f"name {', '.join(SESSION_FIELDS[:-1])} or {SESSION_FIELDS[-1]}")
    return SessionAsked(
        max_age=read_duration(fields["maxAge"]) if "maxAge" in fields else None,
        kept="mode" in fields and bool(fields["mode"].choice(MODES)),
        max_risk=_risk(fields["risk"]) if "risk" in fields else "",
        same_address="sameAddress" in fields and _true(fields["sameAddress"]),
        same_country="sameCountry" in fields and _true(fields["sameCountry"]),
    )


def _refuse_of_good_devices(fields: dict[str, Node]) -> None:
    if "tier" in fields:
        fields["tier"].mistake(
            "a deny rule on good devices is escaped by showing nothing; deny others with belowTier"
        )
    for name in OF_GOOD_DEVICES:
        if name in fields:
            fields[name].mistake(
                "a deny rule on good devices is escaped by showing nothing; put what is wanted"
                " under conditions: and deny what is not with none: [NAME], or ask for belowTier"
            )


def _features(fields: dict[str, Node]) -> DeviceFeatures:
    checks, max_age = _checks(fields["checks"]) if "checks" in fields else (frozenset[str](), None)
    return DeviceFeatures(
        managed="managed" in fields and _true(fields["managed"]),
        state=_state(fields["state"]) if "state" in fields else "",
        own="owner" in fields and bool(fields["owner"].choice([OWNER_SELF])),
        checks=checks,
        checks_max_age=max_age,
        posture_max_age=_at_most(fields["postureAge"]) if "postureAge" in fields else None,
        platforms=_platforms(fields["os"]) if "os" in fields else (),
        max_risk=_risk(fields["risk"]) if "risk" in fields else "",
    )


def _state(node: Node) -> str:
    if node.is_text() and node.string() == "pending":
        node.mistake(
            "a device that is pending is not enrolled yet, and never shown to be there: this would"
            " never hold; write approved"
        )
        return ""
    return node.choice(STATES)


def _enrolled(node: Node, effect: Effect | None) -> bool:
    wanted = node.boolean()
    if effect is Effect.ALLOW and not wanted:
        node.mistake("an allow rule can ask for enrolled: true only")
    if effect is Effect.DENY and wanted:
        node.mistake(
            "a deny rule on enrolled devices is escaped by showing no certificate; write"
            " enrolled: false to deny every device that is not shown to be enrolled"
        )
    return wanted


def _level(node: Node, tiers: dict[str, int]) -> int:
    if not node.is_text():
        return node.integer(1, MAX_LEVEL)
    name = node.string()
    if name in tiers:
        return tiers[name]
    if name:
        defined = ", ".join(sorted(tiers)) or "nothing"
        node.mistake(
            f"{name} is no tier{did_you_mean(name, tiers)}; name one or give its level; defined:"
            f" {defined}"
        )
    return 1


def _true(node: Node) -> bool:
    if not node.boolean():
        node.mistake("write true, or leave it out: that a device is not is never shown")
    return True


def _checks(node: Node) -> tuple[frozenset[str], timedelta | None]:
    fields = node.mapping(required=("passed",), optional=("maxAge",))
    names = []
    for item in filled(fields["passed"], "checks"):
        name = item.string()
        if name and not CHECK.fullmatch(name):
            item.mistake(f'"{name}" is no check; write it as disk_encrypted')
        names.append(name)
    return frozenset(names), read_duration(fields["maxAge"]) if "maxAge" in fields else None


def _at_most(node: Node) -> timedelta:
    return read_duration(node.mapping(required=("atMost",))["atMost"])


def _risk(node: Node) -> str:
    return node.mapping(required=("atMost",))["atMost"].choice(RISKS_ASKED)


def _platforms(node: Node) -> tuple[Platform, ...]:
    return tuple(_platform(item) for item in filled(node, "platforms"))


def _platform(node: Node) -> Platform:
    fields = node.mapping(required=("platform",), optional=("minVersion",))
    name = fields["platform"].string()
    if name and not NAME.fullmatch(name):
        fields["platform"].mistake(
            f'"{name}" is no operating system; write its ID in small letters, such as ubuntu'
        )
    version = fields["minVersion"].string() if "minVersion" in fields else ""
    if version and version_of(version) is None:
        fields["minVersion"].mistake(f'{version} is no version; write numbers, such as "24.04"')
    return Platform(name=name, min_version=version)
