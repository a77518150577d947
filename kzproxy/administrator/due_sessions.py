"""When each session is to be confirmed by its identity provider again, and which comes next."""

import heapq
import zlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from kzproxy.administrator.session import SessionRecord
from kzproxy.administrator.session_directory import SessionDirectory
from kzproxy.administrator.session_entry import KIND
from kzproxy.clock.system import Clock
from kzproxy.store.store import Entry

# Of the interval. The later bound leaves time for the answer, so that what changes at the provider
# is noticed within the interval; the width spreads sessions that began together.
_EARLIEST, _LATEST = 0.7, 0.9
_STEPS = 1 << 16
# What no longer holds stays in the heap until its time has come, or until it is the greater part.
_MOST_STALE = 1000
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class DueSessions:
    """Knows for each session when it is due. A ``View`` of the store, after the directory's.

    A session becomes due at once where ``verified_at`` is set back: that is how whoever hears that
    something has changed has the provider asked, whichever worker does the asking. So it does where
    the clock was ahead when it was confirmed, and has been put right.
    """

    kind = KIND

    def __init__(self, directory: SessionDirectory, clock: Clock) -> None:
        """Take the directory, which follows the store already."""
        self._directory = directory
        self._clock = clock
        self._latest = _LONG_AGO  # that the clock has said
        self._due: dict[str, datetime] = {}
        self._heap: list[tuple[datetime, str]] = []
        # By issuer: those of one that cannot be asked must not be in the way of another's.
        self._ready: dict[str, set[str]] = {}

    def __len__(self) -> int:
        """Return how many sessions wait for their time, or for their turn."""
        return len(self._due)

    @property
    def pending(self) -> int:
        """How many times are kept, those that no longer hold too: bounded by the sessions."""
        return len(self._heap)

    def replaced(self, entries: Sequence[Entry]) -> None:
        """See ``View``."""
        self._due.clear()
        self._heap.clear()
        self._ready.clear()
        for entry in entries:
            self.schedule(entry.key)

    def changed(self, key: str, _entry: Entry | None) -> None:
        """See ``View``."""
        self.schedule(key)

    def schedule(self, session_id: str, not_before: datetime | None = None) -> None:
        """Have a session be due when its confirmation grows old, or later if told so.

        A ``not_before`` holds until the session changes.
        """
        record = self._directory.find(session_id)
        if record is None or record.ended_at is not None:
            self._due.pop(session_id, None)
            self._discard(session_id)
            return
        now = self._clock.now()
        self._latest = max(self._latest, now)
        due = self._due_at(record, now)
        due = due if not_before is None else max(due, not_before)
        if self._due.get(session_id) != due:
            self._wait(session_id, due)

    def hurry(self, session_id: str, now: datetime) -> None:
        """Have a session that waits be due now."""
        if session_id in self._due:
            self._wait(session_id, now)

    def take(
        self,
        count: int,
        now: datetime,
        may_ask: Callable[[str], bool],
        rank: Callable[[SessionRecord], int] = lambda _: 0,
    ) -> list[SessionRecord]:
        """Take sessions that are due, at most ``count``: those that were used last first.

        Each is to be scheduled again by the caller.

        Args:
            count: How many.
            now: Aware, UTC.
            may_ask: Whether anything may be asked of the provider of an issuer just now.
            rank: Those of a higher one come first, whenever they were used.
        """
        if now < self._latest:
            self._look_anew(now)
        self._latest = now
        self._make_ready(now)
        asked = [ids for issuer, ids in self._ready.items() if ids and may_ask(issuer)]
        records = filter(None, (self._directory.find(one) for ids in asked for one in ids))
        taken = heapq.nlargest(count, records, key=lambda one: (rank(one), one.seen_at))
        for record in taken:
            self._discard(record.id)
            del self._due[record.id]
        return taken

    def _due_at(self, record: SessionRecord, now: datetime) -> datetime:
        if record.verified_at > now:
            return now  # by a clock that was ahead, so nobody can tell when
        return due_at(record, self._directory.settings.reverify)

    def _look_anew(self, now: datetime) -> None:
        """Have none wait for a time that a clock said which has been set back."""
        for session_id, due in tuple(self._due.items()):
            record = self._directory.find(session_id)
            if record is not None and (sooner := self._due_at(record, now)) < due:
                self._wait(session_id, sooner)

    def _make_ready(self, now: datetime) -> None:
        while self._heap and self._heap[0][0] <= now:
            due, session_id = heapq.heappop(self._heap)
            record = self._directory.find(session_id)
            if record is not None and self._due.get(session_id) == due:
                self._ready.setdefault(record.issuer, set()).add(session_id)

    def _wait(self, session_id: str, due: datetime) -> None:
        self._due[session_id] = due
        self._discard(session_id)
        heapq.heappush(self._heap, (due, session_id))
        if len(self._heap) > 2 * len(self._due) + _MOST_STALE:
            self._heap = [(due, session_id) for session_id, due in self._due.items()]
            heapq.heapify(self._heap)

    def _discard(self, session_id: str) -> None:
        for ids in self._ready.values():
            ids.discard(session_id)


def wanted_again(record: SessionRecord, *, now: datetime, interval: timedelta) -> SessionRecord:
    """Return a session that is due at once, even where its provider is being asked just now.

    It holds meanwhile as far as the grace reaches.
    """
    # Set back in any case, so that an answer to an earlier question is known to be one.
    before = record.verified_at - timedelta(microseconds=1)
    return msgspec.structs.replace(record, verified_at=min(before, now - interval))


def due_at(record: SessionRecord, interval: timedelta) -> datetime:
    """Return when a session is to be confirmed: within ``interval``, each at its own time."""
    asked_about = f"{record.id} {record.verified_at.timestamp()}".encode()
    share = zlib.crc32(asked_about) % _STEPS / _STEPS
    return record.verified_at + interval * (_EARLIEST + (_LATEST - _EARLIEST) * share)
