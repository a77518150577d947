"""The devices that kzproxy knows, in memory as the store has them.

A certificate alone makes no device: it is one while the registry has it, approved, with the key
that the certificate is for. Devices of a CA that others issue with, such as an MDM's, need no
entry; one that is blocked has one.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from msgspec.structs import replace

from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import DevicePosture
from kzproxy.devices.device_index import DeviceIndex
from kzproxy.devices.device_record import (
    KIND,
    OWNER_KIND,
    DeviceRecord,
    DeviceState,
    Owner,
    device_deletes,
    device_put,
    key_puts,
    owner_turn_key,
    owner_turn_put,
)
from kzproxy.devices.heard_of import HeardOf
from kzproxy.devices.names import ClientName, DeviceName
from kzproxy.devices.registered_posture import blocked_words, registered
from kzproxy.devices.unreadable_devices import UnreadableDevices
from kzproxy.errors.kinds import Forbidden, NotServed, ServiceUnavailable
from kzproxy.store.following import Following
from kzproxy.store.store import Conflict, Delete, Entry, Put, Store

_TRIES = 8
# A few hundred bytes for each certificate in use.
_MAX_REMEMBERED = 4096

Change = Callable[[DeviceRecord], DeviceRecord]


class DeviceRegistry:
    """Finds devices, changes them, and says what is so of them. A ``View``, and ``Restates``."""

    kind = KIND

    def __init__(self, store: Store, following: Following) -> None:
        """Follow the store."""
        self._store = store
        self._following = following
        self._believed: frozenset[str] = frozenset()
        self._index = DeviceIndex()
        self._unreadable = UnreadableDevices(following.unreadable)
        # By the certificate's thumbprint: what it says, and what is so.
        self._stated: dict[str, tuple[DevicePosture, DevicePosture]] = {}
        self._heard_of = HeardOf()
        self._listeners: list[Callable[[frozenset[str]], None]] = []
        self._key_listeners: list[Callable[[frozenset[str]], None]] = []
        self._forgetting: list[Callable[[frozenset[str]], None]] = []
        following.follow(self)

    def believe(self, authorities: frozenset[str]) -> bool:
        """Let devices need no entry that these vouch for: SHA-256 of CA certificates, hex.

        Those are an MDM's, and any that others issue with.

        Returns:
            Whether any device may be judged otherwise now.
        """
        if authorities == self._believed:
            return False
        self._believed = authorities
        self._stated.clear()
        return True

    @property
    def takes_devices_without_entry(self) -> bool:
        """Whether there are authorities that are believed of themselves."""
        return bool(self._believed)

    def on_change(self, listener: Callable[[frozenset[str]], None]) -> None:
        """Have ``listener`` told the ids of devices that are judged otherwise from now on."""
        self._listeners.append(listener)

    def on_key_change(self, listener: Callable[[frozenset[str]], None]) -> None:
        """Have ``listener`` told the keys of those devices, as SHA-256 of each: before and after.

        Whoever was seen with one may not have been known as the device yet.
        """
        self._key_listeners.append(listener)

    def on_forgotten(self, listener: Callable[[frozenset[str]], None]) -> None:
        """Have ``listener`` told the ids of enrolled devices that are none any more.

        Not of one that needs no entry, and had one for as long as it was blocked.
        """
        self._forgetting.append(listener)

    def find(self, device_id: str) -> DeviceRecord | None:
        """Return a device by its id."""
        return self._index.find(device_id)

    def of_key(self, thumbprint: str) -> DeviceRecord | None:
        """Return the device that a key is of."""
        return next(iter(self._index.of_key(thumbprint)), None)

    def of_serial(self, serial: str) -> tuple[DeviceRecord, ...]:
        """Return the devices that say they have this serial; none for an empty one."""
        return self._index.of_serial(serial)

    def of_owner(self, issuer: str, subject: str) -> tuple[DeviceRecord, ...]:
        """Return the devices of one person."""
        return self._index.of_owner(issuer, subject)

    def of_person(self, issuer: str, subject: str, username: str) -> tuple[DeviceRecord, ...]:
        """Return theirs, with those that a token enrolled for their username."""
        meant = [one for one in self._index.of_owner("", "") if one.owner.username == username]
        return (*self.of_owner(issuer, subject), *meant)

    def all(self) -> tuple[DeviceRecord, ...]:
        """Return every device, the one that was enrolled last first."""
        return tuple(sorted(self._index, key=lambda one: one.enrolled_at, reverse=True))

    def name_of_key(self, thumbprint: str) -> DeviceName | ClientName:
        """Return what a certificate for a key may say: a device's id, if it is an approved one's.

        Raises:
            Forbidden: The device whose key it is, is blocked.
        """
        record = self.of_key(thumbprint)
        if record is None or record.state is DeviceState.PENDING:
            return ClientName.of_key(thumbprint)
        if record.state is DeviceState.BLOCKED:
            raise Forbidden(blocked_words(record))
        return DeviceName(device_id=record.id)

    def restate(self, attributes: Attributes, now: datetime) -> Attributes:
        """Return the facts with what is known of the device now; see ``Restates``.

        Raises:
            Forbidden: The device is blocked.
            ServiceUnavailable: Nobody can tell.
        """
        device = attributes.device
        stated = self.stated(device)
        if stated.state == DeviceState.BLOCKED:
            raise Forbidden(stated.reason)
        if stated.state and stated.device_id:
            self._heard_of.note(stated.device_id, now)
        return attributes if stated is device else replace(attributes, device=stated)

    def stated(self, posture: DevicePosture) -> DevicePosture:
        """Return what is so of a device whose certificate says ``posture``.

        The same object for the same object for as long as nothing changes, and for what it has
        itself returned.

        Raises:
            ServiceUnavailable: Nobody can tell.
        """
        if not posture.key_thumbprint:
            return posture
        self._check_in_touch()
        self._unreadable.check(posture)
        known = self._stated.get(posture.thumbprint)
        if known is not None and (known[0] is posture or known[1] is posture):
            return known[1]
        so = registered(posture, self, self._believed)
        if so is posture or so == posture:
            return posture
        if len(self._stated) >= _MAX_REMEMBERED:
            self._stated.clear()
        self._stated[posture.thumbprint] = (posture, so)
        return so

    def _check_in_touch(self) -> None:
        problem = self._following.problem()
        if problem is not None:
            raise ServiceUnavailable(
                "kzproxy cannot tell whether your device is still enrolled; try again",
                detail=problem,
                retry_after_seconds=1,
            )

    async def add(self, record: DeviceRecord, *others: Put | Delete) -> None:
        """Keep a new device, together with ``others`` or not at all.

        Raises:
            Conflict: It is there, another has its key, or one of ``others`` found another state
                than it expected.
            ServiceUnavailable: It cannot be written.
        """
        await self._following.write(device_put(record, None), *key_puts(record), *others)

    async def turn_of(self, owner: Owner, now: datetime) -> Put:
        """Return the write that has a person be enrolled one device at a time, at all workers.

        Every device is known here by then that they had before. Written with a new one, it fails
        where they have had another one enrolled since.

        Raises:
            ServiceUnavailable: The store cannot be reached.
        """
        entry = await self._store.get(OWNER_KIND, owner_turn_key(owner))
        await self.catch_up()
        return owner_turn_put(owner, None if entry is None else entry.revision, now)

    async def update(self, device_id: str, change: Change, *others: Put | Delete) -> DeviceRecord:
        """Change a device as it is in the store now; return it as it is then.

        Args:
            device_id: Of any.
            change: Called again where somebody else changed it meanwhile; must have no effect, and
                may raise.
            others: Written together with it, or not at all.

        Raises:
            NotServed: There is no such device, or none that can be read.
            Conflict: One of ``others`` found another state than it expected.
            ServiceUnavailable: It cannot be written.
        """
        for _ in range(_TRIES):
            entry = await self._store.get(KIND, device_id)
            record = None if entry is None else self._unreadable.read(entry)
            if entry is None or record is None:
                raise NotServed(f"there is no device {device_id}")
            changed = change(record)
            if changed == record and not others:
                return record
            try:
                await self._following.write(device_put(changed, entry.revision), *others)
            except Conflict as conflict:
                if conflict.kind != KIND:
                    raise
                continue
            return changed
        raise ServiceUnavailable("the device changes too often; try again", retry_after_seconds=1)

    async def remove(self, record: DeviceRecord) -> None:
        """Keep a device no longer; does nothing where it is not there.

        Raises:
            ServiceUnavailable: It cannot be written.
        """
        await self._following.write(*device_deletes(record))

    async def catch_up(self) -> None:
        """Know what other workers have written.

        Raises:
            ServiceUnavailable: The store cannot be reached.
        """
        await self._following.catch_up()

    async def note_seen(self) -> None:
        """Write down which devices were heard of since this was last called, give or take.

        Raises:
            ServiceUnavailable: It cannot be written.
        """
        await self._heard_of.write(self.find, self.update)

    def replaced(self, entries: Sequence[Entry]) -> None:
        """See ``View``."""
        before = {record.id: record for record in self._index}
        self._unreadable.forget_all()
        read = ((entry.key, self._unreadable.read(entry)) for entry in entries)
        after = {key: record for key, record in read if record is not None}
        self._index = DeviceIndex(after.values())
        changed = {one for one in before | after if before.get(one) != after.get(one)}
        self._tell(changed, [each.get(one) for each in (before, after) for one in changed])
        present = {entry.key for entry in entries}
        self._tell_forgotten([record for key, record in before.items() if key not in present])

    def changed(self, key: str, entry: Entry | None) -> None:
        """See ``View``."""
        before = self._index.find(key)
        self._unreadable.forget(key)
        after = None if entry is None else self._unreadable.read(entry)
        self._index.replace(key, after)
        if before is None or after is None or _judged_by(before) != _judged_by(after):
            self._tell({key}, [before, after])
        if before is not None and entry is None:
            self._tell_forgotten([before])

    def _tell(self, ids: set[str], records: Sequence[DeviceRecord | None]) -> None:
        # All of it: what concerns a certificate may be another device's, which had its key before.
        self._stated.clear()
        keys = {record.key_thumbprint for record in records if record is not None} - {""}
        for listener in self._listeners:
            listener(frozenset(ids))
        for listener in self._key_listeners:
            listener(frozenset(keys))

    def _tell_forgotten(self, records: Sequence[DeviceRecord]) -> None:
        ids = frozenset(record.id for record in records if record.key_thumbprint)
        for listener in self._forgetting if ids else ():
            listener(ids)


def _judged_by(record: DeviceRecord) -> tuple[object, ...]:
    return record.state, record.key_thumbprint, record.owner, record.blocked_reason
