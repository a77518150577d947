"""What the registry keeps of a device."""

import hashlib
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from kzproxy.store.store import ANY, Delete, Entry, Put

KIND = "device"
KEY_KIND = "device-key"
"""Of the entries that name the device of each key: no key is two devices', whoever is faster."""

OWNER_KIND = "device-owner"
"""Of the entries that say when a person last had a device enrolled, which is one at a time."""

_TURN_KEPT = timedelta(days=1)

MAX_NAME_CHARS = 128


class _Keyed(msgspec.Struct):
    key_thumbprint: str = ""


_encoder = msgspec.json.Encoder()


class DeviceState(StrEnum):
    """Whether a device counts as one."""

    PENDING = "pending"
    APPROVED = "approved"
    BLOCKED = "blocked"


class ApprovedBy(StrEnum):
    """What a device was approved by."""

    ADMINISTRATOR = "admin"
    TOKEN = "token"  # noqa: S105 - a word for it, not one
    POLICY = "policy"


class Owner(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whose device it is: as the identity provider and as kube-apiserver know them.

    Attributes:
        issuer: Empty where the device came with a token that names nobody's sign-in.
        subject: Empty where ``issuer`` is.
        username: Empty where nobody is known.
    """

    issuer: str = ""
    subject: str = ""
    username: str = ""


NOBODY = Owner()


class DeviceRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One device; times are aware, UTC.

    Attributes:
        id: What its certificates call it.
        key_thumbprint: SHA-256, hex, of its public key (DER SubjectPublicKeyInfo). Empty for a
            device of an MDM's CA, which kzproxy has never seen the key of.
        state: In force.
        owner: Who enrolled it, or was meant to.
        name: As its owner calls it.
        serial: As it says itself; may be empty.
        platform: As it says itself, such as ``linux``; may be empty.
        enrolled_at: When.
        approved_how: What approved it; None while nothing has.
        approved_by: Who did; of a token, who made it.
        approved_at: When.
        blocked_by: Who blocked it; empty while it is not.
        blocked_at: When.
        blocked_reason: For its user; may be empty.
        last_seen: When it last got a certificate or was heard of, give or take an hour.
        certificate_ends_at: End of its newest certificate; None where it has had none.
        same_serial_as: Id of the device that said it has this serial before; empty where none did.
    """

    id: str
    key_thumbprint: str
    state: DeviceState
    owner: Owner = NOBODY
    name: str = ""
    serial: str = ""
    platform: str = ""
    enrolled_at: datetime
    approved_how: ApprovedBy | None = None
    approved_by: str = ""
    approved_at: datetime | None = None
    blocked_by: str = ""
    blocked_at: datetime | None = None
    blocked_reason: str = ""
    last_seen: datetime | None = None
    certificate_ends_at: datetime | None = None
    same_serial_as: str = ""

    @property
    def is_approved(self) -> bool:
        """Whether it counts as a device."""
        return self.state is DeviceState.APPROVED

    @property
    def confirmed_serial(self) -> str:
        """Its serial number where an administrator has looked at it; else empty.

        Whoever has a machine may have it say any other one's: a provider's word about that serial
        number would be about another machine.
        """
        return self.serial if self.approved_how is ApprovedBy.ADMINISTRATOR else ""


def device_put(record: DeviceRecord, expected: int | None = ANY) -> Put:
    """Return the write that keeps ``record``."""
    return Put(kind=KIND, key=record.id, value=_encoder.encode(record), expected=expected)


def key_puts(record: DeviceRecord) -> tuple[Put, ...]:
    """Return the write that takes the key of a new device; it fails where another has it."""
    if not record.key_thumbprint:
        return ()
    taken = Put(kind=KEY_KIND, key=record.key_thumbprint, value=record.id.encode(), expected=None)
    return (taken,)


def owner_turn_key(owner: Owner) -> str:
    """Return the key of the entry by which ``owner`` has one device enrolled at a time."""
    named = msgspec.json.encode((owner.issuer, owner.subject, owner.username))
    return hashlib.sha256(named).hexdigest()


def owner_turn_put(owner: Owner, expected: int | None, now: datetime) -> Put:
    """Return the write that fails where ``owner`` has had another device enrolled meanwhile."""
    return Put(
        kind=OWNER_KIND,
        key=owner_turn_key(owner),
        value=b"{}",
        expires_at=now + _TURN_KEPT,
        expected=expected,
    )


def device_deletes(record: DeviceRecord) -> tuple[Delete, ...]:
    """Return the writes that forget a device and give its key free."""
    forgotten = Delete(kind=KIND, key=record.id)
    if not record.key_thumbprint:
        return (forgotten,)
    return forgotten, Delete(kind=KEY_KIND, key=record.key_thumbprint)


def decoded_device(value: bytes) -> DeviceRecord:
    """Return what an entry of this value keeps."""
    return msgspec.json.decode(value, type=DeviceRecord)


def key_of(entry: Entry) -> str:
    """Return the key of a device whose entry cannot be read otherwise; empty for none."""
    try:
        return msgspec.json.decode(entry.value, type=_Keyed).key_thumbprint
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ""


def approved(record: DeviceRecord, how: ApprovedBy, by: str, at: datetime) -> DeviceRecord:
    """Return ``record`` approved."""
    return msgspec.structs.replace(
        record,
        state=DeviceState.APPROVED,
        approved_how=how,
        approved_by=by,
        approved_at=at,
    )


def blocked(record: DeviceRecord, by: str, reason: str, at: datetime) -> DeviceRecord:
    """Return ``record`` blocked."""
    return msgspec.structs.replace(
        record, state=DeviceState.BLOCKED, blocked_by=by, blocked_reason=reason, blocked_at=at
    )


def unblocked(record: DeviceRecord) -> DeviceRecord:
    """Return ``record`` as it was before it was blocked: approved, or not yet."""
    before = DeviceState.PENDING if record.approved_how is None else DeviceState.APPROVED
    return msgspec.structs.replace(
        record, state=before, blocked_by="", blocked_reason="", blocked_at=None
    )
