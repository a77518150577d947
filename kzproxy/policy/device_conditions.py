"""Conditions on what a device is shown to be, beside its enrolment and tier.

Each of them holds or nobody can tell: that a device is otherwise is never shown, because whoever
wants to may come with another.
"""

# ruff: noqa: D102 - what the methods do is said of Condition

from collections.abc import Iterator
from datetime import datetime, timedelta

from kzproxy.attributes.device import CheckResult, Fact
from kzproxy.policy.condition import Condition, Timeless
from kzproxy.policy.decision import Dependency
from kzproxy.policy.device_features import DeviceFeatures, Platform, is_within_risk, version_of
from kzproxy.policy.posture_facts import (
    MANAGED,
    failed,
    is_managed,
    is_shown,
    passing,
    posture_age,
)
from kzproxy.policy.sign_in import duration_words, turn, within
from kzproxy.policy.view import RequestView

_TELL = "see `kzproxy device status`"
_DEVICE = frozenset({Dependency.DEVICE})
_AND_TIME = _DEVICE | {Dependency.TIME}


def device_conditions(asked: DeviceFeatures) -> Iterator[Condition]:
    """Yield a condition for each thing that is asked of a device."""
    if asked.managed:
        yield ManagedDevice()
    if asked.state:
        yield DeviceInState(asked.state)
    if asked.own:
        yield OwnDevice()
    if asked.checks:
        yield ChecksPassed(asked.checks, asked.checks_max_age)
    if asked.posture_max_age is not None:
        yield PostureFresh(asked.posture_max_age)
    if asked.platforms:
        yield OnPlatform(asked.platforms)
    if asked.max_risk:
        yield DeviceAtRisk(asked.max_risk)


class ManagedDevice:
    """The organisation manages the device."""

    name = "device"
    about = Dependency.DEVICE
    depends_on = _AND_TIME

    def value(self, view: RequestView) -> bool | None:
        return is_managed(view.attributes) or None

    def turns_at(self, view: RequestView) -> datetime | None:
        by_check = passing(view.attributes, MANAGED)
        if by_check is None or view.attributes.device.managed is Fact.PASSED:
            return None
        return by_check.expires_at

    def asked(self) -> str:
        return "a device that your organisation manages"

    def found(self, view: RequestView) -> str:
        managed = is_managed(view.attributes)
        known = "is not managed" if managed is False else "is not known to be managed"
        return _or_not_shown(view, f"yours {known}")


class DeviceInState(Timeless):
    """The registry has the device in a state."""

    name = "device"
    about = Dependency.DEVICE
    depends_on = _DEVICE

    def __init__(self, state: str) -> None:
        self._state = state

    def value(self, view: RequestView) -> bool | None:
        device = view.attributes.device
        return (is_shown(device) and device.state == self._state) or None

    def asked(self) -> str:
        return f"a device that is {self._state}"

    def found(self, view: RequestView) -> str:
        state = view.attributes.device.state
        return _or_not_shown(view, f"yours is {state or 'not in the registry'}; {_TELL}")


class OwnDevice(Timeless):
    """Whoever asks enrolled the device."""

    name = "device"
    about = Dependency.DEVICE
    depends_on = frozenset({Dependency.DEVICE, Dependency.IDENTITY})

    def value(self, view: RequestView) -> bool | None:
        device = view.attributes.device
        is_own = is_shown(device) and device.owner == view.attributes.subject.username
        return is_own or None

    def asked(self) -> str:
        return "a device of your own"

    def found(self, view: RequestView) -> str:
        owner = view.attributes.device.owner
        known = "it is somebody else's" if owner else "nobody is known to own it"
        return _or_not_shown(view, known)


class ChecksPassed:
    """Some checks have passed, not too long ago."""

    name = "device"
    about = Dependency.DEVICE
    depends_on = _AND_TIME

    def __init__(self, checks: frozenset[str], max_age: timedelta | None) -> None:
        self._wanted = checks
        self._checks = tuple(sorted(checks))
        self._max_age = max_age

    def value(self, view: RequestView) -> bool | None:
        return True if self.turns_at(view) is not None else None

    def turns_at(self, view: RequestView) -> datetime | None:
        """Return when the first of the checks ends; None where one does not hold."""
        device = view.attributes.device
        if not is_shown(device):
            return None
        at, first, left = view.attributes.environment.received_at, None, len(self._wanted)
        for name, result in device.checks:
            if name in self._wanted:
                end = self._end(result)
                if result.fact is not Fact.PASSED or end <= at:
                    return None
                first = end if first is None or end < first else first
                left -= 1
        return None if left else first

    def _end(self, result: CheckResult) -> datetime:
        if self._max_age is None:
            return result.expires_at
        return min(result.expires_at, result.observed_at + self._max_age)

    def _holds(self, name: str, view: RequestView) -> bool:
        result = passing(view.attributes, name)
        at = view.attributes.environment.received_at
        return result is not None and at < self._end(result)

    def asked(self) -> str:
        age = f" within {duration_words(self._max_age)}" if self._max_age is not None else ""
        return f"a device that passed {' and '.join(self._checks)}{age}"

    def found(self, view: RequestView) -> str:
        lacking = [name for name in self._checks if not self._holds(name, view)]
        words = ", ".join(f"{name} {self._why(name, view)}" for name in lacking)
        return _or_not_shown(view, f"{words}; {_TELL}" if words else "yours did")

    def _why(self, name: str, view: RequestView) -> str:
        if name in (failed(view.attributes) or ()):
            return "failed"
        return "is not known" if passing(view.attributes, name) is None else "is too old"


class PostureFresh:
    """The device's newest report was made at most so long ago."""

    name = "device"
    about = Dependency.DEVICE
    depends_on = _AND_TIME

    def __init__(self, max_age: timedelta) -> None:
        self._max_age = max_age

    def value(self, view: RequestView) -> bool | None:
        device = view.attributes.device
        return (is_shown(device) and within(view, device.observed_at, self._max_age)) or None

    def turns_at(self, view: RequestView) -> datetime | None:
        if not self.value(view):
            return None
        return turn(view, view.attributes.device.observed_at, self._max_age)

    def asked(self) -> str:
        return f"a device that reported within {duration_words(self._max_age)}"

    def found(self, view: RequestView) -> str:
        age = posture_age(view.attributes)
        known = "has not reported" if age is None else f"reported {duration_words(age)} ago"
        return _or_not_shown(view, f"yours {known}; {_TELL}")


class OnPlatform(Timeless):
    """The device runs one of some operating systems, in a version that is new enough."""

    name = "device"
    about = Dependency.DEVICE
    depends_on = _DEVICE

    def __init__(self, platforms: tuple[Platform, ...]) -> None:
        self._platforms = platforms
        self._least = {each: version_of(each.min_version) or () for each in platforms}

    def value(self, view: RequestView) -> bool | None:
        device = view.attributes.device
        if not is_shown(device):
            return None
        is_one = any(self._is(each, device.os, device.os_version) for each in self._platforms)
        return is_one or None

    def _is(self, platform: Platform, os: str, os_version: str) -> bool:
        if not os or os != platform.name:
            return False
        if not platform.min_version:
            return True
        version = version_of(os_version)
        return version is not None and version >= self._least[platform]

    def asked(self) -> str:
        words = [
            f"{each.name} {each.min_version} or newer" if each.min_version else each.name
            for each in self._platforms
        ]
        return f"a device with {' or '.join(words)}"

    def found(self, view: RequestView) -> str:
        device = view.attributes.device
        known = f"{device.os} {device.os_version}".strip() or "an unknown system"
        return _or_not_shown(view, f"yours has {known}")


class DeviceAtRisk(Timeless):
    """The risk of the device is known, and not above a level."""

    name = "device"
    about = Dependency.DEVICE
    depends_on = _DEVICE

    def __init__(self, most: str) -> None:
        self._most = most

    def value(self, view: RequestView) -> bool | None:
        device = view.attributes.device
        return (is_shown(device) and is_within_risk(device.risk, self._most)) or None

    def asked(self) -> str:
        return f"a device of risk {self._most} at most"

    def found(self, view: RequestView) -> str:
        return _or_not_shown(view, f"that of yours is {view.attributes.device.risk or 'not known'}")


def _or_not_shown(view: RequestView, known: str) -> str:
    device = view.attributes.device
    if is_shown(device):
        return known
    return device.reason or "your device is not known"
