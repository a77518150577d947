"""All sessions, in memory as the store has them: what requests and streams are judged by."""

import asyncio
import heapq
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

import msgspec

from kzproxy.administrator.session import SessionEnd, SessionRecord, SessionSettings
from kzproxy.administrator.session_end import holds_until, why_over
from kzproxy.administrator.session_moves import SessionMoves, moved
from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.identity import Identity
from kzproxy.clock.system import Clock
from kzproxy.errors.kinds import ServiceUnavailable, Unauthenticated
from kzproxy.store.following import Following
from kzproxy.store.store import Conflict, Delete, Entry, Put, Store

log = logging.getLogger(__name__)

KIND = "session"

_KEPT_AFTER_END = timedelta(days=1)  # for `kzproxy sessions list --ended`
_NOTED_EVERY = timedelta(seconds=30)
_TRIES = 8

_Key = TypeVar("_Key")
Change = Callable[[SessionRecord], SessionRecord]
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(SessionRecord)


class SessionDirectory:
    """Finds sessions, begins, changes and ends them. A ``View`` of the store, and ``Restates``."""

    kind = KIND

    def __init__(
        self, store: Store, following: Following, clock: Clock, settings: SessionSettings
    ) -> None:
        """Follow the store.

        Args:
            store: Where sessions are kept.
            following: Tells this view.
            clock: For times in sessions.
            settings: How long they hold; ``settings`` may be set anew.
        """
        self.settings = settings
        self._store = store
        self._following = following
        self._clock = clock
        self._records: dict[str, SessionRecord] = {}
        self._identities: dict[str, Identity] = {}
        self._by_user: dict[tuple[str, str], set[str]] = {}
        self._by_device: dict[str, set[str]] = {}
        self._by_key: dict[str, set[str]] = {}
        self._ends: list[tuple[datetime, str]] = []
        self._used: dict[str, datetime] = {}
        self._moves = SessionMoves()
        self._end_listeners: list[Callable[[SessionRecord], None]] = []
        self._listeners: list[Callable[[frozenset[str]], None]] = []
        following.follow(self)

    def on_change(self, listener: Callable[[frozenset[str]], None]) -> None:
        """Have ``listener`` told the ids of sessions that changed, or ended by themselves."""
        self._listeners.append(listener)

    def on_end(self, listener: Callable[[SessionRecord], None]) -> None:
        """Have ``listener`` told of sessions that ``end`` ends here, as they were before."""
        self._end_listeners.append(listener)

    def find(self, session_id: str) -> SessionRecord | None:
        """Return a session, ended ones of the last day too."""
        record = self._records.get(session_id)
        return None if record is None else self._seen(record)

    async def catch_up(self) -> None:
        """Return once every session is known that another worker kept before this was called.

        Raises:
            ServiceUnavailable: The store cannot be reached.
        """
        await self._following.catch_up()

    def all(self) -> tuple[SessionRecord, ...]:
        """Return every session, the one that began last first."""
        records = map(self._seen, self._records.values())
        return tuple(sorted(records, key=lambda one: one.began_at, reverse=True))

    def of_user(self, issuer: str, subject: str) -> tuple[SessionRecord, ...]:
        """Return the sessions of one person that hold."""
        return self._holding(self._by_user.get((issuer, subject), ()))

    def of_device(self, device_id: str) -> tuple[SessionRecord, ...]:
        """Return the sessions on one device that hold."""
        return self._holding(self._by_device.get(device_id, ()))

    def of_key(self, thumbprint: str) -> tuple[SessionRecord, ...]:
        """Return the sessions of one client, by its key, that hold."""
        return self._holding(self._by_key.get(thumbprint, ()))

    def holding(self) -> tuple[SessionRecord, ...]:
        """Return all sessions that hold."""
        return self._holding(self._records)

    def _holding(self, ids: Iterable[str]) -> tuple[SessionRecord, ...]:
        now = self._clock.now()
        records = (self._seen(self._records[one]) for one in ids)
        holding = [one for one in records if not why_over(one, self.settings, now)]
        return tuple(sorted(holding, key=lambda one: one.began_at, reverse=True))

    def identity(self, session_id: str, now: datetime) -> Identity:
        """Return who calls in a session; the same object for as long as it is the same.

        Raises:
            Unauthenticated: The session does not hold; says why, and what to do.
            ServiceUnavailable: What is known of sessions may be too old.
        """
        problem = self._following.problem()
        if problem is not None:
            raise ServiceUnavailable(
                "kzproxy cannot tell whether your session still holds; try again",
                detail=problem,
                retry_after_seconds=1,
            )
        record = self._records.get(session_id)
        if record is None:
            raise Unauthenticated("the session is not known; sign in again with `kzproxy login`")
        over = why_over(self._seen(record), self.settings, now)
        if over:
            raise Unauthenticated(over)
        return self._identities[session_id]

    def restate(self, attributes: Attributes, now: datetime) -> Attributes:
        """Return the facts with the identity as the session has it now; see ``Restates``.

        Raises:
            Unauthenticated: The session does not hold.
            ServiceUnavailable: Nobody can tell.
        """
        subject = attributes.subject
        if not subject.is_session:
            return attributes
        present = self.identity(subject.sign_in, now)
        if subject.confirmation:
            # Of the token, not of the session.
            if replace(subject, confirmation="") == present:
                return attributes
            present = replace(present, confirmation=subject.confirmation)
        return attributes if present is subject else replace(attributes, subject=present)

    def used(self, session_id: str, now: datetime) -> None:
        """Note that a request of a session has come; other workers are told from time to time."""
        self._used[session_id] = now

    def came_from(self, session_id: str, address: str) -> None:
        """Note that a session has moved: a request of it has come from another address.

        Its streams are judged again, here at once and at other workers soon.
        """
        record = self._records.get(session_id)
        if record is None or (record.seen_address or record.address) == address:
            return
        self._moves.note(session_id, address)
        self._records[session_id] = record = moved(record, address)
        self._identities[session_id] = record.identity()
        self._tell(frozenset({session_id}))

    async def begin(self, record: SessionRecord, *others: Put | Delete) -> None:
        """Keep a new session; the oldest of a person who has too many are ended.

        Args:
            record: The session.
            others: What is written with it, all or nothing.

        Raises:
            Conflict: What one of ``others`` expected did not hold.
            ServiceUnavailable: It cannot be written.
        """
        await self._following.write(_put(record, expected=None), *others)
        theirs = sorted(self.of_user(*record.user), key=lambda one: one.seen_at, reverse=True)
        older = [one for one in theirs if one.id != record.id]
        for one in older[max(self.settings.per_user - 1, 0) :]:
            await self.end(one.id, SessionEnd.EVICTED, "", by="kzproxy")

    async def update(self, session_id: str, change: Change, *others: Put | Delete) -> SessionRecord:
        """Change a session as it is in the store now; return it as it is then.

        Args:
            session_id: Of one that has not ended.
            change: Called again where somebody else changed it meanwhile; must have no effect.
            others: What is written with it, all or nothing.

        Raises:
            Unauthenticated: It is not there, or has ended.
            Conflict: What one of ``others`` expected did not hold.
            ServiceUnavailable: It cannot be written.
        """
        for _ in range(_TRIES):
            entry = await self._store.get(KIND, session_id)
            record = None if entry is None else _decoder.decode(entry.value)
            if entry is None or record is None or record.ended_at is not None:
                raise Unauthenticated("the session has ended; sign in again with `kzproxy login`")
            changed = change(record)
            if changed == record and not others:
                return record
            try:
                await self._following.write(_put(changed, expected=entry.revision), *others)
            except Conflict as conflict:
                if (conflict.kind, conflict.key) != (KIND, session_id):
                    raise
                continue
            return changed
        raise ServiceUnavailable("the session changes too often; try again", retry_after_seconds=1)

    async def end(
        self, session_id: str, cause: SessionEnd, message: str, *, by: str
    ) -> SessionRecord | None:
        """End a session; its streams end with it, here at once and at other workers soon.

        Args:
            session_id: Of any.
            cause: For the log.
            message: For its user; empty for the cause's own words.
            by: Who ends it.

        Returns:
            It as it was while it held; None where it had ended before or was never there.

        Raises:
            ServiceUnavailable: It cannot be written.
        """
        before: list[SessionRecord] = []

        def ended(record: SessionRecord) -> SessionRecord:
            before[:] = [record]
            return end_of(record, cause, message, by, self._clock.now())

        try:
            await self.update(session_id, ended)
        except Unauthenticated:
            return None
        self.tell_of_end(before[0])
        return before[0]

    def tell_of_end(self, record: SessionRecord) -> None:
        """Have those told who see to sessions that ended here; ``record`` is from before."""
        for listener in self._end_listeners:
            listener(record)

    async def run(self) -> None:
        """Write down now and then which sessions are used, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._moves.run(self.update))
            while True:
                await asyncio.sleep(_NOTED_EVERY.total_seconds())
                await self.note_used()

    async def note_used(self) -> None:
        """Write down which sessions were used since this was last called."""
        for session_id, at in list(self._used.items()):
            try:
                await self.update(session_id, partial(_seen_at, at=at))
            except Unauthenticated:
                pass  # it has ended
            except ServiceUnavailable as error:
                log.warning("the use of a session cannot be noted: %s", error.detail)
                return
            if self._used.get(session_id) == at:
                del self._used[session_id]

    def sweep(self, now: datetime) -> None:
        """Tell of the sessions that have come to their end by themselves since the last time."""
        over = set()
        while self._ends and self._ends[0][0] <= now:
            _, session_id = heapq.heappop(self._ends)
            record = self._records.get(session_id)
            if record is None or record.ended_at is not None:
                continue
            until = holds_until(self._seen(record), self.settings)
            if until > now:
                heapq.heappush(self._ends, (until, session_id))
            else:
                over.add(session_id)
        if over:
            self._tell(frozenset(over))

    def replaced(self, entries: Sequence[Entry]) -> None:
        """See ``View``."""
        before = set(self._records)
        for session_id in before:
            self._forget(session_id)
        for entry in entries:
            self._keep(entry)
        self._tell(frozenset(before | set(self._records)))

    def changed(self, key: str, entry: Entry | None) -> None:
        """See ``View``."""
        kept = self._identities.get(key)
        self._forget(key)
        if entry is not None:
            self._keep(entry)
        record = self._records.get(key)
        holds = record is not None and record.ended_at is None
        if kept is not None and holds and self._identities[key] == kept:
            # Seen or verified again: nothing that anybody is judged by.
            self._identities[key] = kept
        else:
            self._tell(frozenset({key}))

    def _keep(self, entry: Entry) -> None:
        read = self._following.unreadable.read(
            entry, _decoder.decode, follows="nobody can go on in this session"
        )
        if read is None:
            return
        record = self._moves.applied(read)
        self._records[record.id] = record
        self._identities[record.id] = record.identity()
        self._by_user.setdefault(record.user, set()).add(record.id)
        self._by_device.setdefault(record.device_id, set()).add(record.id)
        self._by_key.setdefault(record.key_thumbprint, set()).add(record.id)
        heapq.heappush(self._ends, (holds_until(record, self.settings), record.id))

    def _forget(self, session_id: str) -> None:
        record = self._records.pop(session_id, None)
        if record is None:
            return
        self._identities.pop(session_id, None)
        _remove(self._by_user, record.user, session_id)
        _remove(self._by_device, record.device_id, session_id)
        _remove(self._by_key, record.key_thumbprint, session_id)

    def _seen(self, record: SessionRecord) -> SessionRecord:
        used = self._used.get(record.id)
        if used is None or used <= record.seen_at:
            return record
        return msgspec.structs.replace(record, seen_at=used)

    def _tell(self, ids: frozenset[str]) -> None:
        for listener in self._listeners:
            listener(ids)


def end_of(
    record: SessionRecord, cause: SessionEnd, message: str, by: str, now: datetime
) -> SessionRecord:
    """Return ``record`` ended, without the secrets that nobody needs any more."""
    return msgspec.structs.replace(
        record,
        ended_at=now,
        end_cause=cause.value,
        end_message=message,
        ended_by=by,
        refresh=b"",
        renewal_digest="",
        renewal_before="",
    )


def session_put(record: SessionRecord, expected: int | None) -> Put:
    """Return the write that keeps ``record``, for a write together with something else."""
    return _put(record, expected=expected)


def read_session(entry: Entry) -> SessionRecord:
    """Return what ``entry`` keeps."""
    return _decoder.decode(entry.value)


def _put(record: SessionRecord, *, expected: int | None) -> Put:
    return Put(
        kind=KIND,
        key=record.id,
        value=_encoder.encode(record),
        expires_at=record.ends_at + _KEPT_AFTER_END,
        expected=expected,
    )


def _seen_at(record: SessionRecord, at: datetime) -> SessionRecord:
    return msgspec.structs.replace(record, seen_at=max(record.seen_at, at))


def _remove(index: dict[_Key, set[str]], key: _Key, one: str) -> None:
    ids = index.get(key)
    if ids is not None:
        ids.discard(one)
        if not ids:
            del index[key]
