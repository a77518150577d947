"""Whether a verified token holds: for whom it is, for what, and from when until when.

Each rule is written out here, on the claims themselves, because what a library checks by default
changes with its version, and a claim that was not asked for is not checked at all.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import NewType

from kzproxy.authentication.settings import JwtIssuerSettings
from kzproxy.errors.kinds import Unauthenticated

VerifiedClaims = NewType("VerifiedClaims", Mapping[str, object])
"""Claims under a signature that holds, or that kzproxy was told by the issuer itself."""

MAX_LEEWAY = timedelta(seconds=60)
"""For ``nbf``, ``iat`` and ``auth_time``, where two clocks differ. A token's end gets none."""

_SIGN_IN_AGAIN = "run any kubectl command again, or `kzproxy login`"

_LAST_SECOND = datetime.max.replace(tzinfo=UTC, microsecond=0).timestamp()


class MayHoldLater(Unauthenticated):
    """A refusal that time or the issuer may mend, so that it must not be remembered."""


class HasEnded(Unauthenticated):
    """A refusal because the token's end has passed, by our clock."""


def check_purpose(claims: VerifiedClaims) -> None:
    """Refuse what the issuer signed for another end than to show who calls.

    Raises:
        Unauthenticated: A logout token or security event (OpenID Connect Back-Channel Logout 1.0
            section 2.4, RFC 8417), or neither an ID nor an access token by ``token_use``.
    """
    if "events" in claims:
        raise Unauthenticated("the token is a logout token or security event, not a sign-in")
    if claims.get("token_use", "id") not in ("id", "access"):
        raise Unauthenticated("the token's `token_use` is neither `id` nor `access`")


def check_audience(claims: VerifiedClaims, issuer: JwtIssuerSettings) -> None:
    """Refuse a token that was made for somebody else.

    A token for several audiences lies with each of them, and each could send it here. So where
    there are several, ``azp`` must say that it was given to one of ours
    (OpenID Connect Core 1.0 section 2).
    """
    audiences = _audiences(claims)
    ours = frozenset(issuer.audiences)
    if not audiences & ours:
        raise Unauthenticated(
            "the token is for another audience; its `aud` must have one of: "
            + ", ".join(issuer.audiences)
        )
    if len(audiences) > 1 and claims.get("azp") not in issuer.audiences:
        raise Unauthenticated(
            "the token is for several audiences and its `azp` is none of ours: "
            + ", ".join(issuer.audiences)
        )


def check_times(claims: VerifiedClaims, now: datetime, leeway: timedelta) -> datetime:
    """Return the end of the token.

    Raises:
        MayHoldLater: It begins later, or was made later, than ``now`` and ``leeway``.
        HasEnded: It has.
        Unauthenticated: A time in it is not a time, or it has no end.
    """
    if "exp" not in claims:
        raise Unauthenticated("the token has no `exp`; kzproxy takes no token without an end")
    end = numeric_date(claims, "exp")
    if end <= now:
        raise HasEnded(f"the token expired at {_shown(end)}; {_SIGN_IN_AGAIN}")
    # A sign-in that is still to come would never grow old.
    for name in ("nbf", "iat", "auth_time"):
        if name in claims and numeric_date(claims, name) > now + leeway:
            raise MayHoldLater(
                f"the token's `{name}` is later than now, {_shown(now)};"
                " compare the clocks of the issuer and of kzproxy"
            )
    return end


def _audiences(claims: VerifiedClaims) -> frozenset[str]:
    audience = claims.get("aud")
    listed = audience if isinstance(audience, list) else [audience]
    if not listed or not all(isinstance(item, str) and item for item in listed):
        raise Unauthenticated("the token's `aud` is neither a string nor a list of strings")
    return frozenset(listed)


def numeric_date(claims: VerifiedClaims, name: str) -> datetime:
    """Read a NumericDate (RFC 7519 section 2): a number of seconds, whole or not.

    Raises:
        Unauthenticated: It is not a number, or not a time before the year 10000.
    """
    seconds = claims[name]
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise Unauthenticated(f"the token's `{name}` is not a number")
    if not 0 <= seconds <= _LAST_SECOND:  # so neither infinite nor not-a-number
        raise Unauthenticated(f"the token's `{name}` is not a time")
    return datetime.fromtimestamp(seconds, UTC)


def _shown(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
