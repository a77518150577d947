"""What follows for a device's posture from what the registry has of it: pure."""

from typing import Protocol

from msgspec.structs import replace

from kzproxy.attributes.device import DevicePosture, Fact
from kzproxy.devices.device_record import DeviceRecord, DeviceState

_ENROL = "enrol it with `kzproxy device enroll`"


class Devices(Protocol):
    """Finds what the registry has."""

    def find(self, device_id: str) -> DeviceRecord | None:
        """Return a device by its id."""

    def of_key(self, thumbprint: str) -> DeviceRecord | None:
        """Return the device that a key is of."""


def registered(posture: DevicePosture, devices: Devices, believed: frozenset[str]) -> DevicePosture:
    """Return what is so of a device whose certificate says ``posture``.

    Args:
        posture: As the certificate says, or as this function has returned it before.
        devices: The registry.
        believed: SHA-256 of the certificates of CAs whose devices need no entry.
    """
    if posture.enrolled is not Fact.PASSED:
        return _without_name(posture, devices.of_key(posture.key_thumbprint))
    record = devices.find(posture.device_id)
    if posture.vouched_by in believed:
        return _of_others(posture, record)
    if record is None:
        return _no_device(posture, f"this device is not enrolled, or no longer; {_ENROL}")
    if record.key_thumbprint != posture.key_thumbprint:
        return _no_device(
            posture, f"the device certificate is for another key than the device's; {_ENROL}"
        )
    return _as_recorded(posture, record)


def blocked_words(record: DeviceRecord) -> str:
    """Say to its user that a device is blocked."""
    reason = f": {record.blocked_reason}" if record.blocked_reason else ""
    return (
        f"this device ({record.id}) was blocked by {record.blocked_by or 'an administrator'}"
        f"{reason}; ask your administrator"
    )


def pending_words(record: DeviceRecord) -> str:
    """Say to its user that a device is not approved yet."""
    return (
        f"this device awaits approval; have an administrator run"
        f" `kzproxy device approve {record.id}`"
    )


def _without_name(posture: DevicePosture, record: DeviceRecord | None) -> DevicePosture:
    """Say what is known of a key whose certificate names no device, or no longer holds."""
    if record is None:
        return _unknown(posture)
    match record.state:
        case DeviceState.BLOCKED:
            return _as_recorded(posture, record)
        case DeviceState.PENDING if posture.enrolled is Fact.UNKNOWN:
            return replace(posture, reason=pending_words(record), state=record.state.value)
        case DeviceState.APPROVED if posture.enrolled is Fact.UNKNOWN:
            reason = (
                "this device is approved and its certificate is not renewed yet; run"
                " `kzproxy device enroll`"
            )
            return replace(posture, reason=reason, state="", owner="")
        case DeviceState.PENDING | DeviceState.APPROVED:
            return _unknown(posture)


def _unknown(posture: DevicePosture) -> DevicePosture:
    """Say that the registry has nothing to say of it."""
    if posture.state or posture.owner:
        return replace(posture, state="", owner="")
    return posture


def _of_others(posture: DevicePosture, record: DeviceRecord | None) -> DevicePosture:
    """Say what is known of a device that somebody else's CA vouches for."""
    if record is None:
        return _unknown(posture)
    if record.key_thumbprint in ("", posture.key_thumbprint):
        return _as_recorded(posture, record)
    return _no_device(
        posture, "the device certificate names a device that is enrolled with another key"
    )


def _as_recorded(posture: DevicePosture, record: DeviceRecord) -> DevicePosture:
    owner = record.owner.username
    match record.state:
        case DeviceState.APPROVED:
            if (posture.state, posture.owner) == (record.state.value, owner):
                return posture  # the very same: it is compared with what a request began with
            return replace(posture, state=record.state.value, owner=owner)
        case DeviceState.PENDING:
            return _no_device(posture, pending_words(record), record.state.value, owner)
        case DeviceState.BLOCKED:
            return _no_device(posture, blocked_words(record), record.state.value, owner)


def _no_device(
    posture: DevicePosture, reason: str, state: str = "", owner: str = ""
) -> DevicePosture:
    return replace(
        posture,
        enrolled=Fact.FAILED,
        device_id="",
        vouched_by="",
        managed=Fact.UNKNOWN,
        reason=reason,
        state=state,
        owner=owner,
    )
