"""All sessions, in memory as the store has them: what requests and streams are judged by."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from kzproxy.administrator.session import SessionEnd, SessionRecord, SessionSettings
from kzproxy.administrator.session_end import ENDED, SIGN_IN_AGAIN, end_of, holds_until, why_over
from kzproxy.administrator.session_entry import KIND, StoredSession, decoded_session, session_put
from kzproxy.administrator.session_index import SessionIndex
from kzproxy.administrator.session_moves import SessionMoves, moved
from kzproxy.administrator.session_use import SessionUse
from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.identity import Identity
from kzproxy.clock.system import Clock
from kzproxy.errors.kinds import ServiceUnavailable, Unauthenticated
from kzproxy.store.following import Following
from kzproxy.store.store import Conflict, Delete, Entry, Put, Store

_NOTED_EVERY = timedelta(seconds=30)
_TRIES = 8

Change = Callable[[SessionRecord], SessionRecord]


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
        self._index = SessionIndex()
        self._use = SessionUse()
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
        record = self._index.records.get(session_id)
        return None if record is None else self._use.applied(record)

    async def catch_up(self) -> None:
        """Return once every session is known that another worker kept before this was called.

        Raises:
            ServiceUnavailable: The store cannot be reached.
        """
        await self._following.catch_up()

    def all(self) -> tuple[SessionRecord, ...]:
        """Return every session, the one that began last first."""
        records = map(self._use.applied, self._index.records.values())
        return tuple(sorted(records, key=lambda one: one.began_at, reverse=True))

    def of_user(self, issuer: str, subject: str) -> tuple[SessionRecord, ...]:
        """Return the sessions of one person; see ``unended``."""
        return self._unended(self._index.by_user.get((issuer, subject), ()))

    def is_signed_in_otherwise(self, record: SessionRecord) -> bool:
        """Whether the person of a sign-in is signed in here by another one, too.

        Then nothing is taken back at their provider: many take all back there that a client has of
        a person, and not the one refresh token alone (RFC 7009 section 2.1 lets them).
        """
        sign_in = (record.id, record.began_at)
        return any((one.id, one.began_at) != sign_in for one in self.of_user(*record.user))

    def of_device(self, device_id: str) -> tuple[SessionRecord, ...]:
        """Return the sessions on one device; see ``unended``."""
        return self._unended(self._index.by_device.get(device_id, ()))

    def of_key(self, thumbprint: str) -> tuple[SessionRecord, ...]:
        """Return the sessions of one client, by its key; see ``unended``."""
        return self._unended(self._index.by_key.get(thumbprint, ()))

    def unended(self) -> tuple[SessionRecord, ...]:
        """Return all sessions that nobody has ended, and that have not lasted as long as one may.

        It is by these that sessions are ended and changed. One that does not hold just now, since
        its provider is silent or no use of it is known here, may hold again.
        """
        return self._unended(self._index.records)

    def holding(self) -> tuple[SessionRecord, ...]:
        """Return all sessions that hold just now: to be shown, and for nothing else."""
        return self._that_hold(self.unended())

    def holding_on(self, device_id: str) -> tuple[SessionRecord, ...]:
        """Return those on one device that hold just now; see ``holding``."""
        return self._that_hold(self.of_device(device_id))

    def _unended(self, ids: Iterable[str]) -> tuple[SessionRecord, ...]:
        now = self._clock.now()
        records = (self._use.applied(self._index.records[one]) for one in ids)
        unended = [one for one in records if one.ended_at is None and now < one.ends_at]
        return tuple(sorted(unended, key=lambda one: one.began_at, reverse=True))

    def _that_hold(self, records: Iterable[SessionRecord]) -> tuple[SessionRecord, ...]:
        now = self._clock.now()
        return tuple(one for one in records if not why_over(one, self.settings, now))

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
        record = self._index.records.get(session_id)
        if record is None:
            raise Unauthenticated(f"the session is not known; {SIGN_IN_AGAIN}")
        over = why_over(self._use.applied(record), self.settings, now)
        if over:
            raise Unauthenticated(over)
        return self._index.identities[session_id]

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
        self._use.note(session_id, now)

    def came_from(self, session_id: str, address: str) -> None:
        """Note that a session has moved: a request of it has come from another address.

        Its streams are judged again, here at once and at other workers soon.
        """
        record = self._index.records.get(session_id)
        if record is None or (record.seen_address or record.address) == address:
            return
        self._moves.note(session_id, address)
        self._index.keep(moved(record, address))
        self._tell(frozenset({session_id}))

    async def begin(self, record: SessionRecord, *others: Put | Delete) -> None:
        """Keep a new session; ``too_many`` says which others are to be ended then.

        Args:
            record: The session.
            others: What is written with it, all or nothing.

        Raises:
            Conflict: What one of ``others`` expected did not hold.
            ServiceUnavailable: It cannot be written.
        """
        await self._following.write(session_put(record, None), *others)

    def too_many(self, record: SessionRecord) -> tuple[SessionRecord, ...]:
        """Return what a person has beyond ``per_user``, used least recently, but for ``record``."""
        theirs = sorted(self.of_user(*record.user), key=lambda one: one.seen_at, reverse=True)
        older = [one for one in theirs if one.id != record.id]
        return tuple(older[max(self.settings.per_user - 1, 0) :])

    async def stored(self, session_id: str) -> StoredSession | None:
        """Return a session as the store has it now; None where it has ended or cannot be read.

        Raises:
            ServiceUnavailable: The store cannot be reached.
        """
        entry = await self._store.get(KIND, session_id)
        record = None if entry is None else self._read(entry)
        if entry is None or record is None or record.ended_at is not None:
            return None
        return StoredSession(record, entry.revision)

    async def update(self, session_id: str, change: Change, *others: Put | Delete) -> SessionRecord:
        """Change a session as it is in the store now; return it as it is then.

        Args:
            session_id: Of one that has not ended.
            change: Called again where somebody else changed it meanwhile; must have no effect.
            others: What is written with it, all or nothing.

        Raises:
            Unauthenticated: It is not there, has ended, or cannot be read.
            Conflict: What one of ``others`` expected did not hold.
            ServiceUnavailable: It cannot be written.
        """
        for _ in range(_TRIES):
            found = await self.stored(session_id)
            if found is None:
                raise Unauthenticated(ENDED)
            changed = change(found.record)
            if changed == found.record and not others:
                return changed
            try:
                await self._following.write(session_put(changed, found.revision), *others)
            except Conflict as conflict:
                if (conflict.kind, conflict.key) != (KIND, session_id):
                    raise
                continue
            return changed
        raise ServiceUnavailable("the session changes too often; try again", retry_after_seconds=1)

    async def end(
        self,
        session_id: str,
        cause: SessionEnd,
        message: str,
        *,
        by: str,
        still: Callable[[SessionRecord], bool] = lambda _: True,
    ) -> SessionRecord | None:
        """End a session; its streams end with it, here at once and at other workers soon.

        Args:
            session_id: Of any.
            cause: For the log.
            message: For its user; empty for the cause's own words.
            by: Who ends it.
            still: Whether it is to be ended as it is in the store now: another sign-in may stand
                behind it by then.

        Returns:
            It as it was while it held; None where it had ended before, was never there, or is to go
            on.

        Raises:
            ServiceUnavailable: It cannot be written.
        """
        before: list[SessionRecord] = []

        def ended(record: SessionRecord) -> SessionRecord:
            before[:] = [record]
            if not still(record):
                raise Unauthenticated(ENDED)
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
        await self._use.write(self.update)

    def sweep(self, now: datetime) -> None:
        """Tell of the sessions that have come to their end by themselves since the last time."""
        over, on = set(), []
        for record in self._index.expected_ends(now):
            until = holds_until(self._use.applied(record), self.settings)
            if until > now:
                on.append((record.id, until))
            else:
                over.add(record.id)
        for session_id, until in on:
            self._index.expect_end(session_id, until)
        if over:
            self._tell(frozenset(over))

    def replaced(self, entries: Sequence[Entry]) -> None:
        """See ``View``."""
        before = set(self._index.records)
        for session_id in before:
            self._index.drop(session_id)
        for entry in entries:
            self._keep(entry)
        self._tell(frozenset(before | set(self._index.records)))

    def changed(self, key: str, entry: Entry | None) -> None:
        """See ``View``."""
        before = self._index.identities.get(key)
        if entry is None:
            self._index.drop(key)
        else:
            self._keep(entry)
        record = self._index.records.get(key)
        holds = record is not None and record.ended_at is None
        if not (holds and before is not None and self._index.identities[key] is before):
            self._tell(frozenset({key}))

    def _keep(self, entry: Entry) -> None:
        read = self._read(entry)
        if read is None:
            self._index.drop(entry.key)
            return
        record = self._moves.applied(read)
        self._index.keep(record)
        self._index.expect_end(record.id, holds_until(record, self.settings))

    def _read(self, entry: Entry) -> SessionRecord | None:
        return self._following.unreadable.read(
            entry, decoded_session, follows="nobody can go on in this session"
        )

    def _tell(self, ids: frozenset[str]) -> None:
        for listener in self._listeners:
            listener(ids)
