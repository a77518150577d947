"""Devices by id, and the ways to those of one key, serial number or person."""

from collections.abc import Iterable, Iterator

from kzproxy.devices.device_record import DeviceRecord


class DeviceIndex:
    """A set of devices."""

    def __init__(self, records: Iterable[DeviceRecord] = ()) -> None:
        self._records: dict[str, DeviceRecord] = {}
        # Dictionaries, not sets: of two devices with one key the first one counts, always.
        self._by: dict[tuple[str, ...], dict[str, None]] = {}
        for record in records:
            self.replace(record.id, record)

    def __iter__(self) -> Iterator[DeviceRecord]:
        """Go through all, in no order that means anything."""
        return iter(self._records.values())

    def find(self, device_id: str) -> DeviceRecord | None:
        """Return a device by its id."""
        return self._records.get(device_id)

    def of_key(self, thumbprint: str) -> tuple[DeviceRecord, ...]:
        """Return the devices of a key; none for an empty one."""
        return self._found(("key", thumbprint))

    def of_serial(self, serial: str) -> tuple[DeviceRecord, ...]:
        """Return the devices that say they have a serial number; none for an empty one."""
        return self._found(("serial", serial))

    def of_owner(self, issuer: str, subject: str) -> tuple[DeviceRecord, ...]:
        """Return the devices of one person."""
        return self._found(("owner", issuer, subject))

    def replace(self, device_id: str, record: DeviceRecord | None) -> None:
        """Have ``record`` in the place of what has this id; None for nothing."""
        before = self._records.pop(device_id, None)
        for key in () if before is None else _keys(before):
            of_key = self._by[key]
            del of_key[device_id]
            if not of_key:
                del self._by[key]
        if record is not None:
            self._records[device_id] = record
            for key in _keys(record):
                self._by.setdefault(key, {})[device_id] = None

    def _found(self, key: tuple[str, ...]) -> tuple[DeviceRecord, ...]:
        return tuple(self._records[one] for one in self._by.get(key, ()))


def _keys(record: DeviceRecord) -> Iterator[tuple[str, ...]]:
    if record.key_thumbprint:
        yield ("key", record.key_thumbprint)
    if record.serial:
        yield ("serial", record.serial)
    yield ("owner", record.owner.issuer, record.owner.subject)
