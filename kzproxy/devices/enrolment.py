"""How a machine becomes a device: it shows its key, and somebody or something approves it.

The same key is the same device, however often it is enrolled. A serial number that another device
has given before is that machine again with another key, or somebody who says so: an administrator
looks at it, whatever policy would have approved. Who is not signed in needs a one-time token.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cryptography.hazmat.primitives.asymmetric import ec
from msgspec.structs import replace

from kzproxy.attributes.environment import IPAddress
from kzproxy.audit.events import Event, EventLog
from kzproxy.clock.system import Clock
from kzproxy.devices.device_record import (
    NOBODY,
    ApprovedBy,
    DeviceRecord,
    DeviceState,
    Owner,
    approved,
)
from kzproxy.devices.enrolment_events import (
    asked_event,
    enrolment_event,
    issued_event,
    renewal_event,
)
from kzproxy.devices.enrolment_request import Enrolled, EnrolmentRequest, check_texts
from kzproxy.devices.enrolment_rules import owner_of, renewed, theirs, used_up
from kzproxy.devices.enrolment_settings import EnrolmentSettings
from kzproxy.devices.enrolment_token import KIND as TOKEN_KIND
from kzproxy.devices.enrolment_token import EnrolmentTokens, FoundToken
from kzproxy.devices.issuing import CertificateIssuer
from kzproxy.devices.names import DeviceName, key_thumbprint
from kzproxy.devices.registered_posture import blocked_words
from kzproxy.devices.registry import DeviceRegistry
from kzproxy.errors.kinds import Forbidden, NotServed, ServiceUnavailable, Unauthenticated
from kzproxy.store.store import Conflict, Put

_ID_BYTES = 8
_TRIES = 3
_NOT_GOOD = "the one-time token is not good, or no longer: ask your administrator for another"


class Enrolment:
    """Enrols devices, and issues and renews their certificates.

    Attributes:
        issuer: Issues them; may be set anew.
        settings: What is asked; may be set anew.
        outcomes: How many requests came to which end: ``issued``, ``pending`` or ``refused``.
    """

    def __init__(
        self,
        registry: DeviceRegistry,
        tokens: EnrolmentTokens,
        issuer: CertificateIssuer,
        events: EventLog,
        clock: Clock,
        settings: EnrolmentSettings,
    ) -> None:
        """Put it together."""
        self.issuer = issuer
        self.settings = settings
        self._registry = registry
        self._tokens = tokens
        self._events = events
        self._clock = clock
        # One at a time; that what is counted is so at all workers when it is written, is the
        # store's to say. They would often collide there if they did not take turns here.
        self._turn = asyncio.Lock()
        self.outcomes: Counter[str] = Counter()

    async def enrol(self, request: EnrolmentRequest) -> Enrolled:
        """Enrol a device, or find it enrolled.

        Raises:
            ProxyError: It is refused; the message says why.
        """
        check_texts(request)
        async with self._refusals_written(asked_event(request)):
            async with self._turn:
                record = await self._enrolled_once(request)
            return await self._with_certificate(record, request.key, request.address)

    async def admit(self, request: EnrolmentRequest) -> None:
        """Refuse at once whoever is nobody here, before anything is written for them.

        Raises:
            ProxyError: Nobody is signed in, and there is no token that is good.
        """
        async with self._refusals_written(asked_event(request)):
            owner_of(request, await self._found_token(request))

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
        record = self._of_key(key)
        async with self._refusals_written(renewal_event(record, address)):
            return await self._with_certificate(record, key, address)

    @asynccontextmanager
    async def _refusals_written(self, event: Event) -> AsyncIterator[None]:
        """Write down that what ``event`` says is not done, where somebody may not have it done.

        What nobody asks for, such as with a token that is made up, is counted alone.
        """
        try:
            yield
        except Forbidden as refusal:
            self.outcomes["refused"] += 1
            if event.by or event.device_id:
                refused = replace(event, refused=True, message=refusal.message)
                await self._events.record_event(refused)
            raise

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
        owner = owner_of(request, found)
        known = self._registry.of_key(key_thumbprint(request.key))
        if known is not None:
            return await self._again(known, owner, request, found)
        turn = await self._turn_of(owner)
        record = self._new(request, owner)
        record = self._judged(record, request, found)
        await self._events.record_event(enrolment_event("device.enrolled", record, request))
        # Of nobody's devices, tokens alone bound how many there are: one each, approved or not.
        uses = (found.use,) if found is not None else ()
        await self._registry.add(record, *turn, *uses)
        return record

    async def _turn_of(self, owner: Owner) -> tuple[Put, ...]:
        """Return what makes sure that nobody has more devices than they may; nobody has any."""
        if owner == NOBODY:
            return ()
        return (await self._registry.turn_of(owner, self._clock.now()),)

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

    async def _again(
        self,
        known: DeviceRecord,
        owner: Owner,
        request: EnrolmentRequest,
        found: FoundToken | None,
    ) -> DeviceRecord:
        """Return a device that is enrolled already, approved if that is possible now."""

        def judged(record: DeviceRecord) -> DeviceRecord:
            present = theirs(record, owner)
            return present if present.is_approved else self._judged(present, request, found)

        changed = judged(known)
        if changed == known:
            return known
        name = "device.owned" if known.state is changed.state else "device.approved"
        await self._events.record_event(enrolment_event(name, changed, request))
        uses = () if known.is_approved else used_up(changed, found)
        return await self._registry.update(known.id, judged, *uses)

    def _new(self, request: EnrolmentRequest, owner: Owner) -> DeviceRecord:
        present = [
            one
            for one in self._registry.of_owner(owner.issuer, owner.subject)
            if one.owner == owner and owner != NOBODY
        ]
        if len(present) >= self.settings.per_user:
            raise Forbidden(
                f"{owner.username} has {len(present)} devices, which is as many as one may have;"
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
            self.outcomes["pending"] += 1
            return Enrolled(record=record)
        now = self._clock.now()
        issued = self.issuer.issue(key, DeviceName(device_id=record.id), now=now)
        await self._events.record_event(issued_event(record, issued, address))
        present = await self._registry.update(record.id, lambda one: renewed(one, issued, now))
        self.outcomes["issued"] += 1
        return Enrolled(record=present, certificate=issued)
