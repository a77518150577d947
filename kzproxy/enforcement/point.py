"""The policy enforcement point: one request, from its head to its end.

``handle`` is the only place that answers a request, and ``_serve`` is the order of things: nothing
is sent upstream but what ``_decide`` returned, and that returns after the decision is in the log.
"""

import asyncio
import logging
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from kzproxy.administrator.administrator import Administrator
from kzproxy.administrator.kept_signals import KeptSignals
from kzproxy.administrator.lease import caller_of
from kzproxy.administrator.restating import StatesDevice
from kzproxy.administrator.session_directory import SessionDirectory
from kzproxy.administrator.sessions import session_id
from kzproxy.administrator.shadow import Shadow
from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import NO_DEVICE, DevicePosture
from kzproxy.attributes.environment import Environment
from kzproxy.attributes.identity import Identity
from kzproxy.attributes.request_info import RequestInfo, StreamKind
from kzproxy.attributes.request_info_memo import RequestInfoMemo
from kzproxy.audit.decision_log import DecisionLog
from kzproxy.audit.records import (
    abandoned_record,
    decision_record,
    impersonated_identity,
    outcome_record,
    own_record,
    recorded_caller,
    recorded_request,
    refusal_record,
    with_shadow,
)
from kzproxy.audit.schema import Cause, DecisionRecord, Impersonated, Termination, Verdict
from kzproxy.authentication.bearer import bearer_token
from kzproxy.authentication.oidc import Authenticates
from kzproxy.authentication.token_memory import token_digest
from kzproxy.clock.system import Clock
from kzproxy.devices.device_certificate import DeviceAuthority
from kzproxy.enforcement.case import Case, new_audit_id
from kzproxy.enforcement.forwarded_clients import ForwardedClients
from kzproxy.enforcement.forwarding import Forwarding, ForwardingSettings, Permitted
from kzproxy.enforcement.further_facts import FurtherFacts, Judged, as_sent
from kzproxy.enforcement.limits import UnderWay
from kzproxy.enforcement.own_endpoints import OwnEndpoints
from kzproxy.enforcement.own_leave import OwnLeave
from kzproxy.enforcement.refusal import denial, refuse
from kzproxy.enforcement.standing import RememberedPermit, Standing, Standings
from kzproxy.enforcement.step_ups import StepUps
from kzproxy.enforcement.stopped import stopped
from kzproxy.errors.kinds import (
    DownstreamClosed,
    Forbidden,
    InternalError,
    ProxyError,
    Unauthenticated,
    UpstreamTimeout,
)
from kzproxy.http.messages import Headers, RequestHead
from kzproxy.http.refused_headers import ImpersonationRefused
from kzproxy.metrics.registry import Metrics
from kzproxy.policy.decision import Challenge, Decision, Deny, Permit
from kzproxy.transport.exchange import Exchange
from kzproxy.transport.peer import Peer
from kzproxy.upstream.api_server import ApiServer
from kzproxy.upstream.impersonation import (
    DEVICE_EXTRA,
    SESSION_EXTRA,
    Impersonation,
    identity_block,
)

if TYPE_CHECKING:  # the reader of databases is for those who name one
    from kzproxy.location.locations import Locations

log = logging.getLogger(__name__)

_BUG = "kzproxy failed; its operators can find why by the audit id"
_BLOCKED = "blocked"  # the word of the registry for a device that is nobody's any more
_READS = frozenset({"get", "list", "watch", "head"})


@dataclass(frozen=True, slots=True, kw_only=True)
class EnforcementPoint:
    """Everything a request needs, in the order it needs it."""

    clock: Clock
    authenticator: Authenticates
    devices: DeviceAuthority | None
    under_way: UnderWay
    administrator: Administrator
    decisions: DecisionLog
    shadow: Shadow | None
    api_server: ApiServer
    metrics: Metrics
    settings: ForwardingSettings
    forwarding: Forwarding
    own_endpoints: OwnEndpoints
    facts: FurtherFacts
    sessions: SessionDirectory | None = None
    # None where kzproxy keeps no sessions.
    step_ups: StepUps | None = None
    follows_sessions: bool = False
    device_facts: tuple[StatesDevice, ...] = ()
    signals: KeptSignals | None = None
    # None where a connection says by itself whose it is.
    clients: ForwardedClients | None = None
    # None where nobody says where addresses are.
    locations: "Locations | None" = None
    request_infos: RequestInfoMemo = field(default_factory=RequestInfoMemo, repr=False)
    # Made anew for each generation of the configuration, on which standings rest too.
    standings: Standings = field(default_factory=Standings, init=False, repr=False)

    async def handle(self, exchange: Exchange) -> None:
        """Answer one request in every case."""
        case = self._open_case(exchange)
        self.metrics.in_flight.value += 1
        try:
            await self._serve(exchange, case)
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
            self._account(exchange, case)

    def _open_case(self, exchange: Exchange) -> Case:
        stream = exchange.stream
        return Case(
            audit_id=new_audit_id(),
            peer=exchange.peer,
            received_at=self.clock.now(),
            started=self.clock.monotonic(),
            bytes_before=(stream.bytes_received, stream.bytes_sent),
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
        standing = self._known(request, case) or await self._unknown(request, case)
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
        case.device = device = self._device(case.peer, case.received_at)
        case.session_id = (await self._found_out(refused, device, case)).session_id

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
            await self._log(record, case, durable=info.verb not in _READS)
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

    def _known(self, request: RequestHead, case: Case) -> Standing | None:
        """Return who calls where all that this rests on is as it was when it was found out."""
        case.device = device = self._device(case.peer, case.received_at)
        known = self.standings.get((request.headers, case.peer.whence, device.thumbprint))
        if (
            known is None
            or (known.device is not device and known.device != device)
            or self.authenticator.remembered_by(known.token_digest) is not known.identity
            or self.api_server.authorization() != known.authorization
        ):
            return None
        return self._admitted(known, device, case)

    async def _unknown(self, request: RequestHead, case: Case) -> Standing:
        """Return who calls, and remember it."""
        device = case.device or NO_DEVICE
        found = await self._found_out(request, device, case)
        self.standings.keep((request.headers, case.peer.whence, device.thumbprint), found)
        return self._admitted(found, device, case)

    def _admitted(self, standing: Standing, device: DevicePosture, case: Case) -> Standing:
        """Return the same, unless whoever it is may not come in.

        Raises:
            ProxyError: So it is.
        """
        case.identity, case.session_id = standing.identity, standing.session_id
        if self.sessions is not None and standing.identity.is_session:
            self.sessions.used(standing.session_id, case.received_at)
        if device.state == _BLOCKED:
            raise Forbidden(device.reason)
        if self.signals is not None:
            self.signals.check(standing.identity, device)
        return standing

    async def _found_out(self, request: RequestHead, device: DevicePosture, case: Case) -> Standing:
        token = bearer_token(request)
        remembered = self.authenticator.remembered(token)
        case.identity = subject = remembered or await self.authenticator.authenticate(token)
        case.session_id = session = session_id(subject, device)
        if subject.confirmation and subject.confirmation != device.thumbprint:
            raise _without_its_certificate(subject, device)
        case.identity = subject = self._where_it_is(subject, case)
        extras = _session_extras(session, device)
        authorization = self.api_server.authorization()
        return Standing(
            token_digest=token_digest(token),
            identity=subject,
            device=device,
            session_id=session,
            authorization=authorization,
            impersonation=Impersonation(
                subject,
                identity_block(
                    subject,
                    case.peer.address,
                    extras=extras,
                    authority=self.api_server.authority,
                    authorization=authorization,
                    send_uid=self.settings.send_uid,
                ),
            ),
            recorded=recorded_caller(subject, device, session, self._impersonated(subject, extras)),
            caller=caller_of(subject, session),
        )

    def _where_it_is(self, subject: Identity, case: Case) -> Identity:
        """Have a session know where its request comes from, if any rule asks."""
        if self.sessions is None or not self.follows_sessions or not subject.is_session:
            return subject
        address = str(case.peer.address)
        if (subject.seen_from or subject.signed_in_from) == address:
            return subject
        self.sessions.came_from(subject.sign_in, address)
        return replace(subject, seen_from=address)

    def _impersonated(self, subject: Identity, extras: Headers) -> Impersonated:
        return impersonated_identity(
            user=subject.username,
            groups=subject.groups,
            uid=subject.uid if self.settings.send_uid else "",
            extra=(*subject.extra, *((key, (value,)) for key, value in extras)),
        )

    def _device(self, peer: Peer, now: datetime) -> DevicePosture:
        if self.devices is None:
            return NO_DEVICE
        posture = self.devices.posture(peer.certificates, now)
        for known in self.device_facts:
            posture = known.stated(posture)
        return posture

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
                    self.standings.keep_permit(standing, decision, record, request.target)
                return decision
            case Deny() | Challenge():
                error = denial(decision)
                await self._log(self._record(decision, standing, case, error.message), case)
                self._want_step_up(decision, standing)
                raise error

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
            caller=standing.recorded,
            request=recorded_request(decision.attributes.request, arrival),
            message=message,
        )
        return with_shadow(record, case.shadow)

    async def _log_again(self, known: RememberedPermit, case: Case) -> None:
        """Log a permit that holds for one more request; nothing was waited for since it came."""
        durable = known.permit.attributes.request.verb not in _READS
        payload = known.record.written(case.audit_id, case.received_at, case.peer.port)
        await self.decisions.record_again(payload, durable=durable, stands=case.stands_permitted)
        self.metrics.count_decision(Verdict.PERMIT, Cause.ALLOW_RULE)
        for rule in known.record.failed_rules:
            self.metrics.rule_errors.labels(rule).inc()
        case.permit = known.permit

    async def _log_permit(self, record: DecisionRecord, permit: Permit, case: Case) -> None:
        await self._log(record, case, durable=permit.attributes.request.verb not in _READS)
        case.permit = permit

    async def _log(self, record: DecisionRecord, case: Case, *, durable: bool = False) -> None:
        await self.decisions.record_decision(
            record, durable=durable, stands=lambda: case.stands(record)
        )
        self.metrics.count_decision(record.decision, record.cause)
        for failed in record.errors:
            self.metrics.rule_errors.labels(failed.rule).inc()
        if record.shadow is not None:
            self.metrics.count_disagreement(record.decision.value, record.shadow.decision.value)

    async def _refuse(self, exchange: Exchange, error: ProxyError, case: Case) -> None:
        if case.permit is None or case.is_own:
            case.termination = Termination.REFUSED
        elif case.termination is Termination.NORMAL:
            case.termination = (
                Termination.UPSTREAM_TIMEOUT
                if isinstance(error, UpstreamTimeout)
                else Termination.UPSTREAM_REFUSED
            )
        case.ended_because = error.message
        if error.detail:
            log.warning("%s: %s: %s", case.audit_id, error.message, error.detail)
        await self._record_and_refuse(exchange, error, case)

    async def _refuse_stopped(self, exchange: Exchange, case: Case) -> None:
        """Say that kzproxy stops, where nothing has been said yet."""
        error = stopped(case.info, is_begun=case.permit is not None)
        if case.ending is not None:
            error = case.ending.error
        case.termination, case.ended_because = Termination.DRAINED, error.message
        await self._record_and_refuse(exchange, error, case)

    async def _record_and_refuse(self, exchange: Exchange, error: ProxyError, case: Case) -> None:
        if not case.recorded:
            error = await self._record_refusal(error, case)
        await refuse(exchange, error, case)

    async def _record_refusal(self, error: ProxyError, case: Case) -> ProxyError:
        """Log a request that policy never judged; what cannot be logged is answered with 503."""
        record = refusal_record(
            error, case.arrival, decided_at=self.clock.now(), caller=case.caller
        )
        # Where this is cancelled, the line is written all the same.
        case.recorded = True
        try:
            await self.decisions.record_decision(record, durable=False)
        except ProxyError as unwritten:
            return unwritten
        self.metrics.count_decision(record.decision, record.cause)
        return error

    def _account(self, exchange: Exchange, case: Case) -> None:
        """Have the log say how every request that was read has ended."""
        ended = self.clock.monotonic()
        self._count(case, ended - case.started)
        if not case.recorded:
            self._record_abandoned(case)
        if case.owes_outcome:
            self._record_outcome(exchange, case, ended)

    def _record_abandoned(self, case: Case) -> None:
        record = abandoned_record(
            case.ended_because, case.arrival, decided_at=self.clock.now(), caller=case.caller
        )
        self.decisions.add_decision(record)
        self.metrics.count_decision(record.decision, record.cause)

    def _record_outcome(self, exchange: Exchange, case: Case, ended: float) -> None:
        stream = exchange.stream
        outcome = case.outcome(ended, stream.bytes_received, stream.bytes_sent)
        record = outcome_record(outcome, audit_id=case.audit_id, ended_at=self.clock.now())
        self.decisions.add_outcome(record)

    def _count(self, case: Case, seconds: float) -> None:
        info = case.info
        verb = info.verb if info is not None else "unread"
        code = "none" if case.status_code is None else str(case.status_code)
        self.metrics.count_request(verb, code, case.termination)
        if info is None or info.stream is StreamKind.NONE:
            self.metrics.request_seconds.observe(seconds)


def _without_its_certificate(subject: Identity, device: DevicePosture) -> Unauthenticated:
    """Return the refusal of a token that came without the certificate that it is bound to.

    Both thumbprints are in the decision's record, too: it may be that the token was stolen.
    """
    presented = device.thumbprint or "none"
    said = "came with another one" if device.thumbprint else "came without any"
    return Unauthenticated(
        f"the token is bound to the certificate that it was issued for, and {said};"
        " use the kubeconfig of the machine that you signed in on, or run `kzproxy login` here",
        detail=f"the token of {subject.username!r} is bound to certificate"
        f" {subject.confirmation}, presented was {presented}",
    )


def _session_extras(session: str, device: DevicePosture) -> Headers:
    """Return kzproxy's own extras; stable for a session, for kube-apiserver's caches."""
    if device.device_id:
        return ((SESSION_EXTRA, session), (DEVICE_EXTRA, device.device_id))
    return ((SESSION_EXTRA, session),)
