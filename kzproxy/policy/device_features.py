"""What policies ask of a device, beside its enrolment and tier, and of a session."""

import re
from datetime import timedelta

import msgspec

LOW, MEDIUM, HIGH = "LOW", "MEDIUM", "HIGH"
RISKS = (LOW, MEDIUM, HIGH)
"""From the least."""

OWNER_SELF = "self"
STATES = ("approved",)
"""What can be shown: a device that is pending or blocked has no certificate that holds."""

KNOWN_CHECKS = (
    "auto_update",
    "compliant",
    "disk_encrypted",
    "edr_running",
    "firewall",
    "jailbroken",
    "lockdown",
    "managed",
    "patched",
    "reboot_pending",
    "screen_lock",
    "secure_boot",
    "sip",
)
"""The checks that kzproxy knows; a provider may tell of others. ``jailbroken`` and
``reboot_pending`` pass where the device is not so."""

_VERSION = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9}){0,7}")


class Platform(msgspec.Struct, frozen=True, kw_only=True):
    """An operating system, and the least version of it.

    Attributes:
        name: Its ID, as ``DevicePosture.os`` has it.
        min_version: Numbers with dots between them; empty where any will do.
    """

    name: str
    min_version: str = ""


class DeviceFeatures(msgspec.Struct, frozen=True, kw_only=True):
    """What a device is shown to be; all that is given must hold.

    Attributes:
        managed: The organisation manages it.
        state: What the registry has it as; empty where it does not matter.
        own: Whoever asks enrolled it.
        checks: All of these passed, and nobody has to see to it again yet.
        checks_max_age: Each was observed at most so long ago.
        posture_max_age: The newest report was made at most so long ago.
        platforms: It is one of these; empty where it does not matter.
        max_risk: ``LOW`` or ``MEDIUM``: its risk is known and not above; empty where it does not
            matter.
    """

    managed: bool = False
    state: str = ""
    own: bool = False
    checks: frozenset[str] = frozenset()
    checks_max_age: timedelta | None = None
    posture_max_age: timedelta | None = None
    platforms: tuple[Platform, ...] = ()
    max_risk: str = ""


NO_FEATURES = DeviceFeatures()


def version_of(text: str) -> tuple[int, ...] | None:
    """Read ``24.04`` as its numbers; None where it is anything else, which compares with nothing.

    Zeros at the end say nothing: 14 is 14.0.
    """
    if _VERSION.fullmatch(text) is None:
        return None
    numbers = [int(part) for part in text.split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def is_within_risk(risk: str, most: str) -> bool | None:
    """Whether a risk is not above another; None where nobody says what it is."""
    return RISKS.index(risk) <= RISKS.index(most) if risk in RISKS else None
