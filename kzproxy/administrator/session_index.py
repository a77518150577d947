"""Sessions by id, and the ways to those of one person, device or key."""

import heapq
from collections.abc import Iterator
from datetime import datetime
from typing import TypeVar

from kzproxy.administrator.session import SessionRecord
from kzproxy.attributes.identity import Identity

_Key = TypeVar("_Key")


class SessionIndex:
    """A set of sessions, with who calls in each.

    Attributes:
        records: By id.
        identities: By id; the same object for as long as it says the same.
        by_user: Ids, by issuer and subject.
        by_device: Ids, by the device's.
        by_key: Ids, by the thumbprint of the client's key.
    """

    def __init__(self) -> None:
        self.records: dict[str, SessionRecord] = {}
        self.identities: dict[str, Identity] = {}
        self.by_user: dict[tuple[str, str], set[str]] = {}
        self.by_device: dict[str, set[str]] = {}
        self.by_key: dict[str, set[str]] = {}
        self._ends: list[tuple[datetime, str]] = []
        # By id: the earliest of its ends above. Others are passed over when their time has come.
        self._queued: dict[str, datetime] = {}

    @property
    def pending(self) -> int:
        """How many ends are expected."""
        return len(self._ends)

    def keep(self, record: SessionRecord) -> None:
        """Have a session in the set, in place of what was there of its id."""
        before = self.identities.get(record.id)
        self.drop(record.id)
        now = record.identity()
        self.records[record.id] = record
        # Seen or verified again: nothing that anybody is judged by.
        self.identities[record.id] = now if before is None or before != now else before
        self.by_user.setdefault(record.user, set()).add(record.id)
        self.by_device.setdefault(record.device_id, set()).add(record.id)
        self.by_key.setdefault(record.key_thumbprint, set()).add(record.id)

    def drop(self, session_id: str) -> None:
        """Have a session in the set no longer; does nothing where it is not."""
        record = self.records.pop(session_id, None)
        if record is None:
            return
        del self.identities[session_id]
        _remove(self.by_user, record.user, session_id)
        _remove(self.by_device, record.device_id, session_id)
        _remove(self.by_key, record.key_thumbprint, session_id)

    def expect_end(self, session_id: str, at: datetime) -> None:
        """Note when a session may come to its end by itself, unless that is looked at before."""
        queued = self._queued.get(session_id)
        if queued is None or at < queued:
            self._queued[session_id] = at
            heapq.heappush(self._ends, (at, session_id))

    def expected_ends(self, now: datetime) -> Iterator[SessionRecord]:
        """Go through those that were noted for ``now`` or before, and are there and not ended.

        Each is noted no more then: one whose end is later by now is to be expected anew.
        """
        while self._ends and self._ends[0][0] <= now:
            at, session_id = heapq.heappop(self._ends)
            if self._queued.get(session_id) != at:
                continue
            del self._queued[session_id]
            record = self.records.get(session_id)
            if record is not None and record.ended_at is None:
                yield record


def _remove(index: dict[_Key, set[str]], key: _Key, one: str) -> None:
    ids = index.get(key)
    if ids is not None:
        ids.discard(one)
        if not ids:
            del index[key]
