"""The ID token as its client reads it (OpenID Connect Core 1.0 section 3.1.3.7).

The signature is not checked here: the token comes from the token endpoint itself, and there item
6 of that section lets the TLS connection vouch for the issuer. kzproxy checks the signature.
"""

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from kzproxy.client.failure import ClientFailure

LEEWAY = timedelta(seconds=60)
REFRESH_BEFORE_END = timedelta(seconds=60)
ASK_BEFORE_END = timedelta(seconds=10)

Claims = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetime:
    """When a token ends and when to fetch the next, by this machine's clock."""

    expires_at: datetime
    refresh_at: datetime


def read_claims(token: str) -> Claims:
    """Return the claims of ``token``.

    Raises:
        ClientFailure: It is not a JWT.
    """
    try:
        _, payload, _ = token.split(".")
        padded = payload + "=" * (-len(payload) % 4)
        claims = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, RecursionError):
        raise ClientFailure("the issuer's ID token is not a JWT") from None
    if not isinstance(claims, dict):
        raise ClientFailure("the issuer's ID token has no claims")
    return claims


def check_claims(claims: Claims, issuer: str, client_id: str, nonce: str | None) -> None:
    """Check that the token is from ``issuer``, for ``client_id``, and answers this sign-in.

    Args:
        claims: Of a token that came from the token endpoint.
        issuer: Compared exactly.
        client_id: Must be an audience, and ``azp`` where that is present.
        nonce: What was sent; None where none was (refresh, device code).

    Raises:
        ClientFailure: It is not.
    """
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if claims.get("iss") != issuer:
        raise ClientFailure(f"the ID token is of issuer {claims.get('iss')!r}, not {issuer!r}")
    if client_id not in audiences:
        raise ClientFailure(f"the ID token is for {audience!r}, not for client {client_id!r}")
    if claims.get("azp", None if len(audiences) > 1 else client_id) != client_id:
        raise ClientFailure(f"the ID token was issued to {claims.get('azp')!r}, not {client_id!r}")
    if nonce is not None and claims.get("nonce") != nonce:
        raise ClientFailure("the ID token does not belong to this sign-in (nonce)")
    if not isinstance(claims.get("sub"), str) or not claims["sub"]:
        raise ClientFailure("the ID token names nobody (sub)")


def lifetime(claims: Claims, received_at: datetime, *, refreshable: bool) -> Lifetime:
    """Return when the token ends, by this machine's clock even where that is wrong.

    A clock that is behind would make the token seem to live longer than it does, so its length
    counts from when it was received.

    Raises:
        ClientFailure: It has ended already.
    """
    ends = _time(claims, "exp")
    if ends is None:
        raise ClientFailure("the ID token has no end (exp)")
    if ends + LEEWAY <= received_at:
        raise ClientFailure(
            f"the ID token ended at {ends:%Y-%m-%d %H:%M:%S} UTC, before it was received: this"
            f" machine's clock says {received_at:%Y-%m-%d %H:%M:%S} UTC; check the clock"
        )
    begins = _time(claims, "iat") or received_at
    expires_at = min(ends, received_at + max(ends - begins, timedelta(0)))
    margin = REFRESH_BEFORE_END if refreshable else ASK_BEFORE_END
    early = min(margin, max(expires_at - received_at, timedelta(0)) / 2)
    return Lifetime(expires_at=expires_at, refresh_at=expires_at - early)


def _time(claims: Claims, name: str) -> datetime | None:
    value = claims.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, ValueError, OSError):
        raise ClientFailure(f"the ID token has an {name} out of range") from None
