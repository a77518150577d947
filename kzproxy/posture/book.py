"""The posture of all devices, in memory as the store has it: what requests are judged by."""

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from msgspec.structs import replace

from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import DevicePosture
from kzproxy.clock.system import Clock
from kzproxy.posture.known import NEVER, NOTHING, Known, known
from kzproxy.posture.record import KIND, PostureRecord, decoded_posture
from kzproxy.posture.settings import PostureSettings
from kzproxy.store.following import Following
from kzproxy.store.store import Entry

# A device has one certificate at a time, two where it was just renewed.
_MAX_CERTIFICATES = 8
_MAX_MET = 100_000
# A tenth of a millisecond each, while everything else waits.
_SWEPT_AT_ONCE = 200


@dataclass(slots=True)
class _Page:
    """One device: what each source says, and what is made of it.

    What a source says that cannot be read may contradict all others: then nothing is known.
    """

    records: dict[str, PostureRecord] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)
    known: Known = NOTHING
    is_due: bool = False
    queued: datetime = NEVER  # when ``sweep`` will look at it next
    told: tuple[object, ...] = NOTHING.substance
    # By id(): what the certificate says, kept alive, and the same with what is known beside it.
    stated: dict[int, tuple[DevicePosture, DevicePosture]] = field(default_factory=dict)


_EMPTY = _Page()


class PostureBook:
    """Finds what is known of a device. A ``View`` of the store, and ``Restates``."""

    kind = KIND

    def __init__(self, following: Following, clock: Clock, settings: PostureSettings) -> None:
        """Follow the store."""
        self._clock = clock
        self._settings = settings
        self._unreadable = following.unreadable
        self._pages: dict[str, _Page] = {}
        self._ends: list[tuple[datetime, str]] = []
        self._met: set[str] = set()
        self._listeners: list[Callable[[frozenset[str]], None]] = []
        following.follow(self)

    def on_change(self, listener: Callable[[frozenset[str]], None]) -> None:
        """Have ``listener`` told the ids of devices that are judged otherwise from now on."""
        self._listeners.append(listener)

    @property
    def settings(self) -> PostureSettings:
        """What is judged by."""
        return self._settings

    def configure(self, settings: PostureSettings) -> None:
        """Judge by these from now on."""
        if settings == self._settings:
            return
        self._settings = settings
        self._have_all_due()

    def met(self) -> frozenset[str]:
        """Return the devices without an entry in the registry that came since the last time."""
        met, self._met = frozenset(self._met), set()
        return met

    def records(self, device_id: str) -> tuple[PostureRecord, ...]:
        """Return what each source said last, by its name."""
        page = self._pages.get(device_id, _EMPTY)
        return tuple(page.records[name] for name in sorted(page.records))

    def record(self, device_id: str, source: str) -> PostureRecord | None:
        """Return what one source said last."""
        return self._pages.get(device_id, _EMPTY).records.get(source)

    def known(self, device_id: str, now: datetime) -> Known:
        """Return what is known of a device; the same object for as long as it is the same."""
        page = self._pages.get(device_id)
        if page is None:
            return NOTHING
        return self._at(device_id, page, now)

    def known_with(self, record: PostureRecord, now: datetime) -> Known:
        """Return what would be known if ``record`` was kept."""
        others = [one for one in self.records(record.device_id) if one.source != record.source]
        return known([*others, record], self._settings, now)

    def restate(self, attributes: Attributes, now: datetime) -> Attributes:
        """Return the facts with what is known of the device now; see ``Restates``."""
        device = attributes.device
        stated = self._stated(device, now)
        return attributes if stated is device else replace(attributes, device=stated)

    def stated(self, posture: DevicePosture) -> DevicePosture:
        """Return what is so of a device: the same object for the same object, while it is the same.

        A device that is not one, whatever its certificate says, has no posture.
        """
        return self._stated(posture, self._clock.now())

    def _stated(self, device: DevicePosture, now: datetime) -> DevicePosture:
        page = self._pages.get(device.device_id, _EMPTY) if device.device_id else _EMPTY
        if device.device_id and not device.state and len(self._met) < _MAX_MET:
            self._met.add(device.device_id)
        so = self._at(device.device_id, page, now)
        if device.checks is so.checks and _rest(device) == _rest(so):
            return device
        kept = page.stated.get(id(device))
        if kept is not None and kept[0] is device:
            return kept[1]
        return self._restated(page, device)

    def _at(self, device_id: str, page: _Page, now: datetime) -> Known:
        """Return what is known; that it changed is told by ``sweep``, not while somebody asks."""
        if page.is_due or now >= page.known.until:
            self._renew(device_id, page, now)
        return page.known

    def _restated(self, page: _Page, device: DevicePosture) -> DevicePosture:
        so = page.known
        stated = replace(
            device, checks=so.checks, os=so.os, os_version=so.os_version, observed_at=so.observed_at
        )
        if page is not _EMPTY:
            if len(page.stated) >= _MAX_CERTIFICATES:
                page.stated.clear()
            page.stated[id(device)] = (device, stated)
        return stated

    def sweep(self, now: datetime) -> None:
        """Tell of the devices that time alone has changed since the last time."""
        due: list[str] = []
        while self._ends and self._ends[0][0] <= now and len(due) < _SWEPT_AT_ONCE:
            _, device_id = heapq.heappop(self._ends)
            if device_id in self._pages:
                self._pages[device_id].queued = NEVER
                due.append(device_id)
        self._renew_all(due, now)

    def pending(self) -> int:
        """Return how many moments are remembered at which time may change something."""
        return len(self._ends)

    def replaced(self, entries: Sequence[Entry]) -> None:
        """See ``View``."""
        for page in self._pages.values():
            page.records.clear()
            page.unreadable.clear()
        for entry in entries:
            self._keep(entry)
        self._have_all_due()

    def changed(self, key: str, entry: Entry | None) -> None:
        """See ``View``."""
        device_id, _, source = key.rpartition("/")
        if device_id in self._pages:
            self._pages[device_id].records.pop(source, None)
            self._pages[device_id].unreadable.discard(source)
        if entry is not None:
            self._keep(entry)
        self._renew_all([device_id], self._clock.now())

    def _have_all_due(self) -> None:
        """Have each found out anew when it is asked about; the next sweeps tell what changed."""
        now = self._clock.now()
        self._ends = [(now, device_id) for device_id in self._pages]
        for page in self._pages.values():
            page.is_due, page.queued = True, now

    def _keep(self, entry: Entry) -> None:
        device_id, _, source = entry.key.rpartition("/")
        record = self._unreadable.read(
            entry, decoded_posture, follows="nothing is known of the state of this device"
        )
        if record is None:
            self._pages.setdefault(device_id, _Page()).unreadable.add(source)
        else:
            page = self._pages.setdefault(record.device_id, _Page())
            page.records[record.source] = record

    def _renew_all(self, device_ids: Iterable[str], now: datetime) -> None:
        """Find out anew what is known of some, and tell of those who are judged otherwise by it."""
        changed = set()
        for device_id in device_ids:
            page = self._pages.get(device_id)
            if page is None:
                continue
            self._renew(device_id, page, now)
            if page.told != page.known.substance:
                page.told = page.known.substance
                changed.add(device_id)
            if not page.records and not page.unreadable:
                del self._pages[device_id]
        if changed:
            for listener in self._listeners:
                listener(frozenset(changed))

    def _renew(self, device_id: str, page: _Page, now: datetime) -> None:
        records = () if page.unreadable else tuple(page.records.values())
        so = known(records, self._settings, now)
        page.is_due = False
        if so != page.known:
            page.known = so
            page.stated.clear()
        if so.until < page.queued:
            page.queued = so.until
            heapq.heappush(self._ends, (so.until, device_id))


def _rest(one: DevicePosture | Known) -> tuple[str, str, datetime | None]:
    return one.os, one.os_version, one.observed_at
