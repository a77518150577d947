"""Logout tokens (OpenID Connect Back-Channel Logout 1.0): an issuer says that somebody left."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from kzproxy.authentication.keys import IssuerKeys
from kzproxy.authentication.names import name_fault
from kzproxy.authentication.signed_token import SignedToken
from kzproxy.authentication.validity import MAX_LEEWAY, VerifiedClaims, check_times, numeric_date
from kzproxy.clock.system import Clock
from kzproxy.errors.kinds import Unauthenticated

# Section 2.4 asks for ``logout+jwt``; issuers from before that send JWT or nothing. What keeps an
# ID token from being taken is `events`, which none has, and `nonce`, which must not be there.
LOGOUT_TYPES = frozenset({"logout+jwt", "jwt"})

_EVENT = "http://schemas.openid.net/event/backchannel-logout"


class LogoutToken(msgspec.Struct, frozen=True, kw_only=True):
    """What a logout token says, under a signature that holds.

    Attributes:
        issuer: Whose user it is.
        id: ``jti``.
        issued_at: ``iat``.
        subject: ``sub``; empty where it names a session alone.
        idp_session: ``sid``; empty where all of the user's sessions are meant.
    """

    issuer: str
    id: str
    issued_at: datetime
    subject: str = ""
    idp_session: str = ""


class LogoutTokenVerifier:
    """Verifies the logout tokens of one issuer."""

    def __init__(
        self, issuer: str, audiences: frozenset[str], keys: IssuerKeys, clock: Clock
    ) -> None:
        """Take over the collaborators.

        Args:
            issuer: Its ``iss``.
            audiences: The names that kzproxy and its users' clients have there.
            keys: The issuer's.
            clock: For the token's times.
        """
        self._issuer = issuer
        self._audiences = audiences
        self._keys = keys
        self._clock = clock

    async def verify(self, token: SignedToken) -> LogoutToken:
        """Judge a token whose ``iss`` is this issuer; section 2.6.

        Raises:
            Unauthenticated: It does not hold.
            KeyNotYetKnown: It may be signed with a key that was published just now.
            ServiceUnavailable: The issuer's keys cannot be had.
        """
        if await self._keys.sure_signer(token) is None:
            raise Unauthenticated(
                f"the logout token's signature does not hold under the keys of {self._issuer}"
            )
        claims = VerifiedClaims(token.claims)
        self._check(claims)
        subject, idp_session = _optional(claims, "sub"), _optional(claims, "sid")
        if not subject and not idp_session:
            raise Unauthenticated("the logout token has neither `sub` nor `sid`")
        return LogoutToken(
            issuer=self._issuer,
            id=_required(claims, "jti"),
            issued_at=numeric_date(claims, "iat"),
            subject=subject,
            idp_session=idp_session,
        )

    def _check(self, claims: VerifiedClaims) -> None:
        audience = claims.get("aud")
        listed = audience if isinstance(audience, list) else [audience]
        if not any(isinstance(one, str) and one in self._audiences for one in listed):
            raise Unauthenticated("the logout token is for another audience")
        check_times(claims, self._clock.now(), MAX_LEEWAY)
        if "iat" not in claims:
            raise Unauthenticated("the logout token has no `iat`")
        events = claims.get("events")
        if not isinstance(events, Mapping) or not isinstance(events.get(_EVENT), Mapping):
            raise Unauthenticated(f"the logout token's `events` has no {_EVENT}")
        if "nonce" in claims:
            raise Unauthenticated("the token has a `nonce`, so it is no logout token")


def _optional(claims: VerifiedClaims, name: str) -> str:
    return _required(claims, name) if name in claims else ""


def _required(claims: VerifiedClaims, name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or name_fault(value):
        raise Unauthenticated(f"the logout token's `{name}` is missing, or no name")
    return value
