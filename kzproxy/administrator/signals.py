"""Takes signals: writes down what each does, all of it or nothing, and has it done at once.

Whatever a signal does is one write of the store together with its id: once its sender is told that
it was taken, neither a crash nor a second delivery changes anything. Only where it is about very
many sessions most are changed before that, some at a time.
"""

from collections.abc import Callable, Sequence, Set
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from kzproxy.administrator.concern import Concern, who_has
from kzproxy.administrator.session import SessionRecord
from kzproxy.administrator.session_directory import SessionDirectory
from kzproxy.administrator.session_entry import session_put
from kzproxy.administrator.signal import Signal, SignalSource, SignalSubject
from kzproxy.administrator.signal_effects import (
    KEPT,
    Change,
    Taking,
    devices_of,
    digest,
    effects_of,
    is_lasting,
    is_of_device,
    order_of,
    parts_of,
)
from kzproxy.audit.decision_log import DecisionLog
from kzproxy.audit.records import signal_record
from kzproxy.audit.schema import SignalReceivedRecord, SignalSubjectFields
from kzproxy.authentication.settings import JwtIssuerSettings, PrefixedClaim
from kzproxy.clock.system import Clock
from kzproxy.errors.kinds import ServiceUnavailable
from kzproxy.store.following import Following
from kzproxy.store.store import Conflict, Delete, Put, Store

SEEN_KIND = "seen-signal"
ORDER_KIND = "signal-order"
_TRIES = 8
# Sessions that are changed at once. Each is changed by others every few seconds, as it is used and
# confirmed: of a thousand one always is, while all of them are read and written.
_AT_ONCE = 50

Issuers = Callable[[], Sequence[JwtIssuerSettings]]


class Outcome(StrEnum):
    """What became of a signal; a closed set for log and metrics."""

    APPLIED = "applied"
    REPEATED = "repeated"
    OUTDATED = "outdated"
    NOBODY = "nobody"
    NOT_ALLOWED = "not-allowed"


class _LastApplied(msgspec.Struct, frozen=True):
    at: datetime


class _Plan(msgspec.Struct, frozen=True, kw_only=True):
    outcome: Outcome
    words: str
    change: Change | None = None
    changed: "tuple[_Changed, ...]" = ()
    others: tuple[Put | Delete, ...] = ()

    @property
    def sessions(self) -> tuple[str, ...]:
        """The ids of those that it changes."""
        return tuple(one.after.id for one in self.changed)

    @property
    def told(self) -> tuple[Outcome, str, frozenset[str]]:
        """What the log says of it."""
        return self.outcome, self.words, frozenset(self.sessions)


class _Changed(NamedTuple):
    before: SessionRecord
    after: SessionRecord
    revision: int


class Signals:
    """The one place where signals take effect."""

    def __init__(
        self,
        *,
        store: Store,
        following: Following,
        sessions: SessionDirectory,
        issuers: Issuers,
        decisions: DecisionLog,
        clock: Clock,
    ) -> None:
        """Take over the collaborators; ``issuers`` are those of the configuration in force."""
        self._store = store
        self._following = following
        self._sessions = sessions
        self._issuers = issuers
        self._decisions = decisions
        self._clock = clock

    async def take(self, signal: Signal, source: SignalSource) -> Outcome:
        """Do what ``signal`` asks; once this returns it is done, here and for good.

        Streams at this worker have been judged again by then; others see it within a moment.

        Raises:
            ServiceUnavailable: It could not be written down; it was not taken, and is to be sent
                again.
        """
        recorded = None
        done: set[str] = set()
        for _ in range(_TRIES):
            await self._following.catch_up()
            plan = await self._plan(signal, source, done)
            if plan.told != recorded:
                await self._record(signal, source, plan)
                recorded = plan.told
            if not plan.others:
                return plan.outcome
            if len(plan.changed) > _AT_ONCE:
                done |= await self._change_most(plan)
            elif await self._written(plan.changed, *plan.others):
                return plan.outcome
        raise ServiceUnavailable("sessions change too often; send it again", retry_after_seconds=1)

    async def _change_most(self, plan: _Plan) -> set[str]:
        """Change the sessions of a plan but those that others change just now; return which.

        The plan is to be made anew, for those that are left.
        """
        done: set[str] = set()
        for place in range(0, len(plan.sessions), _AT_ONCE):
            some = plan.sessions[place : place + _AT_ONCE]
            if await self._written(await self._changed(some, plan.change)):
                done.update(some)
        return done

    async def _written(self, changed: "tuple[_Changed, ...]", *others: Put | Delete) -> bool:
        """Write what was planned; False where something of it has changed, and nothing was."""
        puts = (session_put(one.after, one.revision) for one in changed)
        try:
            await self._following.write(*puts, *others)
        except Conflict:
            return False  # a session was changed, or the same came to another worker
        for one in changed:
            if one.after.ended_at is not None:
                self._sessions.tell_of_end(one.before)
        return True

    async def _plan(self, signal: Signal, source: SignalSource, done: Set[str]) -> _Plan:
        """Return what is to be done, but with the sessions that are ``done``."""
        if signal.subject.tenant and not source.tenant_wide:
            return _Plan(
                outcome=Outcome.NOT_ALLOWED,
                words="nothing: it is about all users, which the configuration does not allow",
            )
        seen = digest(signal.source, signal.id)
        if await self._store.get(SEEN_KIND, seen) is not None:
            return _Plan(outcome=Outcome.REPEATED, words="nothing: it was taken before")
        now = self._clock.now()
        noted = Put(kind=SEEN_KIND, key=seen, value=b"{}", expires_at=now + KEPT, expected=None)
        concern = self._concern(signal, source)
        if concern is None:
            words = "nothing: it is about nobody that this source may speak of"
            return _Plan(outcome=Outcome.NOBODY, words=words, others=(noted,))
        concerned = self._concerned(concern)
        taking = Taking(
            signal=signal,
            source=source,
            concern=concern,
            issuers={one.url: one for one in self._issuers()},
            devices=devices_of(concerned),
            reverify=self._sessions.settings.reverify,
            now=now,
        )
        orders, taking = await self._left_to_do(taking)
        if not orders:
            words = "nothing: something later is known of the same"
            return _Plan(outcome=Outcome.OUTDATED, words=words, others=(noted,))
        effects = effects_of(taking)
        return _Plan(
            outcome=Outcome.APPLIED,
            words=effects.words,
            change=effects.change,
            changed=await self._changed(
                [one.id for one in concerned if one.id not in done], effects.change
            ),
            others=(noted, *orders, *effects.kept),
        )

    def _concern(self, signal: Signal, source: SignalSource) -> Concern | None:
        subject = signal.subject
        issuers = self._spoken_of(subject, source)
        if not issuers and not is_of_device(signal):
            return None  # without an issuer it would be about any issuer's users
        return Concern(
            issuers=issuers,
            subject=subject.subject,
            email=subject.email,
            usernames=self._usernames(subject.email, issuers),
            idp_session=subject.idp_session,
            device_id=subject.device_id,
            everybody=subject.tenant,
        )

    def _spoken_of(self, subject: SignalSubject, source: SignalSource) -> tuple[str, ...]:
        """Return whose users may be meant; a source's own name stands for all of its own."""
        named = subject.issuer.rstrip("/")
        if not named or named == source.issuer.rstrip("/"):
            return source.users_of
        return tuple(one for one in source.users_of if one.rstrip("/") == named)

    def _usernames(self, email: str, issuers: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
        """Return what those are called here whose name is made of their address alone."""
        if not email:
            return ()
        return tuple(
            (one.url, one.username.prefix + email)
            for one in self._issuers()
            if one.url in issuers
            and isinstance(one.username, PrefixedClaim)
            and one.username.claim == "email"
        )

    def _concerned(self, concern: Concern) -> tuple[SessionRecord, ...]:
        return tuple(one for one in self._candidates(concern) if concern.covers(who_has(one)))

    def _candidates(self, concern: Concern) -> Sequence[SessionRecord]:
        if concern.subject:
            found = [self._sessions.of_user(one, concern.subject) for one in concern.issuers]
            return [record for records in found for record in records]
        if concern.device_id:
            return self._sessions.of_device(concern.device_id)
        return self._sessions.unended()

    async def _left_to_do(self, taking: Taking) -> tuple[list[Put], Taking]:
        """Return what remembers this one as the last, and it without what came too late."""
        orders: list[Put] = []
        devices: set[str] = set()
        for part in parts_of(taking):
            if (order := await self._in_order(part)) is not None:
                orders.append(order)
                devices |= part.devices
        return orders, replace(taking, devices=frozenset(devices))

    async def _in_order(self, taking: Taking) -> Put | None:
        """Return what remembers this one as the last; None where a later one was applied."""
        key = order_of(taking)
        entry = await self._store.get(ORDER_KIND, key)
        at = taking.signal.observed_at
        if entry is not None and msgspec.json.decode(entry.value, type=_LastApplied).at > at:
            return None
        return Put(
            kind=ORDER_KIND,
            key=key,
            value=msgspec.json.encode(_LastApplied(at)),
            # What lasts until its source takes it back is not taken back by a word from before it,
            # however late that comes.
            expires_at=None if is_lasting(taking.signal) else taking.now + KEPT,
            expected=None if entry is None else entry.revision,
        )

    async def _changed(
        self, session_ids: Sequence[str], change: Change | None
    ) -> tuple[_Changed, ...]:
        if change is None:
            return ()
        found = []
        for session_id in session_ids:
            stored = await self._sessions.stored(session_id)
            if stored is None:
                continue
            after = change(stored.record)
            if after != stored.record:
                found.append(_Changed(stored.record, after, stored.revision))
        return tuple(found)

    async def _record(self, signal: Signal, source: SignalSource, plan: _Plan) -> None:
        subject = signal.subject
        record = SignalReceivedRecord(
            ts=self._clock.now(),
            stream=source.name,
            source=signal.source,
            id=signal.id,
            event=signal.kind.value,
            subject=SignalSubjectFields(
                issuer=subject.issuer,
                subject=subject.subject,
                email=subject.email,
                session=subject.idp_session,
                device=subject.device_id,
                everybody=subject.tenant,
            ),
            observed_at=signal.observed_at,
            outcome=plan.outcome.value,
            effect=plan.words,
            sessions=plan.sessions,
            message=signal.message,
            evidence=signal.evidence,
        )
        await self._decisions.record_signal(signal_record(record), durable=True)
