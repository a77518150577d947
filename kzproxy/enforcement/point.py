"""The policy enforcement point: one request, from its head to its end.

``handle`` is the only place that answers a request, and ``_serve`` is the order of things: nothing
is sent upstream but what ``_decide`` returned, and that returns after the decision is in the log.
"""

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kzproxy.administrator.administrator import Administrator
from kzproxy.administrator.shadow import Shadow
from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.environment import Environment
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.attributes.request_info_memo import RequestInfoMemo
from kzproxy.audit.decision_log import DecisionLog
from kzproxy.audit.records import (
    as_judged,
    decision_record,
    own_record,
    recorded_request,
    with_shadow,
)
from kzproxy.audit.schema import DecisionRecord, Termination
from kzproxy.clock.system import Clock
from kzproxy.enforcement.accounts import Accounts
from kzproxy.enforcement.callers import Callers
from kzproxy.enforcement.case import Case, new_audit_id
from kzproxy.enforcement.forwarded_clients import ForwardedClients
from kzproxy.enforcement.forwarding import Forwarding, Permitted
from kzproxy.enforcement.further_facts import FurtherFacts, Judged, as_sent
from kzproxy.enforcement.limits import UnderWay
from kzproxy.enforcement.own_endpoints import OwnEndpoints
from kzproxy.enforcement.own_leave import OwnLeave
from kzproxy.enforcement.refusal import denial, ended_by, refuse
from kzproxy.enforcement.repeat import Repeat
from kzproxy.enforcement.standing import RememberedPermit, Standing
from kzproxy.enforcement.step_ups import StepUps
from kzproxy.enforcement.stopped import stopped
from kzproxy.enforcement.tunnels import check_upgrade
from kzproxy.enforcement.unrepeatable import may_have_been_done, unrepeatable
from kzproxy.errors.kinds import (
    DownstreamClosed,
    InternalError,
    ProxyError,
)
from kzproxy.http.messages import RequestHead
from kzproxy.http.refused_headers import ImpersonationRefused
from kzproxy.metrics.registry import Metrics
from kzproxy.policy.decision import Challenge, Decision, Deny, Permit
from kzproxy.transport.client_connection import Over
from kzproxy.transport.exchange import Exchange

if TYPE_CHECKING:  # each is for those who keep sessions, or name a database
    from kzproxy.administrator.kept_signals import KeptSignals
    from kzproxy.location.locations import Locations

log = logging.getLogger(__name__)

_BUG = "kzproxy failed; its operators can find why by the audit id"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnforcementPoint:
    """Everything a request needs, in the order it needs it."""

    clock: Clock
    callers: Callers
    under_way: UnderWay
    administrator: Administrator
    decisions: DecisionLog
    shadow: Shadow | None
    metrics: Metrics
    accounts: Accounts
    forwarding: Forwarding
    own_endpoints: OwnEndpoints
    facts: FurtherFacts
    # None where kzproxy keeps no sessions.
    step_ups: StepUps | None = None
    signals: "KeptSignals | None" = None
    # None where a connection says by itself whose it is.
    clients: ForwardedClients | None = None
    # None where nobody says where addresses are.
    locations: "Locations | None" = None
    request_infos: RequestInfoMemo = field(default_factory=RequestInfoMemo, repr=False)

    async def handle(self, exchange: Exchange) -> None:
        """Answer one request in every case."""
        case = self._open_case(exchange)
        self.metrics.in_flight.value += 1
        await self.answer(exchange, case, self._serve(exchange, case))

    def begin(self, exchange: Exchange, over: Over) -> Repeat | None:
        """Begin to answer a request without a task, where one like it was permitted before.

        What is done anew for each is what its permit does not rest on for good: that its caller's
        token and device hold, that the policy is the same, the count of what is under way.

        Args:
            exchange: Fresh.
            over: Called later, once.

        Returns:
            What is under way. None where it takes a task, ``handle``: nothing was done then.
        """
        try:
            return self._repeat(exchange, over)
        except ProxyError:
            return None  # ``handle`` meets it again, and says it.
        except Exception:
            log.exception("bug while a request began")
            return None

    def _repeat(self, exchange: Exchange, over: Over) -> Repeat | None:
        request = exchange.read_request()
        if not (exchange.reusable and exchange.body_received and self.decisions.writes_in_turn):
            return None
        case = self._open_case(exchange)
        case.request = request
        if self.clients is not None or self.locations is not None:
            self._find_out_whence(request, case)
        case.info = info = self.request_infos.parse(request.method, request.target)
        standing = self.callers.known(request, case)
        known = None if standing is None else standing.permitted(info, request.target)
        if (
            standing is None
            or known is None
            or not known.is_plain
            or not self.administrator.upholds(known.permit, case.received_at)
        ):
            return None
        repeat = Repeat(
            permitted=Permitted(
                exchange=exchange,
                request=request,
                permit=known.permit,
                standing=standing,
                case=case,
            ),
            known=known,
            counted=self.under_way.counted(standing.identity, info),
            point=self,
            over=over,
        )
        repeat.begin(self.decisions)
        return repeat

    async def answer(self, exchange: Exchange, case: Case, work: Coroutine[Any, Any, None]) -> None:
        """Do ``work``, and see to whatever becomes of it."""
        try:
            await work
        except DownstreamClosed as gone:
            exchange.reusable = False
            # Where it is there all the same and does not read, the kernel would hold megabytes for
            # it long after a close.
            exchange.stream.abort()
            case.termination, case.ended_because = Termination.CLIENT_GONE, str(gone)
        except ProxyError as error:
            await self._refuse(exchange, error, case)
        except Exception:
            log.exception("bug while serving %s", case.audit_id)
            await self._refuse(exchange, InternalError(_BUG), case)
        except asyncio.CancelledError:
            # kzproxy ends: nobody else ever cancels a request. It may do so again, and then waits
            # for nothing any more.
            await self._refuse_stopped(exchange, case)
            raise
        finally:
            self.metrics.in_flight.value -= 1
            exchange.let_go()
            self.accounts.close(exchange, case)

    def _open_case(self, exchange: Exchange) -> Case:
        return Case(
            audit_id=new_audit_id(),
            peer=exchange.peer,
            received_at=self.clock.now(),
            started=self.clock.monotonic(),
            bytes_before=(exchange.bytes_taken, exchange.stream.bytes_sent),
        )

    async def _serve(self, exchange: Exchange, case: Case) -> None:
        try:
            case.request = request = exchange.read_request()
        except ImpersonationRefused as refused:
            await self._find_out_who_asks(refused.head, case)
            raise
        self._find_out_whence(request, case)
        info = self.request_infos.parse(request.method, request.target)
        case.info = info = as_sent(info, request)
        check_upgrade(info, request)
        standing = self.callers.known(request, case) or await self.callers.unknown(request, case)
        with self.under_way.counted(standing.identity, info):
            if self.own_endpoints.owns(info):
                await self._serve_own(exchange, request, standing, info, case)
                return
            permit = await self._decide(exchange, request, standing, info, case)
            await self.forwarding.forward(
                Permitted(
                    exchange=exchange, request=request, permit=permit, standing=standing, case=case
                )
            )

    def _find_out_whence(self, request: RequestHead, case: Case) -> None:
        if self.clients is not None:
            case.peer = self.clients.peer(case.peer, request)
        if self.locations is not None:
            case.place = self.locations.place(case.peer.address)

    async def _find_out_who_asks(self, refused: RequestHead, case: Case) -> None:
        """Fill in for the log whose request is refused; it is found out anew each time."""
        case.request = refused
        self._find_out_whence(refused, case)
        case.info = self.request_infos.parse(refused.method, refused.target)
        await self.callers.name(refused, case)

    async def _serve_own(
        self,
        exchange: Exchange,
        request: RequestHead,
        standing: Standing,
        info: RequestInfo,
        case: Case,
    ) -> None:
        async def write_down(plan: str) -> None:
            arrival = case.arrival
            record = own_record(
                plan,
                arrival,
                decided_at=self.clock.now(),
                caller=standing.recorded,
                request=recorded_request(info, arrival),
            )
            await self._log(record, case, durable=not info.is_read)
            case.is_own = True

        async def decide() -> Permit:
            permit = await self._decide(exchange, request, standing, info, case)
            case.is_own = True
            return permit

        with OwnLeave(
            administrator=self.administrator,
            session_id=standing.session_id,
            write_down=write_down,
            decide=decide,
        ) as leave:
            await self.own_endpoints.serve(exchange, request, info, case, leave)

    async def _decide(
        self,
        exchange: Exchange,
        request: RequestHead,
        standing: Standing,
        info: RequestInfo,
        case: Case,
    ) -> Permit:
        """Return the permit, once it is in the log.

        What was judged before is not judged again where nothing that it depends on has changed:
        caller, device and address are the standing's; what is left is the policy, and the time, on
        which a permit depends only through its end.
        """
        known = standing.permitted(info, request.target)
        if known is not None and self.administrator.upholds(known.permit, case.received_at):
            await self._log_again(known, case)
            return known.permit
        decision, keepable = await self._judge(exchange, request, standing, info, case)
        case.shadow = self.shadow.other_answer(decision) if self.shadow is not None else None
        match decision:
            case Permit():
                record = self._record(decision, standing, case, "")
                await self._log_permit(record, decision, case)
                # What is not kept is asked of the shadow anew, each time, and so counted.
                if keepable and case.shadow is None:
                    self.callers.standings.keep_permit(
                        standing,
                        decision,
                        record,
                        request.target,
                        is_plain=self._is_plain(decision),
                    )
                return decision
            case Deny() | Challenge():
                raise await self._denial(decision, standing, case)

    async def _denial(
        self, decision: Deny | Challenge, standing: Standing, case: Case
    ) -> ProxyError:
        """Return what to refuse it with, once that is in the log.

        Whoever raises it must not hold it: see ``errors.anew``.
        """
        error = denial(decision)
        await self._log(self._record(decision, standing, case, error.message), case)
        self._want_step_up(decision, standing)
        return error

    def _is_plain(self, permit: Permit) -> bool:
        is_own = self.own_endpoints.owns(permit.attributes.request)
        return not is_own and self.forwarding.is_plain(permit)

    def _want_step_up(self, decision: Decision, standing: Standing) -> None:
        """Have the session's next renewal say what sign-in is wanted."""
        identity = standing.identity
        if self.step_ups is None or not identity.is_session:
            return
        if isinstance(decision, Challenge):
            self.step_ups.wanted(identity.sign_in, decision)

    async def _judge(
        self,
        exchange: Exchange,
        request: RequestHead,
        standing: Standing,
        info: RequestInfo,
        case: Case,
    ) -> Judged:
        environment = Environment(
            received_at=case.received_at,
            source_address=case.peer.address,
            user_agent=case.arrival.user_agent,
        )
        if self.locations is not None:
            environment = self.locations.located(environment, standing.identity)
        subject = standing.identity
        if self.signals is not None:
            subject = self.signals.judged_as(subject, standing.device)
        attributes = Attributes(
            subject=subject,
            device=standing.device,
            request=info,
            environment=environment,
        )
        return await self.facts.judged(attributes, exchange, request, standing.session_id)

    def _record(
        self, decision: Decision, standing: Standing, case: Case, message: str
    ) -> DecisionRecord:
        arrival = case.arrival
        record = decision_record(
            decision,
            arrival,
            decided_at=self.clock.now(),
            caller=as_judged(standing.recorded, decision.attributes.subject),
            request=recorded_request(decision.attributes.request, arrival),
            message=message,
        )
        return with_shadow(record, case.shadow)

    async def _log_again(self, known: RememberedPermit, case: Case) -> None:
        """Log a permit that holds for one more request; nothing was waited for since it came."""
        durable = not known.permit.attributes.request.is_read
        payload = known.record.written(case.audit_id, case.received_at, case.peer.port)
        await self.decisions.record_again(payload, durable=durable, stands=case.stands_permitted)
        self.accounts.count_permit_again(known)
        case.permit = known.permit

    async def _log_permit(self, record: DecisionRecord, permit: Permit, case: Case) -> None:
        await self._log(record, case, durable=not permit.attributes.request.is_read)
        case.permit = permit

    async def _log(self, record: DecisionRecord, case: Case, *, durable: bool = False) -> None:
        await self.decisions.record_decision(
            record, durable=durable, stands=lambda: case.stands(record)
        )
        self.accounts.count_decision(record)

    async def _refuse(self, exchange: Exchange, error: ProxyError, case: Case) -> None:
        if case.termination is Termination.NORMAL:  # Not where it was cut.
            is_sent_on = case.permit is not None and not case.is_own
            case.termination = ended_by(error, is_sent_on=is_sent_on)
        case.ended_because = error.message
        if error.detail:
            log.warning("%s: %s: %s", case.audit_id, error.message, error.detail)
        await self._record_and_refuse(exchange, error, case)

    async def _refuse_stopped(self, exchange: Exchange, case: Case) -> None:
        """Say that kzproxy stops, where nothing has been said yet."""
        error = stopped(case.info, is_begun=case.permit is not None or case.is_own)
        if case.ending is not None:
            is_unknown = case.info is not None and may_have_been_done(case.info)
            error = unrepeatable(case.ending.error) if is_unknown else case.ending.error
        case.termination, case.ended_because = Termination.DRAINED, error.message
        await self._record_and_refuse(exchange, error, case)

    async def _record_and_refuse(self, exchange: Exchange, error: ProxyError, case: Case) -> None:
        if not case.recorded:
            error = await self.accounts.refused(error, case)
        await refuse(exchange, error, case)
