"""Judge the tokens of one issuer: signature first, then everything that the claims say."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from kzproxy.attributes.identity import Identity
from kzproxy.authentication.claims import identity_of
from kzproxy.authentication.jwks import VerificationKey
from kzproxy.authentication.keys import IssuerKeys
from kzproxy.authentication.settings import JwtIssuerSettings
from kzproxy.authentication.signed_token import SignedToken
from kzproxy.authentication.validity import (
    MAX_LEEWAY,
    MayHoldLater,
    VerifiedClaims,
    check_audience,
    check_purpose,
    check_times,
)
from kzproxy.clock.system import Clock
from kzproxy.errors.kinds import ServiceUnavailable, Unauthenticated


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedToken:
    """A token that holds, whomever it names.

    Attributes:
        key: That signed it.
        claims: What it says.
        expires_at: Its end.
    """

    key: VerificationKey
    claims: VerifiedClaims = field(repr=False)
    expires_at: datetime


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """A token that holds, whom it names, and the key that says so."""

    identity: Identity
    key: VerificationKey


class TokenVerifier:
    """Judges tokens whose ``iss`` is one issuer, with that issuer's keys and no others."""

    def __init__(
        self,
        issuer: JwtIssuerSettings,
        keys: IssuerKeys,
        clock: Clock,
        *,
        leeway: timedelta = MAX_LEEWAY,
    ) -> None:
        """Take over the collaborators; ``leeway`` is for ``nbf`` and ``iat``.

        Raises:
            ValueError: ``leeway`` is negative or over ``MAX_LEEWAY``.
        """
        if not timedelta() <= leeway <= MAX_LEEWAY:
            raise ValueError(f"leeway must be from 0 to {MAX_LEEWAY}")
        self.issuer = issuer
        self.keys = keys
        self._clock = clock
        self._leeway = leeway

    async def judge(self, token: SignedToken) -> Judgement:
        """Say whom a token names whose ``iss`` is this issuer.

        Raises:
            Unauthenticated: It does not hold, or names nobody who may come in.
            MayHoldLater: It does not hold now.
            ServiceUnavailable: The keys that it would be judged with cannot be had.
        """
        verified = await self.verify(token)
        identity = identity_of(verified.claims, self.issuer, verified.expires_at)
        return Judgement(identity=identity, key=verified.key)

    async def verify(self, token: SignedToken) -> VerifiedToken:
        """Verify a token whose ``iss`` is this issuer, and map nothing.

        Raises:
            Unauthenticated: It does not hold.
            MayHoldLater: It does not hold now.
            ServiceUnavailable: The keys that it would be judged with cannot be had.
        """
        key = await self.keys.signer(token)
        if key is None:
            raise self._unsigned(token)
        claims = VerifiedClaims(token.claims)
        check_purpose(claims)
        check_audience(claims, self.issuer)
        end = check_times(claims, self._clock.now(), self._leeway)
        return VerifiedToken(key=key, claims=claims, expires_at=end)

    def _unsigned(self, token: SignedToken) -> Unauthenticated | ServiceUnavailable:
        """Say why no key was found: three cases that want three different things done."""
        present = self.keys.current()
        if present.candidates(token.key_id, token.algorithm):
            return Unauthenticated(
                f"the token's signature does not hold under the keys of issuer {self.issuer.url};"
                " run `kzproxy login`"
            )
        if self.keys.failure or not self.keys.tried:
            return self.keys.unavailable()
        return MayHoldLater(
            f"the token is signed with a key that issuer {self.issuer.url} does not publish;"
            " run `kzproxy login`, or try again in a few seconds if the issuer has just changed"
            " its keys"
        )
