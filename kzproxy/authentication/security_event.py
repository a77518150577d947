"""Security Event Tokens (RFC 8417): what another party signed about people, sessions and devices.

Every check is written out here, in the order in which a refusal says most. A SET must not be
mistaken for a sign-in nor a sign-in for a SET: ``typ`` must say what it is, and ``sub`` and ``exp``
must not be there (Shared Signals Framework 1.0 section 4.1).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import urlsplit

import msgspec

from kzproxy.authentication.keys import IssuerKeys
from kzproxy.authentication.names import name_fault
from kzproxy.authentication.signed_token import SignedToken, read_signed_token
from kzproxy.authentication.validity import VerifiedClaims, numeric_date
from kzproxy.clock.system import Clock
from kzproxy.errors.kinds import Unauthenticated

DEFAULT_ALGORITHMS = frozenset({"RS256"})
"""What the CAEP interoperability profile asks of transmitters."""

MAX_AHEAD = timedelta(minutes=5)
"""How far ahead of ours a transmitter's clock may be."""

_TYPES = frozenset({"secevent+jwt"})
_WELL_KNOWN = "/.well-known/ssf-configuration"


class SetError(StrEnum):
    """The codes of RFC 8935 section 2.4, and ``invalid_state`` of the Shared Signals Framework."""

    INVALID_REQUEST = "invalid_request"
    INVALID_KEY = "invalid_key"
    INVALID_ISSUER = "invalid_issuer"
    INVALID_AUDIENCE = "invalid_audience"
    AUTHENTICATION_FAILED = "authentication_failed"
    ACCESS_DENIED = "access_denied"
    INVALID_STATE = "invalid_state"


class SetRefused(Exception):
    """A SET that is not taken.

    Attributes:
        error: Its code.
        description: For whoever runs the transmitter.
        id: Its ``jti``, where the signature held and it has one.
    """

    def __init__(self, error: SetError, description: str, *, id: str = "") -> None:
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = description
        self.id = id


class TransmitterSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Who sends SETs, and what is taken of it.

    Attributes:
        issuer: Its ``iss``, compared character by character.
        audiences: A SET must be for one of these; never empty.
        key_set_url: Where its keys are; empty where its discovery document says so.
        certificate_authority_pem: Who vouches for its TLS; empty for the system's trust.
        algorithms: That its SETs may be signed with.
        subject_in_event: Whether it puts the subject into the event, as drafts before 2023 did.
    """

    issuer: str
    audiences: tuple[str, ...]
    key_set_url: str = ""
    certificate_authority_pem: str = ""
    algorithms: frozenset[str] = DEFAULT_ALGORITHMS
    subject_in_event: bool = False

    @property
    def url(self) -> str:
        """Return what it calls itself."""
        return self.issuer

    @property
    def discovery_document_url(self) -> str:
        """Return where its metadata is: the well-known part comes between host and path."""
        parts = urlsplit(self.issuer)
        return f"{parts.scheme}://{parts.netloc}{_WELL_KNOWN}{parts.path.rstrip('/')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityEvent:
    """What a SET says, under a signature that holds.

    Attributes:
        issuer: Of the transmitter.
        id: ``jti``.
        issued_at: ``iat``.
        type: The event's URI.
        members: What the event says.
        subject: Whom it is about: ``sub_id`` as it was sent.
        transaction: ``txn``; empty where there is none.
    """

    issuer: str
    id: str
    issued_at: datetime
    type: str
    members: Mapping[str, object] = field(repr=False)
    subject: Mapping[str, object] = field(repr=False)
    transaction: str = ""


class SecurityEventVerifier:
    """Verifies the SETs of one transmitter, with its keys and no others."""

    def __init__(self, settings: TransmitterSettings, keys: IssuerKeys, clock: Clock) -> None:
        self.settings = settings
        self.keys = keys
        self._clock = clock

    async def verify(self, text: str) -> SecurityEvent:
        """Return what a SET says; waits only while keys are being fetched for it.

        Raises:
            SetRefused: It does not hold.
            ServiceUnavailable: The transmitter's keys cannot be had, or not yet.
        """
        token = self._read(text)
        if await self.keys.sure_signer(token) is None:
            raise _refused(SetError.INVALID_KEY, "the signature holds under none of your keys")
        claims = VerifiedClaims(token.claims)
        try:
            return self._event(claims)
        except Unauthenticated as error:
            raise _refused(SetError.INVALID_REQUEST, _of_a_set(error), claims) from error

    def _read(self, text: str) -> SignedToken:
        try:
            token = read_signed_token(text, _TYPES)
        except Unauthenticated as error:
            raise _refused(SetError.INVALID_REQUEST, _of_a_set(error)) from error
        if token.algorithm not in self.settings.algorithms:
            allowed = ", ".join(sorted(self.settings.algorithms))
            raise _refused(SetError.INVALID_KEY, f"the SET must be signed with {allowed}")
        # Not verified yet, and only so that the transmitter learns which of the two is wrong.
        if token.claims.get("iss") != self.settings.issuer:
            raise _refused(SetError.INVALID_ISSUER, f"`iss` is not {self.settings.issuer}")
        return token

    def _event(self, claims: VerifiedClaims) -> SecurityEvent:
        self._check_audience(claims)
        for name in ("exp", "sub"):
            if name in claims:
                raise _refused(SetError.INVALID_REQUEST, f"`{name}` must not be in a SET", claims)
        issued_at = self._issued_at(claims)
        event_type, members = _only_event(claims)
        return SecurityEvent(
            issuer=self.settings.issuer,
            id=_id(claims),
            issued_at=issued_at,
            type=event_type,
            members=members,
            subject=self._subject(claims, members),
            transaction=_text(claims.get("txn")),
        )

    def _check_audience(self, claims: VerifiedClaims) -> None:
        audience = claims.get("aud")
        listed = audience if isinstance(audience, list) else [audience]
        if not any(isinstance(one, str) and one in self.settings.audiences for one in listed):
            wanted = " or ".join(self.settings.audiences)
            raise _refused(SetError.INVALID_AUDIENCE, f"`aud` is not {wanted}", claims)

    def _issued_at(self, claims: VerifiedClaims) -> datetime:
        if "iat" not in claims:
            raise _refused(SetError.INVALID_REQUEST, "`iat` is missing", claims)
        issued_at = numeric_date(claims, "iat")
        if issued_at > self._clock.now() + MAX_AHEAD:
            raise _refused(SetError.INVALID_REQUEST, "`iat` is in the future", claims)
        return issued_at

    def _subject(
        self, claims: VerifiedClaims, members: Mapping[str, object]
    ) -> Mapping[str, object]:
        subject = claims.get("sub_id")
        if subject is None and self.settings.subject_in_event:
            subject = members.get("subject")
        if not isinstance(subject, dict):
            raise _refused(SetError.INVALID_REQUEST, "`sub_id` is missing, or no object", claims)
        return subject


def _only_event(claims: VerifiedClaims) -> tuple[str, Mapping[str, object]]:
    events = claims.get("events")
    if not isinstance(events, dict) or len(events) != 1:
        said = "`events` must be an object with exactly one event"
        raise _refused(SetError.INVALID_REQUEST, said, claims)
    ((event_type, members),) = events.items()
    if not isinstance(members, dict) or name_fault(event_type):
        raise _refused(SetError.INVALID_REQUEST, "the event is not an object", claims)
    return event_type, members


def _id(claims: Mapping[str, object]) -> str:
    token_id = _text(claims.get("jti"))
    if not token_id:
        raise _refused(SetError.INVALID_REQUEST, "`jti` is missing, or no name")
    return token_id


def _text(value: object) -> str:
    return value if isinstance(value, str) and value and not name_fault(value) else ""


def _refused(
    error: SetError, description: str, claims: Mapping[str, object] | None = None
) -> SetRefused:
    return SetRefused(error, description, id=_text((claims or {}).get("jti")))


def _of_a_set(error: Unauthenticated) -> str:
    return error.message.replace("the token", "the SET")
