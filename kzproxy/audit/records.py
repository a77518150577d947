"""Make records from kzproxy's values: pure, and the one place where they are made safe to keep."""

from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from kzproxy.attributes.device import DevicePosture
from kzproxy.attributes.environment import NOWHERE, Environment, IPAddress, Place
from kzproxy.attributes.identity import ExtraValues, Identity
from kzproxy.attributes.request_info import RequestInfo, StreamKind
from kzproxy.audit.recorded_device import recorded_device
from kzproxy.audit.recorded_facts import recorded_namespace, recorded_object
from kzproxy.audit.schema import (
    Cause,
    CompletedRecord,
    Cut,
    DecisionRecord,
    Device,
    Impersonated,
    Request,
    RuleError,
    ShadowAnswer,
    SignalReceivedRecord,
    SignalRecord,
    Source,
    StepUp,
    Termination,
    User,
    Verdict,
)
from kzproxy.audit.visible import (
    MAX_FOREIGN_ID_CHARS,
    MAX_ITEMS,
    MAX_TARGET_CHARS,
    MAX_TEXT_CHARS,
    logged_raw_target,
    logged_target,
    visible,
    visible_all,
)
from kzproxy.errors.kinds import (
    BadRequest,
    ExpectationFailed,
    Expired,
    Forbidden,
    HeadTooLarge,
    NotServed,
    PayloadTooLarge,
    ProxyError,
    ServiceUnavailable,
    StepUpRequired,
    TooManyRequests,
    Unauthenticated,
    UpstreamInvalid,
    UpstreamTimeout,
)
from kzproxy.policy.decision import Challenge, Decision, Deny, Permit

_CAUSES: dict[type[ProxyError], Cause] = {
    BadRequest: Cause.BAD_REQUEST,
    HeadTooLarge: Cause.HEAD_TOO_LARGE,
    Unauthenticated: Cause.UNAUTHENTICATED,
    Forbidden: Cause.FORBIDDEN,
    NotServed: Cause.NOT_SERVED,
    Expired: Cause.EXPIRED,
    PayloadTooLarge: Cause.PAYLOAD_TOO_LARGE,
    ExpectationFailed: Cause.EXPECTATION_FAILED,
    TooManyRequests: Cause.TOO_MANY_REQUESTS,
    UpstreamInvalid: Cause.UPSTREAM_INVALID,
    ServiceUnavailable: Cause.SERVICE_UNAVAILABLE,
    UpstreamTimeout: Cause.UPSTREAM_TIMEOUT,
}


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a request before anybody has read it.

    Attributes:
        audit_id: Ours; it is sent upstream as ``Audit-ID``.
        received_at: Aware, UTC.
        source_address: The client's.
        source_port: The client's; 0 where nobody says it.
        method: As received.
        target: As received; only its path is kept where it could not be read.
        user_agent: As received; empty where none.
        client_audit_id: The ``Audit-ID`` that the client sent; empty where none.
        via: The socket's peer, where that is not the client.
        place: Where in the world the client is.
    """

    audit_id: str
    received_at: datetime
    source_address: IPAddress
    source_port: int
    method: str = ""
    target: str = ""
    user_agent: str = ""
    client_audit_id: str = ""
    via: IPAddress | None = None
    place: Place = NOWHERE


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the caller of a request that was refused before it was judged."""

    identity: Identity | None = None
    session_id: str = ""
    device: DevicePosture | None = None
    request: RequestInfo | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a permitted request ended.

    Attributes:
        termination: How.
        status_code: What was answered; None where nothing was.
        bytes_in: From the client, after the request's head.
        bytes_out: To the client.
        seconds: From the arrival of the head to the last byte.
        message: Why, where the termination does not say all.
        cut: Where kzproxy ended it before its time.
    """

    termination: Termination
    status_code: int | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    seconds: float = 0.0
    message: str = ""
    cut: Cut | None = None


class RecordedCaller(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a record that are the same for every request of one caller.

    Made once and kept with the session, because making them costs more than all the rest.

    Attributes:
        user: The subject.
        device: The device posture that is judged.
        impersonated: What is sent upstream where the request is permitted.
    """

    user: User
    device: Device
    impersonated: Impersonated | None = None


def recorded_caller(
    identity: Identity,
    device: DevicePosture,
    session_id: str,
    impersonated: Impersonated | None = None,
) -> RecordedCaller:
    """Make the parts; ``impersonated`` comes from ``impersonated_identity``."""
    return RecordedCaller(
        user=_user(identity, session_id), device=recorded_device(device), impersonated=impersonated
    )


def as_judged(caller: RecordedCaller, subject: Identity) -> RecordedCaller:
    """Return ``caller`` with the risk that its request was judged by, which others may say."""
    if caller.user.risk == subject.risk:
        return caller
    user = msgspec.structs.replace(caller.user, risk=visible(subject.risk))
    return replace(caller, user=user)


def recorded_request(info: RequestInfo, arrival: Arrival) -> Request:
    """Make the part that says what was asked; ``info`` is the reading of ``arrival``."""
    return _request(info, arrival)


def decision_record(
    decision: Decision,
    arrival: Arrival,
    *,
    decided_at: datetime,
    caller: RecordedCaller,
    request: Request,
    message: str = "",
) -> DecisionRecord:
    """Make the record of what the policy engine answered.

    Args:
        decision: What the policy engine answered.
        arrival: Its times, ids and peer.
        decided_at: Aware, UTC.
        caller: From ``recorded_caller``, of the subject and device that were judged.
        request: From ``recorded_request``, of the request that was judged.
        message: What the user is told, where it is no ``Permit``.
    """
    judged = _judged(decision)
    return DecisionRecord(
        ts=decided_at,
        audit_id=arrival.audit_id,
        client_audit_id=visible(arrival.client_audit_id, MAX_FOREIGN_ID_CHARS),
        decision=verdict_of(decision),
        cause=judged.cause,
        rule=visible(decision.rule),
        matched=visible_all(decision.matched),
        errors=tuple(
            [
                RuleError(rule=visible(rule), message=visible(text, MAX_TEXT_CHARS))
                for rule, text in decision.errors
            ]
        ),
        policy_revision=decision.revision,
        valid_until=judged.valid_until,
        depends_on=tuple(sorted(decision.depends_on)),
        hint=visible(judged.hint, MAX_TEXT_CHARS),
        message=visible(message, MAX_TEXT_CHARS),
        step_up=judged.step_up,
        reason=visible(decision.attributes.environment.reason, MAX_TEXT_CHARS),
        status_code=judged.status_code,
        received_at=arrival.received_at,
        user=caller.user,
        device=caller.device,
        source=_source(arrival, decision.attributes.environment),
        request=request,
        namespace=recorded_namespace(decision),
        object=recorded_object(decision),
        impersonated=caller.impersonated if isinstance(decision, Permit) else None,
    )


def own_record(
    plan: str,
    arrival: Arrival,
    *,
    decided_at: datetime,
    caller: RecordedCaller,
    request: Request,
) -> DecisionRecord:
    """Make the record of a request for an endpoint of kzproxy's own, which no policy judges.

    ``plan`` is what will be done; it becomes the record's message.
    """
    return DecisionRecord(
        ts=decided_at,
        audit_id=arrival.audit_id,
        client_audit_id=visible(arrival.client_audit_id, MAX_FOREIGN_ID_CHARS),
        decision=Verdict.PERMIT,
        cause=Cause.OWN_ENDPOINT,
        message=visible(plan, MAX_TEXT_CHARS),
        received_at=arrival.received_at,
        user=caller.user,
        device=caller.device,
        source=_source(arrival),
        request=request,
    )


def with_shadow(record: DecisionRecord, shadow: ShadowAnswer | None) -> DecisionRecord:
    """Add what a shadow policy would have answered otherwise, if it would."""
    return record if shadow is None else msgspec.structs.replace(record, shadow=shadow)


def refusal_record(
    error: ProxyError,
    arrival: Arrival,
    *,
    decided_at: datetime,
    caller: Caller | None = None,
) -> DecisionRecord:
    """Make the record of a request that ended before policy judged it.

    Only ``error.message`` is kept: ``detail`` is for the diagnostic log.
    """
    undecided = _undecided(arrival, caller or Caller(), decided_at, _refusal_cause(error))
    message = visible(error.message, MAX_TEXT_CHARS)
    return msgspec.structs.replace(undecided, message=message, status_code=error.code)


def abandoned_record(
    why: str, arrival: Arrival, *, decided_at: datetime, caller: Caller
) -> DecisionRecord:
    """Make the record of a request that its client left before policy judged it."""
    undecided = _undecided(arrival, caller, decided_at, Cause.CLIENT_GONE)
    return msgspec.structs.replace(undecided, message=visible(why, MAX_TEXT_CHARS))


def _undecided(
    arrival: Arrival, known: Caller, decided_at: datetime, cause: Cause
) -> DecisionRecord:
    return DecisionRecord(
        ts=decided_at,
        audit_id=arrival.audit_id,
        client_audit_id=visible(arrival.client_audit_id, MAX_FOREIGN_ID_CHARS),
        decision=Verdict.REFUSED,
        cause=cause,
        received_at=arrival.received_at,
        user=None if known.identity is None else _user(known.identity, known.session_id),
        device=None if known.device is None else recorded_device(known.device),
        source=_source(arrival),
        request=_request(known.request, arrival) if known.request else _unread_request(arrival),
    )


def _refusal_cause(error: ProxyError) -> Cause:
    """Return the cause of the error's own kind or of the nearest kind that it is one of."""
    causes = (_CAUSES[kind] for kind in type(error).__mro__ if kind in _CAUSES)
    return next(causes, Cause.INTERNAL_ERROR)


def outcome_record(outcome: Outcome, *, audit_id: str, ended_at: datetime) -> CompletedRecord:
    """Make the record of how a permitted request ended; ``ended_at`` is aware, UTC."""
    return CompletedRecord(
        ts=ended_at,
        audit_id=audit_id,
        termination=outcome.termination,
        status_code=outcome.status_code,
        bytes_in=outcome.bytes_in,
        bytes_out=outcome.bytes_out,
        duration_ms=round(outcome.seconds * 1000, 3),
        message=visible(outcome.message, MAX_TEXT_CHARS) if outcome.message else "",
        cut=outcome.cut,
    )


def signal_record(record: SignalRecord) -> SignalRecord:
    """Make a record of what was sent as a signal safe to keep."""
    if not isinstance(record, SignalReceivedRecord):
        return msgspec.structs.replace(record, **_visible_texts(record))
    subject = record.subject
    if subject is not None:
        subject = msgspec.structs.replace(subject, **_visible_texts(subject))
    return msgspec.structs.replace(
        record,
        **_visible_texts(record),
        sessions=record.sessions[:MAX_ITEMS],
        sessions_omitted=max(0, len(record.sessions) - MAX_ITEMS),
        subject=subject,
    )


def _visible_texts(record: msgspec.Struct) -> dict[str, Any]:
    texts = msgspec.structs.asdict(record).items()
    return {name: visible(text, MAX_TEXT_CHARS) for name, text in texts if isinstance(text, str)}


def impersonated_identity(
    *, user: str, groups: tuple[str, ...], uid: str = "", extra: ExtraValues = ()
) -> Impersonated:
    """Make the part that says whom the request is sent upstream as; it holds for a session."""
    return Impersonated(
        user=visible(user),
        groups=visible_all(groups),
        groups_omitted=max(0, len(groups) - MAX_ITEMS),
        uid=visible(uid),
        extra=_extra(extra),
    )


def verdict_of(decision: Decision) -> Verdict:
    """Return what the log calls it."""
    match decision:
        case Permit():
            return Verdict.PERMIT
        case Deny():
            return Verdict.DENY
        case Challenge():
            return Verdict.CHALLENGE


class _Judged(NamedTuple):
    cause: Cause
    valid_until: datetime | None = None
    hint: str = ""
    status_code: int | None = None
    step_up: StepUp | None = None


def _judged(decision: Decision) -> _Judged:
    match decision:
        case Permit():
            return _Judged(Cause.ALLOW_RULE, decision.valid_until)
        case Deny():
            cause = Cause(decision.cause.value)
            return _Judged(cause, hint=decision.hint, status_code=Forbidden.code)
        case Challenge():
            return _Judged(
                Cause(decision.cause.value),
                hint=decision.hint,
                status_code=StepUpRequired.code,
                step_up=_step_up(decision),
            )


def _step_up(challenge: Challenge) -> StepUp:
    wanted, age = challenge.step_up, challenge.step_up.asked_max_age
    return StepUp(
        acr_values=visible_all(wanted.acr_values),
        methods=visible_all(wanted.methods),
        max_age_seconds=None if age is None else int(age.total_seconds()),
        command=visible(wanted.command, MAX_TEXT_CHARS),
    )


def _user(identity: Identity, session_id: str) -> User:
    name, uid, issuer, subject, session = visible_all(
        (identity.username, identity.uid, identity.issuer, identity.subject, session_id)
    )
    return User(
        name=name,
        groups=visible_all(identity.groups),
        groups_omitted=max(0, len(identity.groups) - MAX_ITEMS),
        uid=uid,
        extra=_extra(identity.extra),
        method=identity.method,
        issuer=issuer,
        subject=subject,
        session=session,
        expires_at=identity.expires_at,
        confirmation=identity.confirmation,
        authenticated_at=identity.authenticated_at,
        authentication_class=visible(identity.authentication_class),
        authentication_methods=visible_all(identity.authentication_methods),
        issued_at=identity.issued_at,
        session_began_at=identity.session_began_at,
        signed_in_from=identity.signed_in_from,
        seen_from=identity.seen_from,
        risk=visible(identity.risk),
    )


def _extra(extra: ExtraValues) -> dict[str, tuple[str, ...]]:
    return {visible(key): visible_all(values) for key, values in extra[:MAX_ITEMS]}


def _source(arrival: Arrival, environment: Environment | None = None) -> Source:
    return Source(
        address=str(arrival.source_address),
        port=arrival.source_port,
        via=_via(arrival),
        country=arrival.place.country,
        asn=arrival.place.asn,
        sign_in_country="" if environment is None else environment.sign_in_country,
        seen_country="" if environment is None else environment.seen_country,
    )


def _via(arrival: Arrival) -> str:
    return "" if arrival.via is None else str(arrival.via)


def _request(info: RequestInfo, arrival: Arrival) -> Request:
    method, verb, kube_verb, group, version = visible_all(
        (info.method, info.verb, info.kube_verb, info.api_group, info.api_version)
    )
    resource, subresource, namespace, name = visible_all(
        (info.resource, info.subresource, info.namespace, info.name)
    )
    is_foreign, is_own = info.verb == "proxy", info.is_own
    target = logged_target(info.target, of_another_application=is_foreign, is_own=is_own)
    received = target
    if arrival.target != info.target:
        received = logged_target(arrival.target, of_another_application=is_foreign, is_own=is_own)
    return Request(
        method=method,
        target=target,
        received_target=received if received != target else "",
        path=visible(info.path, MAX_TARGET_CHARS),
        verb=verb,
        kube_verb=kube_verb,
        group=group,
        version=version,
        resource=resource,
        subresource=subresource,
        namespace=namespace,
        name=name,
        stream="" if info.stream is StreamKind.NONE else info.stream.value,
        dry_run=info.is_dry_run,
        user_agent=visible(arrival.user_agent, MAX_TEXT_CHARS),
    )


def _unread_request(arrival: Arrival) -> Request:
    return Request(
        method=visible(arrival.method),
        target=logged_raw_target(arrival.target),
        user_agent=visible(arrival.user_agent, MAX_TEXT_CHARS),
    )
