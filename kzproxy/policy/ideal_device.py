"""A device as policy asks for it, made of the one that there is: for advice that is tried."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import NamedTuple

from msgspec.structs import replace

from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import CheckResult, DevicePosture, Fact
from kzproxy.policy.device_conditions import device_conditions
from kzproxy.policy.device_features import NO_FEATURES, RISKS, STATES, DeviceFeatures
from kzproxy.policy.posture_facts import is_shown
from kzproxy.policy.rules import AccessPolicySet, Rule
from kzproxy.policy.view import Definitions, RequestView

_ENROLLED = DevicePosture(enrolled=Fact.PASSED, device_id="device", thumbprint="00" * 32)
_NOTHING_DEFINED = Definitions((), ())
# What passes now is seen to again before long.
_GOOD_FOR = timedelta(days=1)
_MOST = 6


class Improvement(NamedTuple):
    """One way in which the device would be otherwise.

    Attributes:
        text: After "you can".
        wanted: What it would have to be, beside enrolled.
    """

    text: str
    wanted: DeviceFeatures

    def made(self, attributes: Attributes) -> Attributes:
        """Return the request, had it been made from such a device."""
        return replace(attributes, device=_as_wanted(self.wanted, attributes))


def improvements(asked: Iterable[DeviceFeatures], attributes: Attributes) -> Iterator[Improvement]:
    """Yield what might help where some of these are asked; what is less comes first."""
    known = is_shown(attributes.device)
    if not known:
        yield Improvement("use an enrolled device", NO_FEATURES)
    several = list(dict.fromkeys(each for each in asked if each != NO_FEATURES))[:_MOST]
    found = [_lacking(each, attributes) for each in (*several, _together(several))]
    for wanted in dict.fromkeys(found):
        if wanted != NO_FEATURES:
            words = ", ".join(_words(wanted))
            who = "see to it that your device" if known else "use an enrolled device that"
            yield Improvement(f"{who} {words}", wanted)


def features_asked(policies: AccessPolicySet, rules: Iterable[Rule]) -> Iterator[DeviceFeatures]:
    """Yield what these rules ask of a device, and all that may stand behind their names."""
    yield from (rule.conditions.device for rule in rules)
    yield from (each.conditions.device for each in policies.conditions)
    yield from (each.conditions.device for each in policies.tiers)


def _lacking(asked: DeviceFeatures, attributes: Attributes) -> DeviceFeatures:
    """Return as much of ``asked`` as does not hold."""
    view = RequestView(attributes, _NOTHING_DEFINED)
    lacking = NO_FEATURES
    for one in _apart(asked):
        if not all(each.value(view) for each in device_conditions(one)):
            lacking = _together([lacking, one])
    return lacking


def _apart(asked: DeviceFeatures) -> Iterator[DeviceFeatures]:
    yield from (
        DeviceFeatures(checks=frozenset({name}), checks_max_age=asked.checks_max_age)
        for name in sorted(asked.checks)
    )
    yield DeviceFeatures(managed=asked.managed)
    yield DeviceFeatures(state=asked.state)
    yield DeviceFeatures(own=asked.own)
    yield DeviceFeatures(posture_max_age=asked.posture_max_age)
    yield DeviceFeatures(platforms=asked.platforms)
    yield DeviceFeatures(max_risk=asked.max_risk)


def _together(several: Iterable[DeviceFeatures]) -> DeviceFeatures:
    """Return what asks for as much as all of these, as far as one device can be all."""
    found = NO_FEATURES
    for each in several:
        found = DeviceFeatures(
            managed=found.managed or each.managed,
            state=min(filter(None, (found.state, each.state)), key=STATES.index, default=""),
            own=found.own or each.own,
            checks=found.checks | each.checks,
            checks_max_age=_least(found.checks_max_age, each.checks_max_age),
            posture_max_age=_least(found.posture_max_age, each.posture_max_age),
            platforms=found.platforms or each.platforms,
            max_risk=min(
                filter(None, (found.max_risk, each.max_risk)), key=RISKS.index, default=""
            ),
        )
    return found


def _least(one: timedelta | None, other: timedelta | None) -> timedelta | None:
    return min((age for age in (one, other) if age is not None), default=None)


def _words(wanted: DeviceFeatures) -> Iterator[str]:
    if wanted.managed:
        yield "is managed"
    if wanted.state:
        yield f"is {wanted.state}"
    if wanted.own:
        yield "is your own"
    if wanted.checks:
        yield f"passes {' and '.join(sorted(wanted.checks))}"
    if wanted.posture_max_age is not None:
        yield "has just reported"
    if wanted.platforms:
        platform = wanted.platforms[0]
        yield f"runs {f'{platform.name} {platform.min_version}'.strip()}"
    if wanted.max_risk:
        yield f"is of risk {wanted.max_risk}"


def _as_wanted(wanted: DeviceFeatures, attributes: Attributes) -> DevicePosture:
    device, at = attributes.device, attributes.environment.received_at
    if not is_shown(device):
        device = _ENROLLED
    good = CheckResult(
        fact=Fact.PASSED, observed_at=at, expires_at=at + _GOOD_FOR, source="supposed"
    )
    checks = {**dict(device.checks), **dict.fromkeys(wanted.checks, good)}
    platform = wanted.platforms[0] if wanted.platforms else None
    return replace(
        device,
        managed=Fact.PASSED if wanted.managed else device.managed,
        state=wanted.state or device.state,
        owner=attributes.subject.username if wanted.own else device.owner,
        checks=tuple(sorted(checks.items(), key=lambda each: each[0])),
        observed_at=at
        if wanted.checks or wanted.posture_max_age is not None
        else device.observed_at,
        os=platform.name if platform else device.os,
        os_version=(platform.min_version or device.os_version) if platform else device.os_version,
        risk=wanted.max_risk or device.risk,
    )
