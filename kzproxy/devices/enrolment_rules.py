"""Whose device a machine is, and what an enrolment may change: pure."""

from datetime import datetime

import msgspec

from kzproxy.devices.device_record import NOBODY, ApprovedBy, DeviceRecord, DeviceState, Owner
from kzproxy.devices.enrolment_request import EnrolmentRequest
from kzproxy.devices.enrolment_token import FoundToken
from kzproxy.devices.issuing import IssuedCertificate
from kzproxy.devices.registered_posture import blocked_words
from kzproxy.errors.kinds import Forbidden
from kzproxy.store.store import Delete


def owner_of(request: EnrolmentRequest, found: FoundToken | None) -> Owner:
    """Return whose device it is to be.

    Raises:
        Forbidden: The token is for somebody else.
    """
    meant_for = found.token.for_user if found is not None else ""
    if request.enroller is None:
        return Owner(username=meant_for) if meant_for else NOBODY
    owner = request.enroller.owner
    if meant_for and owner.username != meant_for:
        raise Forbidden("the one-time token is for another user than the one signed in")
    return owner


def theirs(record: DeviceRecord, owner: Owner) -> DeviceRecord:
    """Return a device that ``owner`` shows the key of, as theirs.

    One that was enrolled by a token, for nobody's sign-in, is of whoever signs in with its key.

    Raises:
        Forbidden: It is blocked, or somebody else's.
    """
    if record.state is DeviceState.BLOCKED:
        raise Forbidden(blocked_words(record))
    if _is_anothers(record.owner, owner):
        raise Forbidden(
            "this machine's key is enrolled as another user's device; have an administrator"
            f" forget it (`kzproxy device forget {record.id}`), or enrol it with a new key"
        )
    if owner.subject and not record.owner.subject:
        return msgspec.structs.replace(record, owner=owner)
    return record


def used_up(record: DeviceRecord, found: FoundToken | None) -> tuple[Delete, ...]:
    """Return the write that uses the token up, where it approved a device that was there before."""
    is_used = found is not None and record.approved_how is ApprovedBy.TOKEN
    return (found.use,) if found is not None and is_used else ()


def renewed(record: DeviceRecord, issued: IssuedCertificate, now: datetime) -> DeviceRecord:
    """Return a device that is given a certificate.

    Raises:
        Forbidden: It is not approved any more.
    """
    if not record.is_approved:  # blocked meanwhile: what was issued is worth nothing
        raise Forbidden(blocked_words(record))
    return msgspec.structs.replace(record, last_seen=now, certificate_ends_at=issued.not_after)


def _is_anothers(known: Owner, owner: Owner) -> bool:
    """Whether a device of ``known`` is somebody else's than ``owner``'s."""
    if known == NOBODY:
        return False
    if not known.subject or not owner.subject:  # enrolled by token, for a username
        return known.username != owner.username
    return (known.issuer, known.subject) != (owner.issuer, owner.subject)
