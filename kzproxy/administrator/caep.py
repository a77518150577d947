"""Events of the Continuous Access Evaluation Profile (CAEP 1.0) as signals."""

from collections.abc import Callable, Mapping
from datetime import datetime

from kzproxy.administrator.event_subject import DEVICE, MEMBERS, SESSION, TENANT, USER, read_subject
from kzproxy.administrator.signal import Signal, SignalKind, one_line
from kzproxy.authentication.names import name_fault
from kzproxy.authentication.security_event import (
    MAX_AHEAD,
    SecurityEvent,
    SetError,
    SetRefused,
)
from kzproxy.authentication.validity import VerifiedClaims, numeric_date
from kzproxy.errors.kinds import Unauthenticated

EVENT_TYPES = "https://schemas.openid.net/secevent/caep/event-type/"
RISK_LEVELS = ("LOW", "MEDIUM", "HIGH")
PRINCIPALS = {"USER": USER, "DEVICE": DEVICE, "SESSION": SESSION, "TENANT": TENANT}

_CHANGES = ("create", "revoke", "update", "delete")
_COMPLIANCE = ("compliant", "not-compliant")
# What ends access is better done to too many sessions than to none.
_ENDING = frozenset({SignalKind.SESSION_REVOKED, SignalKind.CREDENTIAL_CHANGED})


class NotForUs(Exception):
    """An event that asks nothing of kzproxy; the message says why."""


def read_signal(event: SecurityEvent, now: datetime, critical: frozenset[str]) -> Signal:
    """Return what an event means.

    Args:
        event: Verified.
        now: Aware, UTC.
        critical: Members of complex subjects that its transmitter calls critical.

    Raises:
        NotForUs: It is one that kzproxy does not act on, or about nobody that it could know.
        SetRefused: It is not what its type says.
    """
    kind = _kind(event)
    _CHECKS[kind](event)
    role = _simple_role(kind, event)
    _refuse_critical(event, critical)
    subject, unread = read_subject(event.subject, role)
    if subject is None or (unread and kind not in _ENDING):
        what = ", ".join(sorted(unread)) or "its format"
        raise NotForUs(f"kzproxy cannot read whom it is about: {what}")
    return Signal(
        source=event.issuer,
        id=event.id,
        subject=subject,
        kind=kind,
        value=event.members,
        observed_at=_observed_at(event, now),
        message=_said(event.members.get("reason_user")),
        evidence=_said(event.members.get("reason_admin")),
    )


def _kind(event: SecurityEvent) -> SignalKind:
    name = event.type.removeprefix(EVENT_TYPES)
    if name != event.type and name in _KINDS:
        return _KINDS[name]
    raise NotForUs("kzproxy does not act on events of this type")


def _simple_role(kind: SignalKind, event: SecurityEvent) -> str:
    is_opaque = event.subject.get("format", event.subject.get("subject_type")) == "opaque"
    match kind:
        case SignalKind.DEVICE_COMPLIANCE if is_opaque:
            return DEVICE
        case SignalKind.SESSION_REVOKED if is_opaque:
            return SESSION
        case SignalKind.RISK_CHANGED:
            return PRINCIPALS.get(str(event.members.get("principal", "USER")), "")
        case _:
            return USER


def _refuse_critical(event: SecurityEvent, critical: frozenset[str]) -> None:
    unknown = sorted((critical & event.subject.keys()) - MEMBERS)
    if unknown:
        said = f"`sub_id` has a critical member that kzproxy does not know: {', '.join(unknown)}"
        raise _malformed(event, said)


def _observed_at(event: SecurityEvent, now: datetime) -> datetime:
    """Return when it happened: never later than now, so that nobody who comes after is meant."""
    at = event.issued_at
    if "event_timestamp" in event.members:
        try:
            at = numeric_date(VerifiedClaims(event.members), "event_timestamp")
        except Unauthenticated as error:
            raise _malformed(event, "`event_timestamp` is not a time in seconds") from error
    if at > now + MAX_AHEAD:
        raise _malformed(event, "`event_timestamp` is in the future")
    return min(at, now)


def _check_session_revoked(event: SecurityEvent) -> None:
    del event


def _check_claims(event: SecurityEvent) -> None:
    claims = event.members.get("claims")
    if not isinstance(claims, Mapping) or not claims:
        raise _malformed(event, "`claims` must be an object that is not empty")


def _check_credential(event: SecurityEvent) -> None:
    _require_text(event, "credential_type")
    _require(event, "change_type", _CHANGES)


def _check_assurance(event: SecurityEvent) -> None:
    _require_text(event, "current_level")


def _check_compliance(event: SecurityEvent) -> None:
    _require(event, "current_status", _COMPLIANCE)


def _check_risk(event: SecurityEvent) -> None:
    _require(event, "current_level", RISK_LEVELS)
    principal = event.members.get("principal", "USER")
    if not isinstance(principal, str) or principal not in PRINCIPALS:
        raise NotForUs(f"kzproxy knows no risk of a {str(principal)[:40]!r}")


_KINDS = {kind.value: kind for kind in SignalKind if kind is not SignalKind.SIGNED_OUT}
_CHECKS: Mapping[SignalKind, Callable[[SecurityEvent], None]] = {
    SignalKind.SESSION_REVOKED: _check_session_revoked,
    SignalKind.CLAIMS_CHANGED: _check_claims,
    SignalKind.CREDENTIAL_CHANGED: _check_credential,
    SignalKind.ASSURANCE_CHANGED: _check_assurance,
    SignalKind.DEVICE_COMPLIANCE: _check_compliance,
    SignalKind.RISK_CHANGED: _check_risk,
}


def _require(event: SecurityEvent, name: str, allowed: tuple[str, ...]) -> None:
    if event.members.get(name) not in allowed:
        raise _malformed(event, f"`{name}` must be one of {', '.join(allowed)}")


def _require_text(event: SecurityEvent, name: str) -> None:
    value = event.members.get(name)
    if not isinstance(value, str) or name_fault(value):
        raise _malformed(event, f"`{name}` is missing, or no name")


def _malformed(event: SecurityEvent, description: str) -> SetRefused:
    return SetRefused(SetError.INVALID_REQUEST, description, id=event.id)


def _said(reasons: object) -> str:
    """Return a reason in English, else in the first language that there is, on one short line."""
    if isinstance(reasons, Mapping):
        reasons = reasons.get("en", next(iter(reasons.values()), ""))
    if not isinstance(reasons, str):
        return ""
    return one_line(reasons).rstrip(".;")
