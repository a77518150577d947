"""How a machine becomes a device: it shows its key, and somebody or something approves it.

The same key is the same device, however often it is enrolled. A serial number that another device
has given before is that machine again with another key, or somebody who says so: an administrator
looks at it, whatever policy would have approved. Who is not signed in needs a one-time token.
"""

import asyncio
import secrets
from dataclasses import dataclass, field
from datetime import datetime

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from kzproxy.attributes.environment import IPAddress
from kzproxy.audit.events import Event, EventLog
from kzproxy.clock.system import Clock
from kzproxy.devices.device_record import (
    MAX_NAME_CHARS,
    NOBODY,
    ApprovedBy,
    DeviceRecord,
    DeviceState,
    Owner,
    approved,
)
from kzproxy.devices.enrolment_settings import EnrolmentSettings
from kzproxy.devices.enrolment_token import KIND as TOKEN_KIND
from kzproxy.devices.enrolment_token import EnrolmentTokens, FoundToken
from kzproxy.devices.issuing import CertificateIssuer, IssuedCertificate
from kzproxy.devices.names import DeviceName, key_thumbprint
from kzproxy.devices.registered_posture import blocked_words
from kzproxy.devices.registry import DeviceRegistry
from kzproxy.errors.kinds import (
    BadRequest,
    Forbidden,
    NotServed,
    ServiceUnavailable,
    Unauthenticated,
)
from kzproxy.store.store import Conflict, Delete

_ID_BYTES = 8
_TRIES = 3
_NOT_GOOD = "the one-time token is not good, or no longer: ask your administrator for another"


@dataclass(frozen=True, slots=True, kw_only=True)
class Enroller:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """What became of it; ``certificate`` is None until the device is approved."""

    record: DeviceRecord
    certificate: IssuedCertificate | None = None


class Enrolment:
    """Enrols devices, and issues and renews their certificates."""

    def __init__(
        self,
        registry: DeviceRegistry,
        tokens: EnrolmentTokens,
        issuer: CertificateIssuer,
        events: EventLog,
        clock: Clock,
        settings: EnrolmentSettings,
    ) -> None:
        """Put it together; ``issuer`` and ``settings`` may be set anew."""
        self.issuer = issuer
        self.settings = settings
        self._registry = registry
        self._tokens = tokens
        self._events = events
        self._clock = clock
        # One at a time, so that what is counted is still so when it is written.
        self._turn = asyncio.Lock()

    async def enrol(self, request: EnrolmentRequest) -> Enrolled:
        """Enrol a device, or find it enrolled.

        Raises:
            ProxyError: It is refused; the message says why.
        """
        _check_texts(request)
        async with self._turn:
            record = await self._enrolled_once(request)
        return await self._with_certificate(record, request.key, request.address)

    async def admit(self, request: EnrolmentRequest) -> None:
        """Refuse at once whoever is nobody here, before anything is written for them.

        Raises:
            ProxyError: Nobody is signed in, and there is no token that is good.
        """
        self._owner(request, await self._found_token(request))

    def admit_key(self, key: ec.EllipticCurvePublicKey) -> None:
        """Refuse at once a key that is no device's, before anything is written for it.

        Raises:
            NotServed: No device has it.
        """
        self._of_key(key)

    async def certificate(
        self, key: ec.EllipticCurvePublicKey, address: IPAddress | None
    ) -> Enrolled:
        """Issue the next certificate of a device that shows its key, if it is approved by now.

        Raises:
            NotServed: No device has this key.
            Forbidden: It is blocked.
        """
        return await self._with_certificate(self._of_key(key), key, address)

    def _of_key(self, key: ec.EllipticCurvePublicKey) -> DeviceRecord:
        record = self._registry.of_key(key_thumbprint(key))
        if record is None:
            raise NotServed(
                "this machine is not enrolled, or no longer; enrol it with `kzproxy device enroll`"
            )
        return record

    async def _enrolled_once(self, request: EnrolmentRequest) -> DeviceRecord:
        """Enrol a device, or find that another worker has just done so."""
        for _ in range(_TRIES):
            try:
                return await self._enrolled(request)
            except Conflict as conflict:
                if conflict.kind == TOKEN_KIND:
                    raise Forbidden(_NOT_GOOD) from conflict
                await self._registry.catch_up()
        raise ServiceUnavailable("the device changes too often; try again", retry_after_seconds=1)

    async def _enrolled(self, request: EnrolmentRequest) -> DeviceRecord:
        found = await self._found_token(request)
        owner = self._owner(request, found)
        known = self._registry.of_key(key_thumbprint(request.key))
        if known is not None:
            return await self._again(known, owner, request, found)
        record = self._new(request, owner)
        record = self._judged(record, request, found)
        await self._write_down("device.enrolled", record, request)
        await self._registry.add(record, *_used_up(record, found))
        return record

    async def _found_token(self, request: EnrolmentRequest) -> FoundToken | None:
        if not request.token:
            if request.enroller is None:
                raise Unauthenticated(
                    "sign in with `kzproxy login` first, or give a one-time token with --token"
                )
            return None
        found = await self._tokens.find(request.token, self._clock.now())
        if found is None:
            raise Forbidden(_NOT_GOOD)
        return found

    def _owner(self, request: EnrolmentRequest, found: FoundToken | None) -> Owner:
        """Return whose device it is to be."""
        meant_for = found.token.for_user if found is not None else ""
        if request.enroller is None:
            return Owner(username=meant_for) if meant_for else NOBODY
        owner = request.enroller.owner
        if meant_for and owner.username != meant_for:
            raise Forbidden("the one-time token is for another user than the one signed in")
        return owner

    async def _again(
        self,
        known: DeviceRecord,
        owner: Owner,
        request: EnrolmentRequest,
        found: FoundToken | None,
    ) -> DeviceRecord:
        """Return a device that is enrolled already, approved if that is possible now."""
        if known.state is DeviceState.BLOCKED:
            raise Forbidden(blocked_words(known))
        if _is_anothers(known.owner, owner):
            raise Forbidden(
                "this machine's key is enrolled as another user's device; have an administrator"
                f" forget it (`kzproxy device forget {known.id}`), or enrol it with a new key"
            )
        if known.is_approved:
            return known

        def judged(record: DeviceRecord) -> DeviceRecord:
            return self._judged(record, request, found)

        if not judged(known).is_approved:
            return known
        await self._write_down("device.approved", judged(known), request)
        return await self._registry.update(known.id, judged, *_used_up(judged(known), found))

    def _new(self, request: EnrolmentRequest, owner: Owner) -> DeviceRecord:
        theirs = [
            one
            for one in self._registry.of_owner(owner.issuer, owner.subject)
            if one.owner == owner and owner != NOBODY
        ]
        if len(theirs) >= self.settings.per_user:
            raise Forbidden(
                f"{owner.username} has {len(theirs)} devices, which is as many as one may have;"
                " have an administrator forget one that is not used any more"
            )
        before = self._registry.of_serial(request.serial)
        return DeviceRecord(
            id=secrets.token_hex(_ID_BYTES),
            key_thumbprint=key_thumbprint(request.key),
            state=DeviceState.PENDING,
            owner=owner,
            name=request.name,
            serial=request.serial,
            platform=request.platform,
            enrolled_at=self._clock.now(),
            same_serial_as=before[0].id if before else "",
        )

    def _judged(
        self, record: DeviceRecord, request: EnrolmentRequest, found: FoundToken | None
    ) -> DeviceRecord:
        """Return ``record``, approved where a token or policy approves it; not over a block."""
        now = self._clock.now()
        same_serial = [
            one for one in self._registry.of_serial(record.serial) if one.id != record.id
        ]
        if any(one.state is DeviceState.BLOCKED for one in same_serial):
            return record
        if found is not None:
            return approved(record, ApprovedBy.TOKEN, found.token.made_by, now)
        groups = request.enroller.groups if request.enroller is not None else ()
        if not same_serial and not self.settings.approve_groups.isdisjoint(groups):
            return approved(record, ApprovedBy.POLICY, "enrolment.approveGroups", now)
        return record

    async def _with_certificate(
        self, record: DeviceRecord, key: ec.EllipticCurvePublicKey, address: IPAddress | None
    ) -> Enrolled:
        if record.state is DeviceState.BLOCKED:
            raise Forbidden(blocked_words(record))
        if not record.is_approved:
            return Enrolled(record=record)
        now = self._clock.now()
        issued = self.issuer.issue(key, DeviceName(device_id=record.id), now=now)
        await self._events.record_event(issued_event(record, issued, address))
        present = await self._registry.update(record.id, lambda one: _renewed(one, issued, now))
        return Enrolled(record=present, certificate=issued)

    async def _write_down(self, name: str, record: DeviceRecord, request: EnrolmentRequest) -> None:
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
        await self._events.record_event(
            Event(
                name=name,
                by="" if enroller is None else enroller.owner.username,
                user=user_of(record),
                session="" if enroller is None else enroller.session,
                device_id=record.id,
                key_thumbprint=record.key_thumbprint,
                address=request.address,
                details={key: value for key, value in details.items() if value},
            )
        )


def user_of(record: DeviceRecord) -> tuple[str, str, str]:
    """Return the owner as an event has them."""
    owner = record.owner
    return owner.username, owner.issuer, owner.subject


def issued_event(
    record: DeviceRecord, issued: IssuedCertificate, address: IPAddress | None
) -> Event:
    """Return what is written down before a device is given a certificate."""
    return Event(
        name="device.certificate-issued",
        user=user_of(record),
        device_id=record.id,
        key_thumbprint=record.key_thumbprint,
        address=address,
        details={
            "certificate": issued.thumbprint,
            "serial": issued.serial,
            "expires_at": f"{issued.not_after:%Y-%m-%dT%H:%M:%SZ}",
        },
    )


def _renewed(record: DeviceRecord, issued: IssuedCertificate, now: datetime) -> DeviceRecord:
    if not record.is_approved:  # blocked meanwhile: what was issued is worth nothing
        raise Forbidden(blocked_words(record))
    return msgspec.structs.replace(record, last_seen=now, certificate_ends_at=issued.not_after)


def _used_up(record: DeviceRecord, found: FoundToken | None) -> tuple[Delete, ...]:
    """Return the write that uses the token up, where it was what approved the device."""
    is_used = found is not None and record.approved_how is ApprovedBy.TOKEN
    return (found.use,) if found is not None and is_used else ()


def _is_anothers(known: Owner, owner: Owner) -> bool:
    """Whether a device of ``known`` is somebody else's than ``owner``'s."""
    if known == NOBODY:
        return False
    if not known.subject or not owner.subject:  # enrolled by token, for a username
        return known.username != owner.username
    return (known.issuer, known.subject) != (owner.issuer, owner.subject)


def _check_texts(request: EnrolmentRequest) -> None:
    texts = {"name": request.name, "serial": request.serial, "platform": request.platform}
    for what, text in texts.items():
        if len(text) > MAX_NAME_CHARS or not text.isprintable():
            raise BadRequest(
                f"the device's {what} must be at most {MAX_NAME_CHARS} characters that print"
            )
