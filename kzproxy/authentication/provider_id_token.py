"""Judge the ID tokens that a provider gives to kzproxy itself (OpenID Connect Core 3.1.3.7).

Whether they hold, and nothing else: who the person is may be asked of another place.
"""

import hmac
from datetime import timedelta

from kzproxy.authentication.keys import IssuerKeys
from kzproxy.authentication.provider_errors import ProviderSilence
from kzproxy.authentication.provider_settings import ProviderSettings
from kzproxy.authentication.signed_token import SignedToken, read_signed_token
from kzproxy.authentication.validity import (
    MAX_LEEWAY,
    HasEnded,
    MayHoldLater,
    VerifiedClaims,
    numeric_date,
)
from kzproxy.authentication.verifier import TokenVerifier, VerifiedToken
from kzproxy.clock.system import Clock
from kzproxy.errors.kinds import ServiceUnavailable, Unauthenticated


class IdTokenJudge:
    """Judges ID tokens of one provider, by its keys."""

    def __init__(self, settings: ProviderSettings, keys: IssuerKeys, clock: Clock) -> None:
        """Take ``keys``, which somebody else keeps fresh."""
        self._settings = settings
        self._clock = clock
        self._verifier = TokenVerifier(settings.own_issuer, keys, clock)

    async def judge_first(
        self, token: str, *, nonce: str, max_age: timedelta | None
    ) -> VerifiedToken:
        """Judge the token of a sign-in.

        Raises:
            Unauthenticated: It does not hold, or is not the answer to this sign-in.
            ProviderSilence: It cannot be judged now.
        """
        judged = await self.judge(token)
        said = judged.claims.get("nonce")
        if not nonce or not isinstance(said, str):
            raise Unauthenticated("the ID token has no `nonce`; it does not belong to this sign-in")
        # JSON can say half of a character.
        if not hmac.compare_digest(said.encode(errors="surrogatepass"), nonce.encode()):
            raise Unauthenticated("the ID token's `nonce` is that of another sign-in")
        self._check_age(judged.claims, max_age)
        return judged

    async def judge_next(self, token: str, *, subject: str) -> VerifiedToken:
        """Judge the token of a refresh (section 12.2).

        A nonce in it is not looked at: it ties a token to a browser's way, and this one came
        straight from the provider.

        Raises:
            Unauthenticated: It does not hold, or is another person's.
            ProviderSilence: It cannot be judged now.
        """
        try:
            judged = await self.judge(token)
        except HasEnded as ended:
            # It was made just now, so a clock is wrong; an end would be for good.
            raise ProviderSilence(
                f"{self._settings.issuer.url} gave an ID token that has ended already; compare the"
                f" clocks of the issuer and of kzproxy: {ended.message}"
            ) from ended
        if judged.claims.get("sub") != subject:
            raise Unauthenticated("the identity provider answered with another person's ID token")
        return judged

    async def judge(self, token: str) -> VerifiedToken:
        """Judge what every ID token must be.

        Raises:
            Unauthenticated: It does not hold.
            ProviderSilence: It cannot be judged now: keys or clocks.
        """
        signed = read_signed_token(token)
        if signed.claims.get("iss") != self._settings.issuer.url:
            raise Unauthenticated("the ID token is another issuer's")
        verified = await self._verified(signed)
        # Section 3.1.3.7, 5: where it is there, whoever the token is for.
        if verified.claims.get("azp", self._settings.client_id) != self._settings.client_id:
            raise Unauthenticated("the ID token's `azp` is another client")
        return verified

    async def _verified(self, signed: SignedToken) -> VerifiedToken:
        try:
            return await self._verifier.verify(signed)
        except (MayHoldLater, ServiceUnavailable) as error:
            raise ProviderSilence(error.message) from error

    def _check_age(self, claims: VerifiedClaims, max_age: timedelta | None) -> None:
        if max_age is None:
            return
        if "auth_time" not in claims:
            raise Unauthenticated(
                "the ID token does not say when you signed in (`auth_time`), which was asked for"
            )
        if self._clock.now() - numeric_date(claims, "auth_time") > max_age + MAX_LEEWAY:
            raise Unauthenticated("the identity provider did not ask you to sign in again")
