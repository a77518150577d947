"""The refusals written down last, in memory: somebody who was refused asks why at once."""

import msgspec

from kzproxy.audit.schema import DecisionRecord

MAX_RECENT_BYTES = 2 << 20
"""Over a thousand records; users with hundreds of groups have longer ones."""


class RecentRefusals:
    """Records as they were written; the oldest are forgotten first."""

    def __init__(self, max_bytes: int = MAX_RECENT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._records: dict[str, bytes] = {}
        self._size_bytes = 0

    def keep(self, audit_id: str, record: bytes) -> None:
        """Keep a ``DecisionRecord``, encoded, until newer ones need its place."""
        self._records[audit_id] = record
        self._size_bytes += len(record)
        while self._size_bytes > self._max_bytes:
            oldest = next(iter(self._records))
            self._size_bytes -= len(self._records.pop(oldest))

    def recall(self, audit_id: str) -> DecisionRecord | None:
        """Return the record; None where it is not, or no longer, kept."""
        record = self._records.get(audit_id)
        return None if record is None else msgspec.json.decode(record, type=DecisionRecord)
