"""What is known of the device that was judged: into a record, and out of it again."""

from kzproxy.attributes.device import CheckResult, DevicePosture, Fact
from kzproxy.audit.schema import Check, Device
from kzproxy.audit.visible import MAX_ITEMS, MAX_TEXT_CHARS, visible, visible_all


def recorded_device(device: DevicePosture) -> Device:
    """Make the part about the device."""
    device_id, state, owner, os, os_version, risk = visible_all(
        (device.device_id, device.state, device.owner, device.os, device.os_version, device.risk)
    )
    return Device(
        enrolled=device.enrolled.value,
        id=device_id,
        thumbprint=device.thumbprint,
        reason=visible(device.reason, MAX_TEXT_CHARS),
        expires_at=device.expires_at,
        state=state,
        owner=owner,
        managed=device.managed.value,
        checks={visible(name): _recorded(check) for name, check in device.checks[:MAX_ITEMS]},
        checks_omitted=max(0, len(device.checks) - MAX_ITEMS),
        os=os,
        os_version=os_version,
        observed_at=device.observed_at,
        risk=risk,
    )


def texts_of(part: Device) -> tuple[str, ...]:
    """Return the texts of a part, any of which may have been cut."""
    return (part.id, part.state, part.owner, part.os, part.os_version, *part.checks)


def device_of(part: Device) -> DevicePosture:
    """Return what ``recorded_device`` was made of, where nothing was left out."""
    return DevicePosture(
        enrolled=Fact(part.enrolled),
        device_id=part.id,
        thumbprint=part.thumbprint,
        reason=part.reason,
        expires_at=part.expires_at,
        state=part.state,
        owner=part.owner,
        managed=Fact(part.managed),
        checks=tuple(sorted((name, _check(each)) for name, each in part.checks.items())),
        os=part.os,
        os_version=part.os_version,
        observed_at=part.observed_at,
        risk=part.risk,
    )


def _recorded(check: CheckResult) -> Check:
    return Check(
        fact=check.fact.value,
        observed_at=check.observed_at,
        expires_at=check.expires_at,
        source=visible(check.source),
    )


def _check(part: Check) -> CheckResult:
    return CheckResult(
        fact=Fact(part.fact),
        observed_at=part.observed_at,
        expires_at=part.expires_at,
        source=part.source,
    )
