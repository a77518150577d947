"""The policy administrator: the engine in force, and every request that is under way."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime

from kzproxy.administrator.lease import EndCause, Ending, Lease, aged, lease_end
from kzproxy.administrator.trust import Trust
from kzproxy.attributes.attributes import Attributes
from kzproxy.clock.system import Clock
from kzproxy.errors.kinds import Forbidden, ServiceUnavailable, Unauthenticated
from kzproxy.policy.decision import Decision, Deny, Permit
from kzproxy.policy.engine import PolicyEngine

_SWEEP_SECONDS = 0.2


class Administrator:
    """Judges requests, and judges them again while they live."""

    def __init__(self, engine: PolicyEngine, trust: Trust, clock: Clock) -> None:
        self._engine = engine
        self._trust = trust
        self._clock = clock
        self._live: set[Lease] = set()
        # When the freshest credential seen of each session ends: a stream lives on when its client
        # shows a renewed token of the same sign-in on any other request (client-go does not
        # re-open streams when its token changes).
        self._credential_ends: dict[str, datetime] = {}

    @property
    def live(self) -> frozenset[Lease]:
        """The requests under way."""
        return frozenset(self._live)

    def install(self, engine: PolicyEngine, trust: Trust) -> None:
        """Judge by these from now on, and everything under way once more, at once.

        A request whose decision is being logged at this moment is seen to by ``open``.
        """
        if engine.revision == self._engine.revision and trust == self._trust:
            return
        self._engine, self._trust = engine, trust
        self._judge_all_again(self._live, self._clock.now())

    def decide(self, attributes: Attributes) -> Decision:
        """Judge now; pure but for the engine in force."""
        return self._engine.decide(attributes)

    @contextmanager
    def open(
        self, permit: Permit, session_id: str, cut: Callable[[Ending], None]
    ) -> Iterator[Lease]:
        """Hold a lease while the request is under way.

        Time may have passed since the decision, while it was being logged: what has ended, and what
        another policy judged, is judged again here, without waiting for anything in between.

        Raises:
            ProxyError: It is no longer permitted.
        """
        if not self._trust.covers(permit.attributes):
            raise ServiceUnavailable(
                "kzproxy's configuration changed while this request was being judged; nothing was"
                " done, try again",
                retry_after_seconds=1,
            )
        self._renew_session(session_id, permit.attributes.subject.expires_at)
        lease = Lease(permit, session_id, self._until(permit, session_id), cut)
        now = self._clock.now()
        if lease.until <= now or permit.revision != self._engine.revision:
            ending = self._judge_again(lease, now)
            if ending is not None:
                raise ending.error
        self._live.add(lease)
        try:
            yield lease
        finally:
            self._live.discard(lease)

    async def run(self) -> None:
        """Judge again what is due, until cancelled."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            self.sweep()

    def sweep(self) -> None:
        """Judge again every lease that has ended, and cut what is no longer permitted."""
        now = self._clock.now()
        self._judge_all_again([lease for lease in self._live if lease.until <= now], now)
        self._forget_sessions(now)

    def _judge_all_again(self, leases: Iterable[Lease], now: datetime) -> None:
        for lease in list(leases):
            ending = self._judge_again(lease, now)
            if ending is not None:
                self._live.discard(lease)
                lease.end(ending)

    def _judge_again(self, lease: Lease, now: datetime) -> Ending | None:
        """Return why ``lease`` must end, or renew it."""
        if self._credential_ends[lease.session_id] <= now:
            ended = "the sign-in behind this request has ended; sign in again with `kzproxy login`"
            return Ending(cause=EndCause.CREDENTIAL, error=Unauthenticated(ended))
        try:
            facts = self._trust.restate(aged(lease.permit.attributes, now))
        except Unauthenticated as error:
            return Ending(cause=EndCause.CREDENTIAL, error=error)
        match self.decide(facts):
            case Permit() as permit:
                lease.permit = permit
                lease.until = self._until(permit, lease.session_id)
                return None
            case Deny() as deny:
                hint = f": {deny.hint}" if deny.hint else ""
                ended = f"access ended by kzproxy, policy no longer permits it{hint}"
                return Ending(cause=EndCause.POLICY, error=Forbidden(ended))

    def _until(self, permit: Permit, session_id: str) -> datetime:
        return lease_end(permit, self._credential_ends[session_id])

    def _renew_session(self, session_id: str, credential_end: datetime) -> None:
        known = self._credential_ends.get(session_id)
        if known is None or credential_end > known:
            self._credential_ends[session_id] = credential_end

    def _forget_sessions(self, now: datetime) -> None:
        """Drop sessions whose credentials have ended; nothing under way is left of them."""
        held = {lease.session_id for lease in self._live}
        for session in [s for s, end in self._credential_ends.items() if end <= now]:
            if session not in held:
                del self._credential_ends[session]
