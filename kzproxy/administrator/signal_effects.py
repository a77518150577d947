"""What a signal does: which sessions become what, and what else is kept of it. Pure.

The table of docs/signals.md in code.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from kzproxy.administrator.concern import Concern, who_has
from kzproxy.administrator.device_signals import (
    CERTIFICATE_KIND,
    COMPLIANCE_KIND,
    NotCompliant,
    RevokedCertificate,
)
from kzproxy.administrator.due_sessions import wanted_again
from kzproxy.administrator.revocations import KIND as REVOCATION_KIND
from kzproxy.administrator.revocations import Needed, Revocation, is_from_before
from kzproxy.administrator.risks import KIND as RISK_KIND
from kzproxy.administrator.risks import Risk
from kzproxy.administrator.session import SessionEnd, SessionRecord
from kzproxy.administrator.session_end import end_of
from kzproxy.administrator.signal import Signal, SignalKind, SignalSource, one_line
from kzproxy.authentication.claims import changed_groups
from kzproxy.authentication.settings import JwtIssuerSettings, PrefixedClaim
from kzproxy.authentication.validity import VerifiedClaims
from kzproxy.errors.kinds import Unauthenticated
from kzproxy.store.store import Delete, Put

KEPT = timedelta(days=7)
"""How long what was signed before a revocation is refused, and a signal is known again."""

_LOW_KEPT = timedelta(days=7)
_SESSION_RISK_KEPT = timedelta(days=30)  # as long as a session may last
_MAX_SERIAL_CHARS = 128

Change = Callable[[SessionRecord], SessionRecord]


class Effects(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be written.

    Attributes:
        words: For the log.
        change: What becomes of each session that is concerned; the same record: nothing.
        kept: What else is written.
    """

    words: str
    change: Change | None = None
    kept: tuple[Put | Delete, ...] = ()


class Taking(msgspec.Struct, frozen=True, kw_only=True):
    """One signal, and what must be known to take it.

    Attributes:
        signal: It.
        source: Who says so.
        concern: Of whom, as kzproxy knows people.
        issuers: The identity providers, by their URL.
        devices: Of the sessions concerned.
        reverify: How often identity providers are asked about sessions.
        now: Aware, UTC.
    """

    signal: Signal
    source: SignalSource
    concern: Concern
    issuers: Mapping[str, JwtIssuerSettings] = msgspec.field(default_factory=dict)
    devices: frozenset[str] = frozenset()
    reverify: timedelta = timedelta(seconds=60)
    now: datetime

    @property
    def about(self) -> Concern:
        """What the effect is on: of a device, whoever uses it; see ``parts_of``."""
        devices = _devices(self) if _is_about_devices(self.signal) else []
        return Concern(device_id=devices[0]) if len(devices) == 1 else self.concern

    def value(self, name: str) -> str:
        """Return one of the signal's values; empty where it is no text."""
        said = self.signal.value.get(name)
        return said if isinstance(said, str) else ""


def is_of_device(signal: Signal) -> bool:
    """Whether it says something of a device that it names, and not of who uses it."""
    return bool(signal.subject.device_id) and _is_about_devices(signal)


def _is_about_devices(signal: Signal) -> bool:
    is_risk = signal.kind is SignalKind.RISK_CHANGED and signal.value.get("principal") == "DEVICE"
    return is_risk or signal.kind is SignalKind.DEVICE_COMPLIANCE


def parts_of(taking: Taking) -> tuple[Taking, ...]:
    """Return one for each device that it is about, since each has an order of its own."""
    if not _is_about_devices(taking.signal) or len(_devices(taking)) < 2:
        return (taking,)
    return tuple(replace(taking, devices=frozenset({one})) for one in _devices(taking))


def is_lasting(signal: Signal) -> bool:
    """Whether what it says may hold for longer than it is remembered that it came."""
    return signal.kind in (SignalKind.DEVICE_COMPLIANCE, SignalKind.RISK_CHANGED)


def effects_of(taking: Taking) -> Effects:
    """Return what ``taking`` does."""
    return _EFFECTS[taking.signal.kind](taking)


def _session_revoked(taking: Taking) -> Effects:
    return _ended(taking, taking.signal.message or "the identity provider revoked it")


def _signed_out(taking: Taking) -> Effects:
    return _ended(taking, taking.signal.message or "you signed out at the identity provider")


def _ended(taking: Taking, message: str) -> Effects:
    """End every session from before it happened, and take no token from before."""
    signal, concern = taking.signal, taking.concern
    by = f"signal of {taking.source.name}"

    def end(record: SessionRecord) -> SessionRecord:
        before = is_from_before(
            signal.observed_at, record.identity(), who_has(record), concern, Needed.SIGN_IN
        )
        if not before:
            return record
        return end_of(record, SessionEnd.SIGNAL, message, by, taking.now)

    return Effects(
        words="ends sessions",
        change=end,
        kept=(_revocation(taking, Needed.SIGN_IN, message),),
    )


def _credential_changed(taking: Taking) -> Effects:
    change = taking.value("change_type")
    if change == "create":
        return Effects(words="nothing: a new credential ends nothing")
    # Its owner's words, who must not be able to make a message that cannot be told.
    what = one_line(taking.value("friendly_name")) or taking.value("credential_type")
    ended = _ended(
        taking, taking.signal.message or f"your credential ({what}) was changed: {change}"
    )
    revoked = _certificates(taking)
    words = ended.words + (", refuses a device certificate" if revoked else "")
    return Effects(words=words, change=ended.change, kept=(*ended.kept, *revoked))


def _certificates(taking: Taking) -> tuple[Put, ...]:
    """Refuse the certificate of this serial number, which may be written in decimal or hex."""
    written = taking.value("x509_serial")[:_MAX_SERIAL_CHARS].lower().replace(":", "")
    if taking.value("credential_type") != "x509" or not written:
        return ()
    serials = set()
    for base in (10, 16):
        try:
            serials.add(f"{int(written, base):x}")
        except ValueError:
            continue
    at = taking.signal.observed_at
    return tuple(
        Put(
            kind=CERTIFICATE_KIND,
            key=serial,
            value=msgspec.json.encode(RevokedCertificate(serial=serial, observed_at=at)),
        )
        for serial in sorted(serials)
    )


def _claims_changed(taking: Taking) -> Effects:
    """Give the sessions what is known, and ask for the rest; take only tokens made since."""
    said = taking.signal.value.get("claims")
    claims = VerifiedClaims(said if isinstance(said, Mapping) else {})

    def change(record: SessionRecord) -> SessionRecord:
        changed = _with_claims(record, claims, taking.issuers.get(record.issuer))
        # Asked in any case: an answer that is under way may be from before.
        return wanted_again(changed, now=taking.now, interval=taking.reverify)

    return Effects(
        words=f"changes claims: {', '.join(sorted(claims))[:200]}",
        change=change,
        kept=(
            _revocation(taking, Needed.TOKEN, "what your identity provider says of you changed"),
        ),
    )


def _with_claims(
    record: SessionRecord, claims: VerifiedClaims, issuer: JwtIssuerSettings | None
) -> SessionRecord:
    """Return the session with its groups as the claims have them, where they alone say that."""
    if issuer is None or issuer.revision != record.vouched_by:
        return record
    try:
        groups = changed_groups(claims, issuer)
    except Unauthenticated:
        return record
    return record if groups is None else msgspec.structs.replace(record, groups=groups)


def _assurance_changed(taking: Taking) -> Effects:
    level = taking.value("current_level")
    is_methods = taking.value("namespace") == "RFC8176"

    def change(record: SessionRecord) -> SessionRecord:
        if is_methods:
            return msgspec.structs.replace(record, authentication_methods=(level,))
        return msgspec.structs.replace(record, authentication_class=level)

    message = "your identity provider lowered the assurance of your sign-in"
    is_better = taking.value("change_direction") == "increase"
    return Effects(
        words=f"sets the assurance level to {level}",
        change=change,
        kept=() if is_better else (_revocation(taking, Needed.TOKEN, message),),
    )


def _compliance_changed(taking: Taking) -> Effects:
    is_compliant = taking.value("current_status") == "compliant"
    kept = tuple(_compliance(taking, one, is_compliant=is_compliant) for one in _devices(taking))
    words = "lifts what it said against" if is_compliant else "holds as not compliant"
    return _of_devices(taking, words, kept)


def _devices(taking: Taking) -> list[str]:
    """Return the device that it names, else those that the user's sessions are on."""
    named = taking.concern.device_id
    return [named] if named else sorted(taking.devices)


def _of_devices(taking: Taking, words: str, kept: tuple[Put | Delete, ...]) -> Effects:
    if not kept:
        return Effects(words="nothing: it names no device, and the user is on none")
    return Effects(words=f"{words} device {', '.join(_devices(taking))[:200]}", kept=kept)


def _compliance(taking: Taking, device_id: str, *, is_compliant: bool) -> Put | Delete:
    source = taking.signal.source
    key = digest(source, device_id)
    if is_compliant:
        return Delete(kind=COMPLIANCE_KIND, key=key)
    said = NotCompliant(device_id=device_id, source=source, observed_at=taking.signal.observed_at)
    return Put(kind=COMPLIANCE_KIND, key=key, value=msgspec.json.encode(said))


def _risk_changed(taking: Taking) -> Effects:
    principal, level = taking.value("principal") or "USER", taking.value("current_level")
    if principal == "DEVICE":
        each = [Concern(device_id=one) for one in _devices(taking)]
        kept = tuple(_risk(taking, one, of_device=True) for one in each)
        return _of_devices(taking, f"holds the risk to be {level} of", kept)
    return Effects(
        words=f"holds the risk of the {principal.lower()} to be {level}",
        kept=(_risk(taking, taking.concern, of_device=False),),
    )


def _risk(taking: Taking, concern: Concern, *, of_device: bool) -> Put:
    principal, level = taking.value("principal") or "USER", taking.value("current_level")
    return Put(
        kind=RISK_KIND,
        key=digest(taking.signal.source, principal, _text(concern)),
        value=msgspec.json.encode(Risk(concern=concern, level=level, of_device=of_device)),
        expires_at=_risk_end(principal, level, taking.now),
    )


def _risk_end(principal: str, level: str, now: datetime) -> datetime | None:
    """Return when it may be forgotten; a high risk is not, until its source says otherwise."""
    if level == "LOW":
        return now + _LOW_KEPT
    return now + _SESSION_RISK_KEPT if principal == "SESSION" else None


def _revocation(taking: Taking, needed: Needed, message: str) -> Put:
    signal = taking.signal
    revocation = Revocation(
        concern=taking.concern,
        before=signal.observed_at,
        taken_at=taking.now,
        needed=needed,
        message=signal.message or message,
    )
    return Put(
        kind=REVOCATION_KIND,
        # One for each order: else what came late, in an order of its own, would set it back.
        key=order_of(taking),
        value=msgspec.json.encode(revocation),
        expires_at=taking.now + KEPT,
    )


def digest(*parts: str) -> str:
    """Return a key that two different lists of parts never share."""
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def order_of(taking: Taking) -> str:
    """Return the key of what must be applied in the order in which it happened."""
    signal = taking.signal
    # One device's certificate and another's are revoked each for itself.
    parts = ("credential_type", "x509_serial", "principal", "namespace")
    more = [taking.value(name) for name in parts]
    # A new credential does nothing, so nothing from before it comes too late.
    more.append("create" if taking.value("change_type") == "create" else "")
    more.append("groups" if _tells_groups(taking) else "")
    return digest(signal.source, signal.kind.value, _text(taking.about), *more)


def _tells_groups(taking: Taking) -> bool:
    """Whether claims that changed are those that groups are made of here.

    Of all others the issuer is asked in any case: they are no reason not to take groups away.
    """
    said = taking.signal.value.get("claims")
    if taking.signal.kind is not SignalKind.CLAIMS_CHANGED or not isinstance(said, Mapping):
        return False
    mappings = [one.groups for one in taking.issuers.values()]
    return any(isinstance(one, PrefixedClaim) and one.claim in said for one in mappings)


def devices_of(records: Iterable[SessionRecord]) -> frozenset[str]:
    """Return the devices of these sessions."""
    return frozenset(one.device_id for one in records if one.device_id)


def _text(concern: Concern) -> str:
    return msgspec.json.encode(concern).decode()


_EFFECTS: Mapping[SignalKind, Callable[[Taking], Effects]] = {
    SignalKind.SESSION_REVOKED: _session_revoked,
    SignalKind.SIGNED_OUT: _signed_out,
    SignalKind.CREDENTIAL_CHANGED: _credential_changed,
    SignalKind.CLAIMS_CHANGED: _claims_changed,
    SignalKind.ASSURANCE_CHANGED: _assurance_changed,
    SignalKind.DEVICE_COMPLIANCE: _compliance_changed,
    SignalKind.RISK_CHANGED: _risk_changed,
}
