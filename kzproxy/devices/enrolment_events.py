"""What is written down of enrolment."""

from msgspec.structs import replace

from kzproxy.attributes.environment import IPAddress
from kzproxy.audit.events import Event
from kzproxy.devices.device_record import DeviceRecord
from kzproxy.devices.enrolment_request import EnrolmentRequest
from kzproxy.devices.issuing import IssuedCertificate
from kzproxy.devices.names import key_thumbprint


def enrolment_event(name: str, record: DeviceRecord, request: EnrolmentRequest) -> Event:
    """Return what is written down before ``request`` makes a device be ``record``."""
    details = {
        "state": record.state.value,
        "how": "" if record.approved_how is None else record.approved_how.value,
        "approved_by": record.approved_by,
        "name": record.name,
        "serial": record.serial,
        "platform": record.platform,
        "same_serial_as": record.same_serial_as,
    }
    enroller = request.enroller
    return Event(
        name=name,
        by="" if enroller is None else enroller.owner.username,
        user=user_of(record),
        session="" if enroller is None else enroller.session,
        device_id=record.id,
        key_thumbprint=record.key_thumbprint,
        address=request.address,
        details={key: value for key, value in details.items() if value},
    )


def asked_event(request: EnrolmentRequest) -> Event:
    """Return what is written down of a machine that is not enrolled."""
    owner = None if request.enroller is None else request.enroller.owner
    return Event(
        name="device.enrolled",
        by="" if owner is None else owner.username,
        user=("", "", "") if owner is None else (owner.username, owner.issuer, owner.subject),
        key_thumbprint=key_thumbprint(request.key),
        address=request.address,
    )


def renewal_event(record: DeviceRecord, address: IPAddress | None) -> Event:
    """Return what is written down of a device that is given no certificate."""
    return Event(
        name="device.certificate-issued",
        user=user_of(record),
        device_id=record.id,
        key_thumbprint=record.key_thumbprint,
        address=address,
    )


def user_of(record: DeviceRecord) -> tuple[str, str, str]:
    """Return the owner as an event has them."""
    owner = record.owner
    return owner.username, owner.issuer, owner.subject


def issued_event(
    record: DeviceRecord, issued: IssuedCertificate, address: IPAddress | None
) -> Event:
    """Return what is written down before a device is given a certificate."""
    return replace(
        renewal_event(record, address),
        details={
            "certificate": issued.thumbprint,
            "serial": issued.serial,
            "expires_at": f"{issued.not_after:%Y-%m-%dT%H:%M:%SZ}",
        },
    )
