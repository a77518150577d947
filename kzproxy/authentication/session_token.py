"""Session tokens: what a client shows with each request of a session that kzproxy keeps.

A JWS under ES256 that says which session, until when, and with which certificate it must come; who
the person is is not in it, so that what changes there counts at once. Its header has one spelling:
whatever else a header could say, such as where a key may be found, is refused with it.
"""

import base64
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec

from kzproxy.authentication.session_keys import MAX_TOKEN_LIFE, SigningKeys
from kzproxy.authentication.signed_token import read_signed_token
from kzproxy.authentication.validity import MAX_LEEWAY, MayHoldLater, VerifiedClaims, numeric_date
from kzproxy.clock.system import Clock
from kzproxy.errors.kinds import ServiceUnavailable, Unauthenticated

TOKEN_TYPE = "kzproxy-session+jwt"  # noqa: S105 - the name of a kind
AUDIENCE = "kzproxy"
MAX_TOKEN_CHARACTERS = 4096
"""One is some 500."""

_TYPES = frozenset({TOKEN_TYPE})
_SESSION_ID = re.compile(r"[0-9a-f]{32}")
_THUMBPRINT = "x5t#S256"
_BASE64URL_SHA256 = re.compile(r"[A-Za-z0-9_-]{43}")
_TOKEN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TOKEN_ID_BYTES = 12
_RENEW = "run the command again, or sign in again with `kzproxy login`"


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedToken:
    """A token that was just made."""

    text: str = field(repr=False)
    expires_at: datetime


class SessionToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token that holds.

    Attributes:
        session_id: Whose.
        confirmation: SHA-256, hex, of the certificate that must come with it.
        key_id: What it is signed with.
        issued_at: Aware, UTC.
        expires_at: Aware, UTC.
    """

    session_id: str
    confirmation: str
    key_id: str
    issued_at: datetime
    expires_at: datetime


class SessionTokens:
    """Issues session tokens, and verifies them."""

    def __init__(self, keys: SigningKeys, clock: Clock, *, issuer: str) -> None:
        """Sign with ``keys`` as ``issuer``, the URL of the sign-in listener."""
        self.keys = keys
        self._clock = clock
        self._issuer = issuer

    def issue(self, session_id: str, confirmation: str, *, life: timedelta) -> IssuedToken:
        """Make a token.

        Args:
            session_id: Of the session.
            confirmation: SHA-256, hex, of the certificate that it is good with.
            life: At most ``MAX_TOKEN_LIFE``.

        Raises:
            ServiceUnavailable: There is no key to sign with.
        """
        if not timedelta() < life <= MAX_TOKEN_LIFE:
            raise ValueError("a session token lives for at most five minutes")
        now = self._clock.now()
        key = self.keys.signer(now)
        if key is None:
            raise ServiceUnavailable(
                "kzproxy has no key to sign with; try again", retry_after_seconds=1
            )
        issued = int(now.timestamp())
        expires = issued + int(life.total_seconds())
        claims = {
            "iss": self._issuer,
            "aud": AUDIENCE,
            "sub": session_id,
            "iat": issued,
            "exp": expires,
            "jti": secrets.token_urlsafe(_TOKEN_ID_BYTES),
            "cnf": {_THUMBPRINT: _base64url(bytes.fromhex(confirmation))},
        }
        signed = f"{_header(key.id)}.{_base64url(_json(claims))}"
        signature = _base64url(key.sign(signed.encode()))
        return IssuedToken(
            text=f"{signed}.{signature}", expires_at=datetime.fromtimestamp(expires, UTC)
        )

    def verify(self, token: str) -> SessionToken:
        """Return what a token says, which holds at this moment.

        Raises:
            Unauthenticated: It does not hold; the message says why and what to do.
            MayHoldLater: Likewise, and a clock may be wrong.
        """
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise Unauthenticated(
                f"the session token is longer than {MAX_TOKEN_CHARACTERS} characters"
            )
        signed = read_signed_token(token, _TYPES)
        key = self.keys.find(signed.key_id) if signed.key_id is not None else None
        if signed.key_id is None or token.partition(".")[0] != _header(signed.key_id):
            raise Unauthenticated("the session token's header is not as kzproxy writes it")
        if key is None:
            raise Unauthenticated(
                f"the session token is signed with a key that is not kzproxy's, or no longer;"
                f" {_RENEW}"
            )
        if not key.verifies(signed.signing_input, signed.signature):
            raise Unauthenticated(f"the session token's signature does not hold; {_RENEW}")
        return self._verified(key.id, VerifiedClaims(signed.claims))

    def _verified(self, key_id: str, claims: VerifiedClaims) -> SessionToken:
        for name in ("iss", "aud", "sub", "iat", "exp", "jti", "cnf"):
            if name not in claims:
                raise Unauthenticated(f"the session token has no `{name}`")
        if claims["iss"] != self._issuer:
            raise Unauthenticated("the session token is of another kzproxy (`iss`)")
        if claims["aud"] != AUDIENCE:
            raise Unauthenticated("the session token is for another audience (`aud`)")
        issued_at, expires_at = self._times(claims)
        _text(claims, "jti", _TOKEN_ID)
        return SessionToken(
            session_id=_text(claims, "sub", _SESSION_ID),
            confirmation=_confirmation(claims["cnf"]),
            key_id=key_id,
            issued_at=issued_at,
            expires_at=expires_at,
        )

    def _times(self, claims: VerifiedClaims) -> tuple[datetime, datetime]:
        issued_at, expires_at = numeric_date(claims, "iat"), numeric_date(claims, "exp")
        now = self._clock.now()
        if expires_at <= now:
            raise Unauthenticated(
                f"the session token expired at {expires_at:%Y-%m-%dT%H:%M:%SZ}; {_RENEW}"
            )
        if issued_at > now + MAX_LEEWAY:
            raise MayHoldLater(
                f"the session token was issued later than now, {now:%Y-%m-%dT%H:%M:%SZ};"
                " compare the clocks of the machines that run kzproxy"
            )
        if expires_at - issued_at > MAX_TOKEN_LIFE:
            raise Unauthenticated("the session token would live for longer than any may")
        return issued_at, expires_at


def is_spelt_as_ours(token: str) -> bool:
    """Tell whether a token begins as every session token does that could hold; costs nothing."""
    return token.startswith(_BEGINNING)


def is_session_token(token: str) -> bool:
    """Tell whether a token says that it is of this kind, however it spells that."""
    if is_spelt_as_ours(token):
        return True
    try:
        header = json.loads(base64.urlsafe_b64decode(token.partition(".")[0][:1024] + "=="))
    except ValueError:  # also of bad base64 and bad UTF-8
        return False
    said = header.get("typ") if isinstance(header, dict) else None
    return isinstance(said, str) and said.lower().removeprefix("application/") == TOKEN_TYPE


def _header(key_id: str) -> str:
    return _base64url(_json({"alg": "ES256", "typ": TOKEN_TYPE, "kid": key_id}))


def _json(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(
        "utf-8", "surrogatepass"
    )


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")


def _text(claims: VerifiedClaims, name: str, pattern: re.Pattern[str]) -> str:
    value = claims[name]
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        raise Unauthenticated(f"the session token's `{name}` is not one that kzproxy writes")
    return value


def _confirmation(value: object) -> str:
    if not isinstance(value, Mapping) or set(value) != {_THUMBPRINT}:
        raise Unauthenticated(f"the session token's `cnf` is not a `{_THUMBPRINT}`")
    thumbprint = value[_THUMBPRINT]
    if not isinstance(thumbprint, str) or _BASE64URL_SHA256.fullmatch(thumbprint) is None:
        raise Unauthenticated(f"the session token's `cnf` is not a `{_THUMBPRINT}`")
    return base64.urlsafe_b64decode(f"{thumbprint}=").hex()


# Base64 is the same from three bytes to three bytes: what every header of ours begins with.
_FIRST = f'{{"alg":"ES256","typ":"{TOKEN_TYPE}","kid":"'.encode()
_BEGINNING = _base64url(_FIRST[: len(_FIRST) // 3 * 3])
