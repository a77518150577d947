"""What is asked by whom where a machine is to be a device, and what becomes of it."""

from dataclasses import dataclass, field

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from kzproxy.attributes.environment import IPAddress
from kzproxy.devices.device_record import MAX_NAME_CHARS, DeviceRecord, Owner
from kzproxy.devices.issuing import IssuedCertificate
from kzproxy.errors.kinds import BadRequest


class Enroller(msgspec.Struct, frozen=True, kw_only=True):
    """The person who is signed in as the device is enrolled."""

    owner: Owner
    groups: tuple[str, ...] = ()
    session: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentRequest:
    """A machine that is to be a device, once its key was shown.

    Attributes:
        key: Its own.
        name: As its owner calls it.
        serial: As it says; may be empty.
        platform: As it says; may be empty.
        token: A one-time token; empty where there is none.
        enroller: Who is signed in; None where nobody is.
        address: It comes from there.
    """

    key: ec.EllipticCurvePublicKey
    name: str = ""
    serial: str = ""
    platform: str = ""
    token: str = field(default="", repr=False)
    enroller: Enroller | None = None
    address: IPAddress | None = None


class Enrolled(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it; ``certificate`` is None until the device is approved."""

    record: DeviceRecord
    certificate: IssuedCertificate | None = None


def check_texts(request: EnrolmentRequest) -> None:
    """Raise BadRequest where what the machine says of itself cannot be kept or shown."""
    texts = {"name": request.name, "serial": request.serial, "platform": request.platform}
    for what, text in texts.items():
        if len(text) > MAX_NAME_CHARS or not text.isprintable():
            raise BadRequest(
                f"the device's {what} must be at most {MAX_NAME_CHARS} characters that print"
            )
