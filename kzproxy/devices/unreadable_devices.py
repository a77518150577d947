"""Devices whose entries cannot be read: such an entry may say that the device is blocked."""

from kzproxy.attributes.device import DevicePosture
from kzproxy.devices.device_record import DeviceRecord, decoded_device, key_of
from kzproxy.errors.kinds import ServiceUnavailable
from kzproxy.store.store import Entry
from kzproxy.store.unreadable import UnreadableEntries


class UnreadableDevices:
    """Reads devices, and refuses those that it could not read."""

    def __init__(self, entries: UnreadableEntries) -> None:
        """Begin with none; ``entries`` is told of each."""
        self._entries = entries
        # By their ids, with their keys where those can be read.
        self._keys: dict[str, str] = {}

    def read(self, entry: Entry) -> DeviceRecord | None:
        """Return what an entry keeps; None where it cannot be read."""
        record = self._entries.read(
            entry, decoded_device, follows="whoever comes on this device is refused"
        )
        if record is None:
            self._keys[entry.key] = key_of(entry)
        return record

    def forget(self, device_id: str) -> None:
        """Note that there is another entry of a device now, or none."""
        self._keys.pop(device_id, None)

    def forget_all(self) -> None:
        """Note that all entries are read again."""
        self._keys.clear()

    def check(self, posture: DevicePosture) -> None:
        """Refuse a device that may be one of them.

        An MDM's device needs no entry, but one may say that it is blocked.

        Raises:
            ServiceUnavailable: It may be.
        """
        for device_id, key in self._keys.items():
            if device_id == posture.device_id or key == posture.key_thumbprint:
                raise ServiceUnavailable(
                    "kzproxy cannot tell whether your device may be used; ask your administrator",
                    detail=f"the store's entry of device {device_id} cannot be read",
                )
