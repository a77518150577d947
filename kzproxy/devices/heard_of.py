"""When devices were last heard of: written down now and then, for people to read."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial

import msgspec

from kzproxy.devices.device_record import DeviceRecord
from kzproxy.errors.kinds import NotServed

SEEN_EVERY = timedelta(hours=1)
"""How exactly it is written down when a device was last heard of."""

Find = Callable[[str], DeviceRecord | None]
Change = Callable[[DeviceRecord], DeviceRecord]
Update = Callable[[str, Change], Awaitable[DeviceRecord]]


class HeardOf:
    """The times that are not written yet, by device."""

    def __init__(self) -> None:
        self._seen: dict[str, datetime] = {}

    def note(self, device_id: str, at: datetime) -> None:
        """Have a time written when it is next written."""
        self._seen[device_id] = at

    async def write(self, find: Find, update: Update) -> None:
        """Write what is noted and is news.

        Raises:
            ServiceUnavailable: It cannot be written.
        """
        seen, self._seen = self._seen, {}
        for device_id, at in seen.items():
            record = find(device_id)
            if record is None or not _is_news(record, at):
                continue
            try:
                await update(device_id, partial(_heard_of, at=at))
            except NotServed:
                continue  # forgotten meanwhile


def _heard_of(record: DeviceRecord, at: datetime) -> DeviceRecord:
    return msgspec.structs.replace(record, last_seen=at) if _is_news(record, at) else record


def _is_news(record: DeviceRecord, at: datetime) -> bool:
    return record.last_seen is None or at - record.last_seen >= SEEN_EVERY
