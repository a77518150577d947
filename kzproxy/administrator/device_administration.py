"""What administrators do with devices, and what follows from it for sessions."""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from kzproxy.administrator.session import SessionEnd, SessionRecord
from kzproxy.administrator.session_directory import SessionDirectory
from kzproxy.audit.events import Event, EventLog
from kzproxy.devices.device_record import (
    ApprovedBy,
    DeviceRecord,
    DeviceState,
    approved,
    blocked,
    unblocked,
)
from kzproxy.devices.enrolment_events import user_of
from kzproxy.devices.enrolment_token import EnrolmentToken, EnrolmentTokens, token_digest
from kzproxy.devices.registered_posture import blocked_words
from kzproxy.devices.registry import Change, DeviceRegistry
from kzproxy.errors.kinds import BadRequest, NotServed, Unauthenticated
from kzproxy.store.store import Conflict


class Doing(NamedTuple):
    """Who does something, in which request and when."""

    by: str
    audit_id: str
    at: datetime


class DeviceAdministration:
    """Approves, blocks and forgets devices. What it does is written down first."""

    def __init__(
        self,
        registry: DeviceRegistry,
        sessions: SessionDirectory,
        tokens: EnrolmentTokens,
        events: EventLog,
    ) -> None:
        self._registry = registry
        self._sessions = sessions
        self._tokens = tokens
        self._events = events

    async def approve(self, device_id: str, doing: Doing) -> DeviceRecord:
        """Let a device count as one, and confirm the serial number that it says it has.

        Also where a token or policy has approved it, which have confirmed nothing.

        Raises:
            NotServed: There is none.
            BadRequest: It is blocked.
        """

        def change(record: DeviceRecord) -> DeviceRecord:
            if record.state is DeviceState.BLOCKED:
                raise BadRequest(
                    f"device {record.id} is blocked; `kzproxy device unblock` comes first"
                )
            if record.is_approved and record.approved_how is ApprovedBy.ADMINISTRATOR:
                return record
            return approved(record, ApprovedBy.ADMINISTRATOR, doing.by, doing.at)

        present = await self._device(device_id)
        change(present)
        await self._write_down("device.approved", present, doing)
        record = await self._registry.update(device_id, change)
        await self.settle(record)
        return record

    async def block(self, device_id: str, reason: str, doing: Doing) -> DeviceRecord:
        """Keep a device out, and end its sessions and streams.

        Raises:
            NotServed: There is none.
        """

        def change(record: DeviceRecord) -> DeviceRecord:
            return blocked(record, doing.by, reason, doing.at)

        await self._registry.catch_up()
        present = self._registry.find(device_id) or self._vouched_for(device_id, doing)
        await self._write_down("device.blocked", present, doing, reason)
        record = await self._changed_or_new(present, change)
        await self._end_sessions(record, blocked_words(record), doing)
        return record

    async def unblock(self, device_id: str, doing: Doing) -> DeviceRecord:
        """Let a device be what it was before it was blocked.

        Raises:
            NotServed: There is none.
        """
        present = await self._device(device_id)
        await self._write_down("device.unblocked", present, doing)
        if not present.key_thumbprint:  # it needed no entry before it was blocked
            await self._registry.remove(present)
            return unblocked(present)
        record = await self._registry.update(device_id, unblocked)
        await self.settle(record)
        return record

    async def forget(self, device_id: str, doing: Doing) -> DeviceRecord:
        """Take a device out of the registry, and end its sessions.

        Raises:
            NotServed: There is none.
        """
        record = await self._device(device_id)
        await self._write_down("device.forgotten", record, doing)
        words = f"this device ({record.id}) is no longer enrolled"
        # First: if they cannot all be ended, it is still there, to be forgotten again.
        await self._end_sessions(record, words, doing)
        await self._registry.remove(record)
        await self._end_sessions(record, words, doing)  # what has begun meanwhile
        return record

    async def make_token(
        self, for_user: str, lifetime: timedelta, doing: Doing
    ) -> tuple[str, EnrolmentToken]:
        """Make a one-time token; empty ``for_user``: for anybody."""
        kept = EnrolmentToken(
            made_by=doing.by,
            made_at=doing.at,
            expires_at=doing.at + lifetime,
            for_user=for_user,
        )
        token = self._tokens.new()
        await self._events.record_event(
            Event(
                name="device.token-made",
                by=doing.by,
                audit_id=doing.audit_id,
                user=(for_user, "", ""),
                details={
                    "token": token_digest(token),
                    "for_user": for_user or "anybody",
                    "expires_at": f"{kept.expires_at:%Y-%m-%dT%H:%M:%SZ}",
                },
            )
        )
        await self._tokens.keep(token, kept)
        return token, kept

    async def settle(self, record: DeviceRecord) -> None:
        """Have the sessions of an approved device's key be sessions on it."""
        if not record.is_approved:
            return

        def on_device(session: SessionRecord) -> SessionRecord:
            return msgspec.structs.replace(session, device_id=record.id)

        for session in self._sessions.unended():
            is_its_own = session.key_thumbprint == record.key_thumbprint
            if is_its_own and session.device_id != record.id:
                try:
                    await self._sessions.update(session.id, on_device)
                except Unauthenticated:
                    continue  # ended meanwhile

    async def _changed_or_new(self, present: DeviceRecord, change: Change) -> DeviceRecord:
        if self._registry.find(present.id) is None:
            changed = change(present)
            with suppress(Conflict):  # it has got an entry just now, by another administrator
                await self._registry.add(changed)
                return changed
        return await self._registry.update(present.id, change)

    async def _device(self, device_id: str) -> DeviceRecord:
        # It may have been enrolled at another worker just now.
        await self._registry.catch_up()
        record = self._registry.find(device_id)
        if record is None:
            raise NotServed(f"there is no device {device_id}")
        return record

    def _vouched_for(self, device_id: str, doing: Doing) -> DeviceRecord:
        """Return an entry for a device of a CA whose devices need none."""
        if not self._registry.takes_devices_without_entry:
            raise NotServed(f"there is no device {device_id}")
        return DeviceRecord(
            id=device_id,
            key_thumbprint="",
            state=DeviceState.PENDING,
            enrolled_at=doing.at,
            name="known by its certificate alone",
        )

    async def _end_sessions(self, record: DeviceRecord, words: str, doing: Doing) -> None:
        for session in self._sessions.unended():
            is_on_it = session.device_id == record.id
            has_its_key = session.key_thumbprint == record.key_thumbprint
            if is_on_it or (has_its_key and record.key_thumbprint):
                await self._sessions.end(session.id, SessionEnd.DEVICE, words, by=doing.by)

    async def _write_down(
        self, name: str, record: DeviceRecord, doing: Doing, message: str = ""
    ) -> None:
        await self._events.record_event(
            Event(
                name=name,
                message=message,
                by=doing.by,
                audit_id=doing.audit_id,
                user=user_of(record),
                device_id=record.id,
                key_thumbprint=record.key_thumbprint,
                details={"name": record.name} if record.name else {},
            )
        )
