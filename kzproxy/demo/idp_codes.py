"""Authorization codes: single use, one minute, bound to client, redirect URI and PKCE verifier."""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass

from kzproxy.clock.system import Clock
from kzproxy.demo.idp_authorization import AuthorizationRequest
from kzproxy.demo.idp_errors import OAuthError
from kzproxy.demo.idp_grants import Grant, Grants
from kzproxy.demo.idp_settings import Lifetimes
from kzproxy.demo.idp_store import ExpiringStore, digest, new_secret
from kzproxy.demo.idp_users import DemoUser

MAX_CODES = 1024
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")  # RFC 7636 section 4.1


@dataclass(slots=True)
class _Code:
    request: AuthorizationRequest
    grant: Grant
    used: bool = False


class AuthorizationCodes:
    """Makes codes and redeems each of them once."""

    def __init__(self, clock: Clock, grants: Grants, lifetimes: Lifetimes) -> None:
        self._clock = clock
        self._grants = grants
        self._lifetime = lifetimes.code
        self._codes = ExpiringStore[_Code](clock, maximum=MAX_CODES)

    def new(self, request: AuthorizationRequest, user: DemoUser) -> str:
        """Return a code for what ``user`` has just let the client have."""
        grant = self._grants.open(
            client_id=request.client.client_id,
            user=user,
            scopes=request.scopes,
            authenticated_at=self._clock.now(),
            authentication_class=request.authentication_class,
        )
        code = new_secret()
        self._codes.put(digest(code), _Code(request, grant), self._lifetime)
        return code

    def redeem(
        self, code: str, *, client_id: str, redirect_uri: str, verifier: str
    ) -> tuple[Grant, str]:
        """Spend a code; return its grant and the nonce of its request.

        Any failed attempt spends it too. One that was spent before ends its grant (RFC 6749
        section 4.1.2).

        Raises:
            OAuthError: ``invalid_grant``.
        """
        kept = self._codes.get(digest(code))
        if kept is None:
            raise OAuthError("invalid_grant", "the code is unknown or has ended")
        if kept.used:
            self._grants.end(kept.grant.session)
            raise OAuthError("invalid_grant", "the code has been used; what it gave is revoked")
        kept.used = True
        fault = _mismatch(kept.request, client_id, redirect_uri, verifier)
        if fault or self._grants.live(kept.grant.session) is None:
            self._grants.end(kept.grant.session)
            raise OAuthError("invalid_grant", fault or "the sign-in has ended")
        return kept.grant, kept.request.nonce


def _mismatch(
    request: AuthorizationRequest, client_id: str, redirect_uri: str, verifier: str
) -> str:
    if client_id != request.client.client_id:
        return "the code was given to another client"
    if redirect_uri != request.redirect_uri:
        return "redirect_uri is not that of the authorization request"
    if not _VERIFIER.fullmatch(verifier) or not hmac.compare_digest(
        _challenge(verifier), request.code_challenge
    ):
        return "code_verifier does not fit the code_challenge"
    return ""


def _challenge(verifier: str) -> str:
    hashed = hashlib.sha256(verifier.encode("ascii")).digest()
    return base64.urlsafe_b64encode(hashed).rstrip(b"=").decode()
