"""A device as a test case or a question tells of it."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec

from kzproxy.attributes.device import NO_DEVICE, CheckResult, DevicePosture, Fact

# Of no certificate; the same on the token and on the connection is what counts.
THUMBPRINT = "00" * 32
# Results are good for so long from when they are told; what is too old is told by its age.
_GOOD_FOR = timedelta(days=1)


class ToldDevice(msgspec.Struct, frozen=True, kw_only=True):
    """What is told; an empty text is not known.

    Attributes:
        enrolled: None where no certificate was presented.
        posture_age: How old its newest report is, and with it each check; None where it made none.
    """

    enrolled: bool | None = None
    id: str = ""
    managed: bool | None = None
    state: str = ""
    owner: str = ""
    passed: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    posture_age: timedelta | None = None
    os: str = ""
    os_version: str = ""
    risk: str = ""


def posture_of(told: ToldDevice, at: datetime) -> DevicePosture:
    """Return the device as it is known at ``at``."""
    if told.enrolled is None:
        return NO_DEVICE
    if not told.enrolled:
        return DevicePosture(enrolled=Fact.FAILED, reason="the device is not enrolled")
    has_reported = told.posture_age is not None or bool(told.passed or told.failed)
    return DevicePosture(
        enrolled=Fact.PASSED,
        device_id=told.id or "device",
        thumbprint=THUMBPRINT,
        state=told.state,
        owner=told.owner,
        managed=_fact(told.managed),
        checks=tuple(sorted(_checks(told, at))),
        os=told.os,
        os_version=told.os_version,
        observed_at=at - (told.posture_age or timedelta()) if has_reported else None,
        risk=told.risk,
    )


def _fact(known: bool | None) -> Fact:  # noqa: FBT001
    return Fact.UNKNOWN if known is None else Fact.PASSED if known else Fact.FAILED


def _checks(told: ToldDevice, at: datetime) -> Iterator[tuple[str, CheckResult]]:
    for fact, names in ((Fact.PASSED, told.passed), (Fact.FAILED, told.failed)):
        for name in dict.fromkeys(names):
            yield (
                name,
                CheckResult(
                    fact=fact,
                    observed_at=at - (told.posture_age or timedelta()),
                    expires_at=at + _GOOD_FOR,
                    source="told",
                ),
            )
