"""Devices as the own endpoints show them."""

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from kzproxy.attributes.device import DevicePosture
from kzproxy.devices.device_record import DeviceRecord
from kzproxy.devices.registry import DeviceRegistry
from kzproxy.enforcement.shown_posture import ShownPosture, shown_posture
from kzproxy.posture.book import PostureBook

if TYPE_CHECKING:  # for those who keep sessions
    from kzproxy.administrator.session_directory import SessionDirectory


class ShownDevice(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A device for people to read."""

    id: str
    state: str
    user: str
    enrolled_at: datetime
    issuer: str = ""
    subject: str = ""
    name: str = ""
    serial: str = ""
    serial_confirmed: bool = False
    platform: str = ""
    key_thumbprint: str = ""
    approved_how: str = ""
    approved_by: str = ""
    approved_at: datetime | None = None
    blocked_by: str = ""
    blocked_at: datetime | None = None
    blocked_reason: str = ""
    last_seen: datetime | None = None
    certificate_ends_at: datetime | None = None
    same_serial_as: str = ""
    sessions: int = 0
    posture: ShownPosture | None = None


class ShownDevices(msgspec.Struct, frozen=True, rename="camel"):
    """The answer to a list."""

    devices: tuple[ShownDevice, ...]


class PresentedDevice(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What the certificate of a request says, and what is so of it."""

    enrolled: str
    id: str = ""
    state: str = ""
    reason: str = ""
    managed: str = ""
    expires_at: datetime | None = None


class OwnDevices(msgspec.Struct, frozen=True, rename="camel"):
    """The answer about one's own devices."""

    presented: PresentedDevice
    devices: tuple[ShownDevice, ...]


class MadeToken(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The answer to the making of a token; it is shown this once."""

    token: str
    expires_at: datetime
    for_user: str = ""


class Devices(msgspec.Struct, frozen=True, kw_only=True):
    """The devices, with the sessions on them."""

    registry: DeviceRegistry
    sessions: "SessionDirectory"
    book: PostureBook

    def shown_whole(self, record: DeviceRecord, now: datetime) -> ShownDevice:
        """Return what people may know of ``record``, with the state that the device is in."""
        posture = shown_posture(self.book, record.id, now)
        return msgspec.structs.replace(self.shown(record), posture=posture)

    def shown(self, record: DeviceRecord) -> ShownDevice:
        """Return what people may know of ``record``."""
        return ShownDevice(
            id=record.id,
            state=record.state.value,
            user=record.owner.username,
            issuer=record.owner.issuer,
            subject=record.owner.subject,
            name=record.name,
            serial=record.serial,
            serial_confirmed=bool(record.confirmed_serial),
            platform=record.platform,
            key_thumbprint=record.key_thumbprint,
            enrolled_at=record.enrolled_at,
            approved_how="" if record.approved_how is None else record.approved_how.value,
            approved_by=record.approved_by,
            approved_at=record.approved_at,
            blocked_by=record.blocked_by,
            blocked_at=record.blocked_at,
            blocked_reason=record.blocked_reason,
            last_seen=record.last_seen,
            certificate_ends_at=record.certificate_ends_at,
            same_serial_as=record.same_serial_as,
            sessions=len(self.sessions.holding_on(record.id)),
        )


def presented_device(posture: DevicePosture) -> PresentedDevice:
    """Return what the certificate of a request says, and what is so of it."""
    return PresentedDevice(
        enrolled=posture.enrolled.value,
        id=posture.device_id,
        state=posture.state,
        reason=posture.reason,
        managed=posture.managed.value,
        expires_at=posture.expires_at,
    )
