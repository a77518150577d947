"""What is known of a device at a moment: a check that has expired is unknown again.

All of it is the device's only where its certificate was shown: a device that nobody has shown to be
there has no posture.
"""

from datetime import datetime, timedelta

from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import CheckResult, DevicePosture, Fact
from kzproxy.policy.device_features import KNOWN_CHECKS

MANAGED = "managed"


def is_shown(device: DevicePosture) -> bool:
    """Whether the device's certificate was presented and holds."""
    return device.enrolled is Fact.PASSED


def passing(attributes: Attributes, name: str) -> CheckResult | None:
    """Return the result of a check that passes now; None where it does not, or is not known."""
    device = attributes.device
    if not is_shown(device):
        return None
    at = attributes.environment.received_at
    for known, result in device.checks:
        if known == name:
            return result if _now(result, at) is Fact.PASSED else None
    return None


def passed(attributes: Attributes) -> list[str]:
    """Return the checks that pass now."""
    return _named(attributes, Fact.PASSED)


def failed(attributes: Attributes) -> list[str] | None:
    """Return the checks that fail now; None where nobody knows what device it is."""
    return _named(attributes, Fact.FAILED) if is_shown(attributes.device) else None


def unknown(attributes: Attributes) -> list[str]:
    """Return the checks, of all that there are, of which nobody can tell now."""
    names = {*KNOWN_CHECKS, *(name for name, _ in attributes.device.checks)}
    told = {*passed(attributes), *(failed(attributes) or ())}
    return sorted(names - told)


def posture_age(attributes: Attributes) -> timedelta | None:
    """Return how old the newest report is; None where there is none."""
    device = attributes.device
    if not is_shown(device) or device.observed_at is None:
        return None
    return attributes.environment.received_at - device.observed_at


def is_managed(attributes: Attributes) -> bool | None:
    """Whether the organisation manages the device: its certificate says so, or a check does."""
    device = attributes.device
    if not is_shown(device):
        return None
    if device.managed is Fact.PASSED or passing(attributes, MANAGED) is not None:
        return True
    is_told = device.managed is Fact.FAILED or MANAGED in _named(attributes, Fact.FAILED)
    return False if is_told else None


def _now(result: CheckResult, at: datetime) -> Fact:
    return result.fact if at < result.expires_at else Fact.UNKNOWN


def _named(attributes: Attributes, fact: Fact) -> list[str]:
    device, at = attributes.device, attributes.environment.received_at
    if not is_shown(device):
        return []
    return [name for name, result in device.checks if _now(result, at) is fact]
