"""Go back to the identity providers for every session, again and again.

On one worker only, the one that holds the store's lease for it: a refresh token is good once, and
two that redeem the same one end the sign-in. Never as a stampede: each session has its own time
within the interval, questions begin at no more than twice the rate that is needed over time, and
few are under way at once with one provider, however many sessions are due.
"""

import asyncio
import logging
import math
import zlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial

import msgspec

from kzproxy.administrator.due_sessions import DueSessions, wanted_again
from kzproxy.administrator.provider_check import Outcome, ProviderCheck, Providers
from kzproxy.administrator.provider_pace import ProviderPace
from kzproxy.administrator.session import SessionEnd, SessionRecord
from kzproxy.administrator.session_directory import SessionDirectory
from kzproxy.audit.events import EventLog
from kzproxy.authentication.provider_errors import ProviderSilence
from kzproxy.clock.settled import SettledClock
from kzproxy.clock.system import Clock
from kzproxy.errors.kinds import ServiceUnavailable, Unauthenticated
from kzproxy.metrics.registry import Metrics
from kzproxy.store.following import Following
from kzproxy.store.held_lease import DEFAULT_LEASE_TIMES, HeldLease
from kzproxy.store.sealing import Sealer
from kzproxy.store.store import Store

log = logging.getLogger(__name__)

LEASE = "reverification"


class ReverificationLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How providers are asked.

    Attributes:
        at_once: Questions under way with one provider.
        least_per_second: Questions that may begin each second, however few sessions there are.
        turn: Between two looks at what is due.
        retry: After a question that failed, at most.
        idle_leeway: Other workers write down which sessions were used only now and then.
    """

    at_once: int = 16
    least_per_second: float = 5.0
    turn: timedelta = timedelta(seconds=0.1)
    retry: timedelta = timedelta(seconds=15)
    idle_leeway: timedelta = timedelta(seconds=90)


DEFAULT_LIMITS = ReverificationLimits()


class Shared(msgspec.Struct, frozen=True, kw_only=True):
    """What reverification works with."""

    store: Store
    following: Following
    directory: SessionDirectory
    sealer: Sealer
    providers: Providers
    events: EventLog
    clock: Clock
    metrics: Metrics


class Reverification:
    """Asks about each session in time, while it holds the lease."""

    def __init__(
        self, shared: Shared, holder: str, limits: ReverificationLimits = DEFAULT_LIMITS
    ) -> None:
        """Follow the store; to be made before the following starts.

        Args:
            shared: What all workers have alike.
            holder: This worker's name, which no other has.
            limits: How providers are asked.
        """
        self._with = shared
        self._limits = limits
        self._due = DueSessions(shared.directory, shared.clock)
        self._check = ProviderCheck(
            shared.directory, shared.sealer, shared.providers, shared.events, shared.clock
        )
        self._paces: dict[str, ProviderPace] = {}
        self._asked_about: set[str] = set()
        # Whoever asked before may just have kept a new refresh token; ask with no older one.
        self._is_behind = False
        self._begins_until = math.inf
        self._allowance = 1.0
        self._allowed_at = shared.clock.monotonic()
        self._lease = HeldLease(shared.store, LEASE, holder, shared.clock)
        self._settled = SettledClock(shared.clock)
        shared.following.follow(self._due)
        shared.metrics.reverification_lag.set_function(self.lag_seconds)
        for outcome in Outcome:
            shared.metrics.reverifications.labels(outcome.value)

    async def verify_now(self, session_ids: Iterable[str]) -> None:
        """Have the provider asked about these sessions soon, by whichever worker asks.

        Raises:
            ServiceUnavailable: It cannot be written.
        """
        interval = self._with.directory.settings.reverify
        change = partial(wanted_again, now=self._with.clock.now(), interval=interval)
        for session_id in session_ids:
            try:
                await self._with.directory.update(session_id, change)
            except Unauthenticated:
                continue  # it has ended, which is as good

    def providers_changed(self) -> None:
        """Ask soon about the sessions whose identity was mapped by settings no longer in force.

        Until then they are nobody's, for nobody stands behind what they say.
        """
        now = self._with.clock.now()
        for record in self._with.directory.all():
            provider = self._with.providers(record.issuer)
            if provider is not None and record.vouched_by != provider.settings.issuer.revision:
                self._due.hurry(record.id, now)

    def end_within(self, limit: timedelta) -> None:
        """Begin no question that could be under way after ``limit``; other workers are to ask.

        Until then this one asks on: there may be no other, and streams live on by the answers.
        """
        begins_for = max(0.0, (limit - DEFAULT_LEASE_TIMES.left).total_seconds())
        self._begins_until = self._with.clock.monotonic() + begins_for

    def problem(self) -> str | None:
        """Say which providers give this worker no usable answer; None where all do."""
        silent = sorted(issuer for issuer, pace in self._paces.items() if pace.is_silent)
        return f"no usable answer from {', '.join(silent)}" if silent else None

    def lag_seconds(self) -> float:
        """Return by how much the session that has waited longest is over its time; 0 elsewhere."""
        if not self._lease.is_held():
            return 0.0
        waiting = [one.verified_at for one in self._with.directory.all() if one.ended_at is None]
        if not waiting:
            return 0.0
        due = min(waiting) + self._with.directory.settings.reverify
        return max(0.0, (self._with.clock.now() - due).total_seconds())

    async def run(self) -> None:
        """Ask until cancelled; questions under way are then heard to their end."""
        stopped: asyncio.CancelledError | None = None
        async with asyncio.TaskGroup() as asking:
            try:
                while True:
                    await self._turn(asking)
                    await asyncio.sleep(self._limits.turn.total_seconds())
            except asyncio.CancelledError as cancelled:
                # An answer may hold a new refresh token, and the old one is spent already: to drop
                # it would end somebody's sign-in. Each answer has a time-out, so this ends soon.
                stopped = cancelled
        await self._lease.let_go()
        if stopped is not None:
            raise stopped

    async def turn(self) -> None:
        """Look once at what is due, and return when all that was begun has ended."""
        async with asyncio.TaskGroup() as asking:
            await self._turn(asking)

    async def _turn(self, asking: asyncio.TaskGroup) -> None:
        """Begin what may begin now; never raises for what the store does."""
        try:
            if self._with.clock.monotonic() >= self._begins_until:
                await self._give_over()
                return
            self._is_behind = await self._lease.keep() or self._is_behind
            if self._is_behind:
                await self._with.following.catch_up()
                self._is_behind = False
                log.info("this worker confirms sessions at the identity providers")
            await self._check.write_unwritten()
        except ServiceUnavailable as error:
            log.warning("sessions cannot be confirmed: %s", error.detail or error.message)
        if self._is_behind or not self._lease.is_held():
            return
        for record in self._due.take(
            self._may_begin(),
            self._with.clock.now(),
            lambda issuer: self._pace_of(issuer).may_begin(),
            lambda one: self._pace_of(one.issuer).rank(one.id),
        ):
            pace = self._pace_of(record.issuer)
            if record.id in self._asked_about or not pace.may_begin():
                self._due.schedule(record.id)
                continue
            self._allowance -= 1
            pace.begun()
            self._asked_about.add(record.id)
            asking.create_task(self._ask(record, pace))

    async def _give_over(self) -> None:
        """Write what is not written, and let another ask once nothing is under way here."""
        await self._check.write_unwritten()
        if not self._asked_about:
            await self._lease.let_go()

    async def _ask(self, record: SessionRecord, pace: ProviderPace) -> None:
        """Ask about one session; sees to its own errors."""
        outcome, retry = Outcome.FAILED, self._retry
        try:
            outcome = await self._outcome(record)
        except ProviderSilence as silence:
            outcome = Outcome.SILENT
            retry = self._tell_silence(record, pace, silence)
        except ServiceUnavailable as error:
            log.warning("session %s could not be ended: %s", record.id, error.detail)
        except Exception:
            log.exception("bug while session %s was to be confirmed", record.id)
        finally:
            self._asked_about.discard(record.id)
            self._tell_answer(record, pace, outcome)
            self._with.metrics.reverifications.labels(outcome.value).inc()
            failed = outcome in (Outcome.SILENT, Outcome.FAILED)
            self._due.schedule(record.id, self._retry_at(record, retry) if failed else None)

    async def _outcome(self, record: SessionRecord) -> Outcome:
        cause = self._over(record)
        if cause is None:
            return await self._check.check(record)
        if self._settled.was_just_set():
            return Outcome.FAILED  # refused for now: an end is for good, and the clock may be wrong
        # Other workers may know of another sign-in by now, or of a use.
        await self._with.directory.end(
            record.id,
            cause,
            _WORDS[cause],
            by="kzproxy",
            still=lambda present: self._over(present) is cause,
        )
        return Outcome.OVER

    def _pace_of(self, issuer: str) -> ProviderPace:
        pace = self._paces.get(issuer)
        if pace is None:
            pace = self._paces[issuer] = ProviderPace(self._limits.at_once, self._with.clock)
        return pace

    def _tell_silence(
        self, record: SessionRecord, pace: ProviderPace, silence: ProviderSilence
    ) -> timedelta:
        """Tell of it, and return how long the next question about this session is to wait."""
        if pace.silent_about(record.id) and not silence.for_all:
            pace.ended()
            log.warning(
                "%s gives no usable answer about session %s of %s, and does about others: %s",
                *(record.issuer, record.id, record.username, silence),
            )
            return 4 * self._retry  # it may fail so for hours
        # Thousands of sessions may wait for one provider, and one line says it.
        if pace.silent(silence.retry_after):
            settings = self._with.directory.settings
            log.warning(
                "%s gives no usable answer; its sessions are refused from %s after each was last"
                " confirmed: %s",
                record.issuer,
                settings.reverify + settings.grace,
                silence,
            )
        return self._retry

    def _tell_answer(self, record: SessionRecord, pace: ProviderPace, outcome: Outcome) -> None:
        match outcome:
            case Outcome.CONFIRMED | Outcome.REFUSED:
                if pace.answered(record.id):
                    log.info("%s answers again", record.issuer)
            case Outcome.FAILED | Outcome.OVER:
                pace.ended()
            case Outcome.SILENT:
                pass  # told already

    def _over(self, record: SessionRecord) -> SessionEnd | None:
        """Return why a session has ended by itself, so that nobody need be asked about it."""
        now, idle = self._with.clock.now(), self._with.directory.settings.idle
        if now >= record.ends_at:
            return SessionEnd.OVER
        if now >= record.seen_at + idle + self._limits.idle_leeway:
            return SessionEnd.IDLE
        return None

    @property
    def _retry(self) -> timedelta:
        return min(self._limits.retry, self._with.directory.settings.reverify / 4)

    def _retry_at(self, record: SessionRecord, retry: timedelta) -> datetime:
        # After half of the time at least, and not all at the same time.
        share = 0.5 + zlib.crc32(record.id.encode()) % 1000 / 2000
        return self._with.clock.now() + retry * share

    def _may_begin(self) -> int:
        """Return how many questions may begin, by the time since this was last asked."""
        interval = self._with.directory.settings.reverify.total_seconds()
        per_second = max(self._limits.least_per_second, 2 * len(self._due) / interval)
        now = self._with.clock.monotonic()
        self._allowance += (now - self._allowed_at) * per_second
        self._allowance = min(self._allowance, max(1.0, per_second))
        self._allowed_at = now
        return int(self._allowance)


_WORDS = {
    SessionEnd.OVER: "it has lasted as long as a session may",
    SessionEnd.IDLE: "it was not used for too long",
}
