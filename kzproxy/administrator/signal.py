"""What others say about people, sessions and devices, in one form whoever says it and however."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import msgspec

_MAX_LINE_CHARS = 300


class SignalKind(StrEnum):
    """What has happened."""

    SESSION_REVOKED = "session-revoked"
    CLAIMS_CHANGED = "token-claims-change"
    CREDENTIAL_CHANGED = "credential-change"
    ASSURANCE_CHANGED = "assurance-level-change"
    DEVICE_COMPLIANCE = "device-compliance-change"
    RISK_CHANGED = "risk-level-change"
    SIGNED_OUT = "signed-out"


class SignalSubject(msgspec.Struct, frozen=True, kw_only=True):
    """Whom it is about; what is empty is not said, and so any.

    Attributes:
        issuer: Of the person, with ``subject``.
        subject: The person's ``sub``.
        email: The person's.
        idp_session: The provider's ``sid``.
        device_id: The device, by the name that whoever sends it has for it.
        tenant: Whether it is about everybody.
    """

    issuer: str = ""
    subject: str = ""
    email: str = ""
    idp_session: str = ""
    device_id: str = ""
    tenant: bool = False


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """One event.

    Attributes:
        source: Who says so: the issuer of the event.
        id: Its ``jti``, once only for a source.
        subject: Whom it is about.
        kind: What has happened.
        value: What else it says, by the names of its specification.
        observed_at: Aware, UTC; when it happened, else when it was written.
        message: For the user whom it concerns; may be empty.
        evidence: For the log: how it came.
    """

    source: str
    id: str
    subject: SignalSubject
    kind: SignalKind
    value: Mapping[str, object] = msgspec.field(default_factory=dict)
    observed_at: datetime
    message: str = ""
    evidence: str = ""


class SignalSource(msgspec.Struct, frozen=True, kw_only=True):
    """Who sends signals, and whom it may speak of.

    Attributes:
        name: As the configuration names it, for log and metrics.
        issuer: Its own ``iss``.
        users_of: The identity providers whose users it may speak of.
        tenant_wide: Whether it may speak of all of them at once.
    """

    name: str
    issuer: str
    users_of: tuple[str, ...]
    tenant_wide: bool = False


def one_line(words: str) -> str:
    """Return what somebody has written for people: short, on one line, and printable."""
    shown = "".join(one if one.isprintable() else " " for one in words[:_MAX_LINE_CHARS])
    return " ".join(shown.split())
