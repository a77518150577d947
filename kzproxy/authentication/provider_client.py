"""kzproxy as the confidential client of one identity provider (OpenID Connect Core 1.0).

It signs people in, asks again whether a sign-in holds and who the person is by now, and gives
tokens back. Nothing is remembered here but the discovery document: tokens belong to the caller.

All of it ends in one of three ways besides well: ``ProviderRefusal`` is the provider's no,
``ProviderSilence`` is no word from it, ``Unauthenticated`` is a word that kzproxy does not accept.
"""

import base64
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import assert_never
from urllib.parse import quote_plus, urlencode

from kzproxy.attributes.identity import Identity
from kzproxy.authentication.claims import identity_of
from kzproxy.authentication.keys import IssuerKeys
from kzproxy.authentication.names import name_fault
from kzproxy.authentication.provider_authorization import (
    AuthorizationWish,
    authorization_url,
    code_of_answer,
)
from kzproxy.authentication.provider_errors import ProviderRefusal, ProviderSilence
from kzproxy.authentication.provider_http import Answer, ProviderHttp
from kzproxy.authentication.provider_id_token import IdTokenJudge
from kzproxy.authentication.provider_metadata import Discovery, ProviderMetadata
from kzproxy.authentication.provider_settings import (
    DEFAULT_PROVIDER_LIMITS,
    ProviderLimits,
    ProviderSettings,
    Reverify,
)
from kzproxy.authentication.provider_tokens import (
    ProviderTokens,
    read_refresh_token,
    read_tokens,
    refuse_dead_token,
    refuse_error,
)
from kzproxy.authentication.validity import VerifiedClaims
from kzproxy.clock.system import Clock
from kzproxy.errors.kinds import Unauthenticated

_OK = 200
_UNAUTHORIZED = 401

Keep = Callable[[str], Awaitable[None]]
"""Keeps a new refresh token; when it returns, the token is safe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """Somebody who has just signed in at the provider.

    Attributes:
        identity: Who; ``expires_at`` is the end of the ID token and not of the sign-in.
        idp_session: The provider's name for the sign-in (``sid``); empty where it has none.
        email: The person's address, as far as the provider has verified it; may be empty.
        refresh_token: To ask again with; never empty.
        id_token: To be shown when the person signs out there (``id_token_hint``).
    """

    identity: Identity
    idp_session: str
    email: str = ""
    refresh_token: str = field(repr=False)
    id_token: str = field(repr=False)


class ProviderClient:
    """One provider; to be closed by whoever makes it.

    Attributes:
        settings: Who kzproxy is there.
    """

    def __init__(
        self,
        settings: ProviderSettings,
        keys: IssuerKeys,
        clock: Clock,
        limits: ProviderLimits = DEFAULT_PROVIDER_LIMITS,
    ) -> None:
        """Take the issuer's ``keys``, which somebody else keeps fresh."""
        self.settings = settings
        self._clock = clock
        self._http = ProviderHttp(
            settings.certificate_authority_pem or settings.issuer.certificate_authority_pem, limits
        )
        self._discovery = Discovery(settings, self._http, clock, limits)
        self._id_tokens = IdTokenJudge(settings, keys, clock)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def authorization_url(self, wish: AuthorizationWish) -> str:
        """Return where to send the browser.

        Raises:
            ProviderSilence: What the provider says about itself cannot be had.
        """
        return authorization_url(await self._metadata(), self.settings, wish)

    async def code_of_answer(self, parameters: Mapping[str, str], state: str) -> str:
        """Return the code that the browser came back with; see ``provider_authorization``.

        Raises:
            Unauthenticated: The answer is not one to this sign-in, or not this provider's.
            ProviderRefusal: The provider, or the person, said no.
            ProviderSilence: What the provider says about itself cannot be had.
        """
        return code_of_answer(parameters, await self._metadata(), self.settings, state)

    async def redeem_code(
        self,
        code: str,
        *,
        redirect_uri: str,
        verifier: str,
        nonce: str,
        max_age: timedelta | None = None,
    ) -> SignedIn:
        """Trade a code for a person (RFC 6749 section 4.1.3, RFC 7636 section 4.5).

        Raises:
            ProviderRefusal: The code does not hold.
            Unauthenticated: The answer does not hold, or the person is none that may come in.
            ProviderSilence: No usable answer.
        """
        form = {"code": code, "redirect_uri": redirect_uri, "code_verifier": verifier}
        url, answer = await self._redeemed({"grant_type": "authorization_code", **form})
        tokens = read_tokens(url, answer)
        first = await self._id_tokens.judge_first(
            self._required_id_token(tokens), nonce=nonce, max_age=max_age
        )
        if not tokens.refresh_token:
            raise ProviderSilence(
                f"{self.settings.issuer.url} gave no refresh token, without which kzproxy cannot"
                " ask again whether the sign-in holds; let the client have `offline_access`"
            )
        person = await self._person(first.claims, tokens)
        return SignedIn(
            identity=identity_of(
                first.claims, self.settings.issuer, first.expires_at, person=person
            ),
            idp_session=_text(first.claims, "sid"),
            email=_email(person),
            refresh_token=tokens.refresh_token,
            id_token=tokens.id_token,
        )

    async def confirm(self, refresh_token: str, subject: str, keep: Keep) -> Identity | None:
        """Ask whether a sign-in still holds, in the way that the operator chose.

        A refresh token is mostly good once. So what comes in its place goes to ``keep`` before
        anything else is done with the answer; whoever stops in between has lost the sign-in.

        Args:
            refresh_token: Of the sign-in.
            subject: Whose it is: the ``sub`` that every answer must name.
            keep: Called where the refresh token has changed.

        Returns:
            Who the person is by now; None where the provider says only that the sign-in holds.

        Raises:
            ProviderRefusal: It does not.
            Unauthenticated: What the provider says of the person is not accepted (any more).
            ProviderSilence: No usable answer.
        """
        way = self.settings.reverify
        if way is Reverify.INTROSPECTION:
            await self._introspect(refresh_token, subject)
            return None
        url, answer = await self._redeemed(
            {"grant_type": "refresh_token", "refresh_token": refresh_token}
        )
        newer = read_refresh_token(url, answer)
        if newer not in ("", refresh_token):
            await keep(newer)
        tokens = read_tokens(url, answer)
        match way:
            case Reverify.REFRESH:
                token = self._required_id_token(tokens)
                next_one = await self._id_tokens.judge_next(token, subject=subject)
                return identity_of(next_one.claims, self.settings.issuer, next_one.expires_at)
            case Reverify.USERINFO:
                person = await self._userinfo(tokens.access_token, subject)
                return identity_of(person, self.settings.issuer, self._clock.now())
            case _:
                assert_never(way)

    async def revoke(self, refresh_token: str) -> None:
        """Give a refresh token back (RFC 7009); does nothing where the provider takes none back.

        Raises:
            ProviderSilence: No usable answer.
        """
        metadata = await self._metadata()
        if not metadata.revocation_endpoint:
            return
        form = {"token": refresh_token, "token_type_hint": "refresh_token"}
        answer = await self._post(metadata, metadata.revocation_endpoint, form)
        try:
            refuse_dead_token(answer)
            refuse_error(metadata.revocation_endpoint, answer)
        except ProviderRefusal:
            return  # it holds no more, which is all that was wanted

    async def end_session_url(
        self, id_token: str = "", *, back_to: str = "", state: str = ""
    ) -> str:
        """Return where a browser signs out at the provider; empty where it has no such place.

        OpenID Connect RP-Initiated Logout 1.0 section 2.

        Raises:
            ProviderSilence: What the provider says about itself cannot be had.
        """
        endpoint = (await self._metadata()).end_session_endpoint
        if not endpoint:
            return ""
        parameters = {
            "id_token_hint": id_token,
            "client_id": self.settings.client_id,
            "post_logout_redirect_uri": back_to,
            "state": state,
        }
        query = urlencode({name: value for name, value in parameters.items() if value})
        return endpoint + ("&" if "?" in endpoint else "?") + query

    async def _metadata(self) -> ProviderMetadata:
        return await self._discovery.metadata()

    async def _redeemed(self, form: Mapping[str, str]) -> tuple[str, Answer]:
        """Return the token endpoint, and what it answers to a grant."""
        metadata = await self._metadata()
        url = metadata.token_endpoint
        return url, await self._post(metadata, url, form)

    async def _post(self, metadata: ProviderMetadata, url: str, form: Mapping[str, str]) -> Answer:
        """Post as this client (RFC 6749 section 2.3.1)."""
        name, secret = self.settings.client_id, self.settings.client_secret
        if metadata.secret_in_form:
            return await self._http.post(url, {**form, "client_id": name, "client_secret": secret})
        pair = f"{quote_plus(name)}:{quote_plus(secret)}".encode()
        return await self._http.post(url, form, f"Basic {base64.b64encode(pair).decode()}")

    def _required_id_token(self, tokens: ProviderTokens) -> str:
        if not tokens.id_token:
            raise ProviderSilence(
                f"{self.settings.issuer.url} gave no ID token; where it gives none when it is asked"
                " again, set `reverify: userinfo` for it"
            )
        return tokens.id_token

    async def _person(self, claims: VerifiedClaims, tokens: ProviderTokens) -> VerifiedClaims:
        """Return what says who signed in with an ID token: the same that is asked again later.

        Else groups could seem to change a minute later only because two places tell of them.
        """
        if self.settings.reverify is not Reverify.USERINFO:
            return claims
        return await self._userinfo(tokens.access_token, _text(claims, "sub"))

    async def _userinfo(self, access_token: str, subject: str) -> VerifiedClaims:
        if not access_token:
            raise ProviderSilence(f"{self.settings.issuer.url} gave no access token for userinfo")
        url = (await self._metadata()).userinfo_endpoint
        answer = await self._http.get(url, f"Bearer {access_token}")
        if answer.status == _UNAUTHORIZED:
            raise ProviderRefusal("invalid_token", "userinfo does not open any more")
        if answer.status != _OK or not answer.document:
            raise ProviderSilence(f"{url}: the answer is {answer.status}, without claims")
        # OpenID Connect Core 1.0 section 5.3.2: or one person's claims could be put under another.
        if answer.document.get("sub") != subject:
            raise Unauthenticated("userinfo of the identity provider answered for another person")
        return VerifiedClaims({**answer.document, "iss": self.settings.issuer.url})

    async def _introspect(self, token: str, subject: str) -> None:
        metadata = await self._metadata()
        url = metadata.introspection_endpoint
        form = {"token": token, "token_type_hint": "refresh_token"}
        answer = await self._post(metadata, url, form)
        refuse_error(url, answer)
        active = answer.document.get("active")
        if not isinstance(active, bool):
            raise ProviderSilence(f"{url}: the answer does not say whether the token is active")
        if not active:
            raise ProviderRefusal("inactive", "the sign-in is not active any more")
        if answer.document.get("sub", subject) != subject:
            raise Unauthenticated("the identity provider answered for another person")


def _is_verified(claims: Mapping[str, object]) -> bool:
    # As the claim mapping takes it: absent is taken, anything but `true` is not.
    return claims.get("email_verified", True) is True


def _email(claims: Mapping[str, object]) -> str:
    address = _text(claims, "email") if _is_verified(claims) else ""
    return "" if name_fault(address) else address


def _text(claims: Mapping[str, object], name: str) -> str:
    value = claims.get(name, "")
    return value if isinstance(value, str) else ""
