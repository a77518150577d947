"""The policy administrator: the engine in force, and every request that is under way."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import datetime

from msgspec.structs import replace

from kzproxy.administrator.due_leases import DueLeases
from kzproxy.administrator.lease import (
    Caller,
    EndCause,
    Ended,
    Ending,
    Lease,
    aged,
    as_impersonated,
    caller_of,
    lease_end,
)
from kzproxy.administrator.live import LiveLeases
from kzproxy.administrator.restating import Restates
from kzproxy.administrator.step_up_required import step_up_required
from kzproxy.administrator.trust import Trust
from kzproxy.attributes.api_object import Labels
from kzproxy.attributes.attributes import Attributes
from kzproxy.clock.latest import LatestTime
from kzproxy.clock.system import Clock
from kzproxy.errors.anew import anew
from kzproxy.errors.kinds import (
    Expired,
    Forbidden,
    InternalError,
    ProxyError,
    ServiceUnavailable,
    Unauthenticated,
)
from kzproxy.policy.decision import Challenge, Decision, Deny, Dependency, Permit
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.outline import Outline
from kzproxy.upstream.namespaces import NamespaceLabels

log = logging.getLogger(__name__)

_SWEEP_SECONDS = 0.2


class Administrator:
    """Judges requests, and judges them again while they live."""

    def __init__(self, engine: PolicyEngine, trust: Trust, clock: Clock) -> None:
        self._engine = engine
        self._trust = trust
        self._namespaces: NamespaceLabels | None = None
        self._clock = clock
        self._live = LiveLeases()
        self._restating: list[Restates] = []
        self._due = DueLeases()
        self._latest = LatestTime(clock.now())
        # When the freshest credential seen of each caller ends: a stream lives on when its client
        # shows a renewed token of the same sign-in on any other request (client-go does not
        # re-open streams when its token changes). One that says something else of the caller, such
        # as fewer groups, renews nothing: what runs at kube-apiserver runs as the old one said.
        self._credential_ends: dict[Caller, datetime] = {}

    @property
    def live(self) -> frozenset[Lease]:
        """The requests under way."""
        return frozenset(self._live)

    def streams_of(self, session_id: str) -> int:
        """Return how many requests of a session are under way here."""
        return len(self._live.of_session(session_id))

    def consult(self, restates: Restates) -> None:
        """Have facts brought up to date by this one too, after those named before."""
        self._restating.append(restates)

    def install(
        self, engine: PolicyEngine, trust: Trust, namespaces: NamespaceLabels | None = None
    ) -> None:
        """Judge by these from now on, and everything under way once more, at once.

        What rests on a rule that is gone or reads otherwise comes first: of ten thousand streams
        the others take a second. A request whose decision is being logged at this moment is seen to
        by ``open``.

        Args:
            engine: The policy.
            trust: Whose word counts.
            namespaces: Their labels; None where no rule looks at them.
        """
        same = engine.revision == self._engine.revision and trust == self._trust
        if same and namespaces is self._namespaces:
            return
        altered = engine.altered_since(self._engine)
        self._engine, self._trust, self._namespaces = engine, trust, namespaces
        self._due.add_first([one for one in self._live if one.permit.rule in altered])
        self.judge_all_again()

    def judge_all_again(self) -> None:
        """Judge again everything under way: a few at once, the rest as soon as others let it."""
        self._judge_soon(self._live)

    def judge_sessions_again(self, session_ids: frozenset[str]) -> None:
        """Judge again at once what is under way in these sessions."""
        self._judge_each([lease for one in session_ids for lease in self._live.of_session(one)])

    def judge_devices_again(self, device_ids: frozenset[str]) -> None:
        """Judge again at once what is under way on these devices."""
        self._judge_each([lease for one in device_ids for lease in self._live.of_device(one)])

    def judge_keys_again(self, thumbprints: frozenset[str]) -> None:
        """Judge again at once what is under way with certificates of these keys.

        It may have begun before it was known here whose they are.
        """
        self._judge_each([lease for one in thumbprints for lease in self._live.of_key(one)])

    def judge_users_again(self, users: frozenset[tuple[str, str]]) -> None:
        """Judge again at once what is under way of these people, by issuer and subject."""
        self._judge_each([lease for one in users for lease in self._live.of_user(*one)])

    def judge_again_where(self, concerned: Callable[[Attributes], bool]) -> None:
        """Judge again what is under way and ``concerned`` says yes of, by what it was permitted."""
        self._judge_soon(one for one in self._live if concerned(one.permit.attributes))

    def judge_namespaces_again(self, names: frozenset[str]) -> None:
        """Judge again at once what is under way and rests on labels of one of these namespaces."""
        self._judge_soon(lease for lease in self._live if lease.rests_on_labels_of(names))

    def informed(self, attributes: Attributes) -> Attributes:
        """Return the same with the labels of its namespace as they are known now."""
        namespace = attributes.request.namespace
        known = self._namespaces.of(namespace) if self._namespaces and namespace else None
        if known is attributes.namespace_labels:
            return attributes
        return replace(attributes, namespace_labels=known)

    def decide(self, attributes: Attributes) -> Decision:
        """Judge now; pure but for the engine in force."""
        return self._engine.decide(attributes)

    def shows(self, permit: Permit, namespace: str, labels: Labels, now: datetime) -> bool:
        """Whether a list of namespaces that is permitted so may show this one.

        Args:
            permit: Of the list.
            namespace: Its name.
            labels: As the list has them.
            now: Aware, UTC.
        """
        facts = aged(permit.attributes, now)
        asked = replace(facts.request, namespace=namespace, name=namespace)
        one = replace(facts, request=asked, namespace_labels=labels)
        return isinstance(self._engine.decide_afresh(one), Permit)

    def decide_without_object(self, attributes: Attributes) -> tuple[Decision, bool]:
        """Judge what could be done; see ``PolicyEngine``."""
        return self._engine.decide_without_object(attributes)

    @property
    def outline(self) -> Outline:
        """What the rules of the engine in force name."""
        return self._engine.outline

    def needs_object(self, attributes: Attributes) -> bool:
        """Whether ``decide`` would need to know the object too; see ``PolicyEngine``."""
        return self._engine.needs_object(attributes)

    def upholds(self, permit: Permit, now: datetime) -> bool:
        """Whether ``decide`` would permit the same again at ``now``, for the same attributes."""
        return permit.revision == self._engine.revision and permit.holds_at(now)

    def open(self, permit: Permit, session_id: str, cut: Callable[[Ending], None]) -> Lease:
        """Do as ``open_for`` does, for the caller in a session."""
        return self.open_for(caller_of(permit.attributes.subject, session_id), permit, cut)

    def open_for(self, caller: Caller, permit: Permit, cut: Callable[[Ending], None]) -> Lease:
        """Return a lease for a request, which is under way until the lease's block ends.

        Time may have passed since the decision, while it was being logged: what has ended, what
        another policy judged and what rests on labels that are others now is judged again here,
        without waiting for anything in between.

        Args:
            caller: From ``caller_of``, of the permit's subject.
            permit: What it rests on.
            cut: Ends it.

        Raises:
            ProxyError: It is no longer permitted.
        """
        if not self._trust.covers(permit.attributes):
            raise ServiceUnavailable(
                "kzproxy's configuration changed while this request was being judged; nothing was"
                " done, try again",
                retry_after_seconds=1,
            )
        credential_end = permit.attributes.subject.expires_at
        latest = self._credential_ends.get(caller)
        if latest is None or credential_end > latest:
            self._credential_ends[caller] = latest = credential_end
        now = self._clock.now()  # The permit may be that of an earlier request.
        lease = Lease(permit, caller, now, cut, self._live, self._clock.monotonic)
        lease.rest_on(permit, lease_end(permit, latest), now)
        is_old = lease.until <= now or permit.revision != self._engine.revision
        if (
            is_old
            or (self._namespaces is not None and self._rests_on_other_labels(permit))
            or (self._restating and self._is_restated(permit, now))
        ):
            ending = self._judge_again(lease, now)
            if ending is not None:
                raise anew(ending.error)
        self._live.add(lease)
        return lease

    def _rests_on_other_labels(self, permit: Permit) -> bool:
        """Whether labels that the permit rests on are no longer those that it was judged by.

        Those of a namespace that has been looked up, before the watch brought it, still are.
        """
        facts, followed = permit.attributes, self._namespaces
        if Dependency.NAMESPACE not in permit.depends_on or followed is None:
            return False
        known = followed.of(facts.request.namespace)
        if known is None:
            return followed.is_lost and facts.namespace_labels is not None
        return known != facts.namespace_labels

    def _is_restated(self, permit: Permit, now: datetime) -> bool:
        """Whether facts of the permit are others by now.

        Raises:
            ProxyError: Its caller is nobody any more.
        """
        facts = permit.attributes
        return any(one.restate(facts, now) is not facts for one in self._restating)

    async def run(self) -> None:
        """Judge again what is due, until cancelled."""
        while True:
            await self._due.wait(_SWEEP_SECONDS)
            if self._due:
                self._judge_each(self._due.next_few())
                await asyncio.sleep(0)  # somebody else's turn
            else:
                self.sweep()

    def sweep(self) -> None:
        """Judge again every lease that has ended, and cut what is no longer permitted."""
        now = self._clock.now()
        # Where the clock was set back, each ends by a time that was another's.
        if is_set_back := self._latest.is_set_back(now):
            self._latest.begin_anew(now)
        self._judge_soon(lease for lease in self._live if is_set_back or lease.until <= now)
        self._forget_callers(now)

    def _judge_soon(self, leases: Iterable[Lease]) -> None:
        self._due.add(leases)
        self._judge_each(self._due.next_few())

    def _judge_each(self, leases: Iterable[Lease]) -> None:
        now = self._clock.now()
        for lease in leases:
            if lease not in self._live:
                continue
            ending = self._verdict(lease, now)
            if ending is not None:
                self._live.discard(lease)
                _end(lease, ending)

    def _verdict(self, lease: Lease, now: datetime) -> Ending | None:
        """Do as ``_judge_again`` does; what cannot be judged ends."""
        try:
            return self._judge_again(lease, now)
        except Exception:
            log.exception("bug while a request under way was judged again; it is ended")
            error = InternalError("kzproxy failed to judge this request again, and ended it")
            return Ending(cause=EndCause.POLICY, error=error)

    def _judge_again(self, lease: Lease, now: datetime) -> Ending | None:
        """Return why ``lease`` must end, or renew it."""
        try:
            facts = self._present_facts(lease, now)
        except Ended as over:
            return over.ending
        match self.decide(facts):
            case Permit() as permit if _shows_others(lease.permit, permit):
                message = "the policy has changed; list the namespaces again"
                return Ending(cause=EndCause.POLICY, error=Expired(message))
            case Permit() as permit:
                until = lease_end(permit, self._credential_ends[lease.caller])
                lease.rest_on(permit, until, now)
                return None
            case Deny() as deny:
                hint = f": {deny.hint}" if deny.hint else ""
                ended = f"access ended by kzproxy, policy no longer permits it{hint}"
                return Ending(cause=EndCause.POLICY, error=Forbidden(ended), rule=deny.rule)
            case Challenge() as challenge:
                ended = f"access ended by kzproxy until you sign in again: {challenge.hint}"
                error = step_up_required(challenge, ended)
                return Ending(cause=EndCause.POLICY, error=error, rule=challenge.rule)

    def _present_facts(self, lease: Lease, now: datetime) -> Attributes:
        """Return the facts that ``lease`` is to be judged by now.

        Raises:
            Ended: It must end whatever policy says.
        """
        reached = lease.bounds.ending(now)
        if reached is not None:
            raise Ended(reached)
        if self._credential_ends[lease.caller] <= now:
            ended = "the sign-in behind this request has ended; sign in again with `kzproxy login`"
            raise Ended(Ending(cause=EndCause.CREDENTIAL, error=Unauthenticated(ended)))
        before, cause = lease.permit.attributes, EndCause.CREDENTIAL
        try:
            facts = self._trust.restate(aged(before, now))
            cause = EndCause.SESSION
            facts = self._restated(facts, now)
            cause = EndCause.IDENTITY
            subject = as_impersonated(before.subject, facts.subject)
        except ProxyError as error:
            if cause is EndCause.SESSION and isinstance(error, Forbidden):
                cause = EndCause.DEVICE
            raise Ended(Ending(cause=cause, error=anew(error))) from error
        if subject is not facts.subject:
            facts = replace(facts, subject=subject)
        return self.informed(facts)

    def _restated(self, attributes: Attributes, now: datetime) -> Attributes:
        for one in self._restating:
            attributes = one.restate(attributes, now)
        return attributes

    def _forget_callers(self, now: datetime) -> None:
        """Drop callers whose credentials have ended; nothing under way is left of them."""
        ended = {caller for caller, end in self._credential_ends.items() if end <= now}
        if ended:
            ended -= {lease.caller for lease in self._live}
        for caller in ended:
            del self._credential_ends[caller]


def _shows_others(before: Permit, after: Permit) -> bool:
    """Whether a list of namespaces may now show others than it did."""
    if not before.by_namespace and not after.by_namespace:
        return False
    return before.revision != after.revision


def _end(lease: Lease, ending: Ending) -> None:
    try:
        lease.end(ending)
    except Exception:
        # One that resists must not keep the others alive.
        log.exception("bug while a request under way was ended")
