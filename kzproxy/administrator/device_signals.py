"""What others say against devices: that they do not comply, that a certificate is revoked.

Each source has a say of its own: who takes back what it said lifts nothing that another one said.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
from msgspec.structs import replace

from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import CheckResult, DevicePosture, Fact
from kzproxy.devices.serial_numbers import mark_of_key, mark_of_serial
from kzproxy.store.store import Entry
from kzproxy.store.unreadable import UnreadableEntries

COMPLIANCE_KIND = "device-signal"
CERTIFICATE_KIND = "revoked-certificate"
CHECK = "compliant"

_SOURCE = "signal:"
# It holds until its source takes it back: no date is late enough to be forgotten.
_LASTS = timedelta(days=36500)

ANY_DEVICE = ""
"""Stands for all that there are."""

DevicesConcerned = Callable[[str], None]


class NotCompliant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one source says of one device."""

    device_id: str
    source: str
    observed_at: datetime


class RevokedCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """A device certificate that is not taken any more, by its serial number in lower-case hex.

    Nor is any other of its key: whoever has the key is given the next one. Only of those that
    kzproxy has issued does the number tell the key.
    """

    serial: str
    observed_at: datetime

    def covers(self, device: DevicePosture) -> bool:
        """Whether it is the certificate of ``device``, or one of its key."""
        mark = mark_of_serial(self.serial)
        of_its_key = mark != "" and mark == mark_of_key(device.key_thumbprint)
        return of_its_key or device.serial == self.serial


_UNKNOWN_TIME = datetime(2000, 1, 1, tzinfo=UTC)
_NO_DEVICE_COMPLIES = NotCompliant(
    device_id=ANY_DEVICE, source="unreadable", observed_at=_UNKNOWN_TIME
)
_REVOKED = "the device certificate was revoked; enrol the device again"
_KEY_REVOKED = (
    "a certificate of this device's key was revoked; forget the key with"
    " `kzproxy logout --forget-key`, sign in and enrol the device again"
)


class Compliance:
    """Devices that somebody says do not comply. A ``View`` of the store, and ``Restates``.

    Of an entry that cannot be read nobody knows which device it is about: none complies.
    """

    kind = COMPLIANCE_KIND

    def __init__(self, concerned: DevicesConcerned, unreadable: UnreadableEntries) -> None:
        """Begin empty.

        Args:
            concerned: Told each device of which something else is known; ``ANY_DEVICE`` for all.
            unreadable: Is told of entries that cannot be read.
        """
        self._unreadable = unreadable
        self._concerned = concerned
        self._by_key: dict[str, NotCompliant] = {}
        self._by_device: dict[str, dict[str, NotCompliant]] = {}
        self._decoder = msgspec.json.Decoder(NotCompliant)

    def restate(self, attributes: Attributes, now: datetime) -> Attributes:
        """Return the facts with the check that fails, or no longer does; see ``Restates``."""
        del now
        device = self.stated(attributes.device)
        return attributes if device is attributes.device else replace(attributes, device=device)

    def stated(self, posture: DevicePosture) -> DevicePosture:
        """Return what is so of a device; see ``StatesDevice``."""
        against = self._against(posture.device_id) if posture.device_id else ()
        present = next((result for name, result in posture.checks if name == CHECK), None)
        wanted = _failed(against) if against else None
        is_ours = present is not None and present.source.startswith(_SOURCE)
        if wanted == present or (wanted is None and not is_ours):
            return posture
        return _with_check(posture, wanted)

    def replaced(self, entries: Sequence[Entry]) -> None:
        """See ``View``."""
        for key in set(self._by_key) - {entry.key for entry in entries}:
            self.changed(key, None)
        for entry in entries:
            self.changed(entry.key, entry)

    def changed(self, key: str, entry: Entry | None) -> None:
        """See ``View``."""
        before = self._by_key.pop(key, None)
        if before is not None:
            said = self._by_device[before.device_id]
            del said[key]
            if not said:
                del self._by_device[before.device_id]
        after = None if entry is None else self._read(entry)
        if after is not None:
            self._by_key[key] = after
            self._by_device.setdefault(after.device_id, {})[key] = after
        for one in {said.device_id for said in (before, after) if said is not None}:
            self._concerned(one)

    def _against(self, device_id: str) -> Sequence[NotCompliant]:
        said = (self._by_device.get(one, {}) for one in (device_id, ANY_DEVICE))
        return [one for each in said for one in each.values()]

    def _read(self, entry: Entry) -> NotCompliant:
        said = self._unreadable.read(
            entry, self._decoder.decode, follows="no device is taken to comply"
        )
        return _NO_DEVICE_COMPLIES if said is None else said


class RevokedCertificates:
    """Device certificates that were revoked. A ``View`` of the store, and ``Restates``.

    An entry's key is the serial number: whatever else it says, that one is revoked.
    """

    kind = CERTIFICATE_KIND

    def __init__(
        self, concerned: Callable[[RevokedCertificate], None], unreadable: UnreadableEntries
    ) -> None:
        """Begin empty.

        Args:
            concerned: Told each that is revoked.
            unreadable: Is told of entries that cannot be read.
        """
        self._unreadable = unreadable
        self._concerned = concerned
        self._known: dict[str, RevokedCertificate] = {}
        self._serials: frozenset[str] = frozenset()
        self._marks: frozenset[str] = frozenset()
        self._decoder = msgspec.json.Decoder(RevokedCertificate)

    def restate(self, attributes: Attributes, now: datetime) -> Attributes:
        """Return the facts with a device that is none, where its certificate is revoked."""
        del now
        device = self.stated(attributes.device)
        return attributes if device is attributes.device else replace(attributes, device=device)

    def stated(self, posture: DevicePosture) -> DevicePosture:
        """Return what is so of a device; see ``StatesDevice``."""
        if not self._serials or posture.enrolled is not Fact.PASSED:
            return posture
        if mark_of_key(posture.key_thumbprint) in self._marks:
            return _revoked(posture, _KEY_REVOKED)
        if posture.serial in self._serials:
            return _revoked(posture, _REVOKED)
        return posture

    def replaced(self, entries: Sequence[Entry]) -> None:
        """See ``View``."""
        self._known = {entry.key: self._read(entry) for entry in entries}
        self._note()
        for one in self._known.values():
            self._concerned(one)

    def changed(self, key: str, entry: Entry | None) -> None:
        """See ``View``."""
        self._known.pop(key, None)
        if entry is not None:
            self._known[key] = self._read(entry)
        self._note()
        if entry is not None:
            self._concerned(self._known[key])

    def _note(self) -> None:
        """Note by what the certificates are known that are refused."""
        self._serials = frozenset(one.serial for one in self._known.values())
        self._marks = frozenset(map(mark_of_serial, self._serials)) - {""}

    def _read(self, entry: Entry) -> RevokedCertificate:
        read = self._unreadable.read(
            entry, self._decoder.decode, follows="the certificate of this number is revoked"
        )
        if read is not None:
            return read
        return RevokedCertificate(serial=entry.key, observed_at=_UNKNOWN_TIME)


def _revoked(posture: DevicePosture, reason: str) -> DevicePosture:
    return replace(posture, enrolled=Fact.FAILED, device_id="", vouched_by="", reason=reason)


def _failed(said: Iterable[NotCompliant]) -> CheckResult:
    newest = max(said, key=lambda one: (one.observed_at, one.source))
    return CheckResult(
        fact=Fact.FAILED,
        observed_at=newest.observed_at,
        expires_at=newest.observed_at + _LASTS,
        source=_SOURCE + newest.source,
    )


def _with_check(device: DevicePosture, result: CheckResult | None) -> DevicePosture:
    others = [(name, known) for name, known in device.checks if name != CHECK]
    if result is not None:
        others.append((CHECK, result))
    return replace(device, checks=tuple(sorted(others, key=lambda one: one[0])))
