"""What a grant is turned into: token answers, ID tokens and userinfo."""

import base64
import hashlib
from typing import Any

from kzproxy.clock.system import Clock
from kzproxy.demo.idp_grants import STRONG_CLASS, Grant, Grants
from kzproxy.demo.idp_keys import SigningKeys
from kzproxy.demo.idp_settings import Lifetimes


class TokenIssuer:
    """Makes the answers of the token endpoint."""

    def __init__(
        self, *, issuer: str, clock: Clock, keys: SigningKeys, grants: Grants, lifetimes: Lifetimes
    ) -> None:
        self._issuer = issuer
        self._clock = clock
        self._keys = keys
        self._grants = grants
        self._lifetimes = lifetimes

    def answer(self, grant: Grant, *, nonce: str = "") -> dict[str, Any]:
        """Return a token answer (RFC 6749 section 5.1, OpenID Connect Core 3.1.3.3).

        Args:
            grant: A living one.
            nonce: From the authorization request; left out when refreshing (Core 12.2).
        """
        access_token = self._grants.new_access_token(grant)
        answer: dict[str, Any] = {
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": int(self._lifetimes.access_token.total_seconds()),
            "scope": " ".join(grant.scopes),
            "id_token": self._id_token(grant, access_token=access_token, nonce=nonce),
        }
        if "offline_access" in grant.scopes:
            answer["refresh_token"] = self._grants.new_refresh_token(grant)
        return answer

    def _id_token(self, grant: Grant, *, access_token: str, nonce: str) -> str:
        now = self._clock.now()
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": grant.client_id,
            "azp": grant.client_id,
            "iat": int(now.timestamp()),
            "exp": int((now + self._lifetimes.id_token).timestamp()),
            "auth_time": int(grant.authenticated_at.timestamp()),
            "sid": grant.session,
            # RFC 8176: "user" says that somebody was present, which is all that pressing a button
            # shows. The stronger class says more than is so, for step-up to be seen.
            "amr": ["user", "mfa"] if grant.authentication_class == STRONG_CLASS else ["user"],
            "acr": grant.authentication_class,
            "at_hash": _half_hash(access_token),
            **user_claims(grant),
        }
        if nonce:
            claims["nonce"] = nonce
        return self._keys.sign(claims)


def user_claims(grant: Grant) -> dict[str, Any]:
    """Return what the granted scopes tell of the user (Core 5.4; ``groups`` is customary)."""
    user = grant.user
    claims: dict[str, Any] = {"sub": user.subject}
    if "profile" in grant.scopes:
        claims |= {"preferred_username": user.name, "name": f"{user.name.title()} (demo)"}
    if "email" in grant.scopes:
        claims |= {"email": user.email, "email_verified": True}
    if "groups" in grant.scopes:
        claims |= {"groups": list(user.groups)}
    return claims


def _half_hash(token: str) -> str:
    """Return ``at_hash`` (Core 3.1.3.6) for RS256 and ES256."""
    half = hashlib.sha256(token.encode("ascii")).digest()[:16]
    return base64.urlsafe_b64encode(half).rstrip(b"=").decode()
