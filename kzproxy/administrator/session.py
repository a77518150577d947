"""A session that kzproxy keeps: one person's sign-in on one client, and how long it holds."""

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from kzproxy.attributes.identity import SESSION_METHOD, ExtraValues, Identity
from kzproxy.transport.peer import peer_address


class SessionEnd(StrEnum):
    """Why a session is over; a closed set for log, metrics and `kzproxy sessions`."""

    SIGNED_OUT = "signed-out"
    REVOKED = "revoked"
    DISABLED = "refused-by-provider"
    IDLE = "idle"
    OVER = "over"
    SIGNAL = "signal"
    DEVICE = "device"
    EVICTED = "too-many"


class SessionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How long sessions hold.

    Attributes:
        token: Life of a session token; at most five minutes.
        absolute: Of a session, whatever happens in it.
        idle: How long it holds without a request or a renewed token.
        per_user: How many of one person are kept; beyond that the one that was used least recently
            is ended.
        reverify: How often the identity provider is asked whether it still holds.
        grace: For how much longer it holds where the provider cannot be asked.
    """

    token: timedelta = timedelta(minutes=5)
    absolute: timedelta = timedelta(hours=12)
    idle: timedelta = timedelta(hours=2)
    per_user: int = 10
    reverify: timedelta = timedelta(seconds=60)
    grace: timedelta = timedelta(minutes=5)


class SessionRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept of a session; times are aware, UTC.

    Attributes:
        id: 128 bits, hex.
        username: What the rest of the identity belongs to, as the issuer's mapping gave it.
        groups: See ``Identity``, as the next ones.
        uid: Empty where none is mapped.
        extra: As ``Identity`` has it.
        issuer: Of the identity provider.
        subject: Of the person there.
        email: For signals that name it; empty where the provider does not say.
        idp_session: The provider's ``sid``; empty where it does not say.
        vouched_by: The issuer's configuration that the identity was mapped by.
        authenticated_at: When the person last showed who they are.
        authentication_class: ``acr``.
        authentication_methods: ``amr``.
        began_at: At the sign-in.
        ends_at: At the latest.
        seen_at: When a request or a renewal last came, give or take half a minute.
        verified_at: When the identity provider last said that it holds.
        key_thumbprint: SHA-256, hex, of the client's public key (DER SubjectPublicKeyInfo):
            certificates are renewed, the key stays.
        device_id: Empty where the key is not an approved device's.
        refresh: The provider's refresh token, sealed for ``session:ID:refresh``; may be empty.
        renewal_digest: SHA-256, hex, of the client's renewal token.
        renewal_before: Of the one before, for an answer that was lost.
        renewed_at: When it took its place; None where there is none before.
        renewal_asked_at: When the request came that the present token was given for.
        address: That the sign-in came from.
        seen_address: That it was last seen at; empty where it was at no other.
        user_agent: Of the client at the sign-in, a hint.
        risk: See ``Identity``.
        step_up: What the next renewal is answered with instead of a token, as JSON; empty: nothing.
        ended_at: None while it lasts.
        end_cause: A ``SessionEnd``; empty while it lasts.
        end_message: For the user.
        ended_by: Who ended it: a username, or a part of kzproxy.
    """

    id: str
    username: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: ExtraValues = ()
    issuer: str
    subject: str
    email: str = ""
    idp_session: str = ""
    vouched_by: str = ""
    authenticated_at: datetime | None = None
    authentication_class: str = ""
    authentication_methods: tuple[str, ...] = ()
    began_at: datetime
    ends_at: datetime
    seen_at: datetime
    verified_at: datetime
    key_thumbprint: str
    device_id: str = ""
    refresh: bytes = b""
    renewal_digest: str = ""
    renewal_before: str = ""
    renewed_at: datetime | None = None
    renewal_asked_at: datetime | None = None
    address: str = ""
    seen_address: str = ""
    user_agent: str = ""
    risk: str = ""
    step_up: str = ""
    ended_at: datetime | None = None
    end_cause: str = ""
    end_message: str = ""
    ended_by: str = ""

    def __repr__(self) -> str:
        """Name it without what is secret in it."""
        return f"SessionRecord(id={self.id!r}, username={self.username!r})"

    @property
    def user(self) -> tuple[str, str]:
        """Issuer and subject: who the person is, whatever they are called."""
        return self.issuer, self.subject

    def identity(self) -> Identity:
        """Return who calls in this session."""
        return Identity(
            username=self.username,
            groups=self.groups,
            uid=self.uid,
            extra=self.extra,
            method=SESSION_METHOD,
            issuer=self.issuer,
            subject=self.subject,
            sign_in=self.id,
            expires_at=self.ends_at,
            vouched_by=self.vouched_by,
            authenticated_at=self.authenticated_at,
            authentication_class=self.authentication_class,
            authentication_methods=self.authentication_methods,
            issued_at=self.began_at,
            session_began_at=self.began_at,
            signed_in_from=_plain(self.address),
            seen_from=self.seen_address,
            risk=self.risk,
        )


def _plain(address: str) -> str:
    """Return an address as those of requests are written; empty where it is none."""
    try:
        return str(peer_address(address))
    except ValueError:
        return ""
