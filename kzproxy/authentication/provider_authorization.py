"""Sending a browser to a provider, and reading what it comes back with.

RFC 6749 section 4.1, RFC 7636, RFC 9207, OpenID Connect Core 1.0 section 3.1.2.
"""

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import urlencode

from kzproxy.authentication.provider_errors import ProviderRefusal, ProviderSilence
from kzproxy.authentication.provider_metadata import ProviderMetadata
from kzproxy.authentication.provider_settings import ProviderSettings
from kzproxy.client.pkce import ProofKey
from kzproxy.errors.kinds import Unauthenticated

_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowSecrets:
    """What ties an answer to its question; kept with the flow until the browser is back.

    Attributes:
        state: Comes back with the browser.
        nonce: Comes back in the ID token.
        verifier: Goes with the code (PKCE); never through the browser.
    """

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    challenge: str

    @classmethod
    def generate(cls) -> "FlowSecrets":
        """Make new ones."""
        proof = ProofKey.generate()
        return cls(
            state=secrets.token_urlsafe(_SECRET_BYTES),
            nonce=secrets.token_urlsafe(_SECRET_BYTES),
            verifier=proof.verifier,
            challenge=proof.challenge,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationWish:
    """What a sign-in is to be like.

    Attributes:
        redirect_uri: Where the browser is sent back to; registered at the provider.
        state: Of the flow.
        nonce: Of the flow.
        challenge: Of the flow's verifier, S256.
        acr_values: Authentication classes, the most wanted first; none for the provider's choice.
        max_age: Show again who you are if it was longer ago.
        prompt: Such as ``login``, beside what is asked for always; empty for nothing more.
        login_hint: Who is expected.
    """

    redirect_uri: str
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    challenge: str
    acr_values: tuple[str, ...] = ()
    max_age: timedelta | None = None
    prompt: str = ""
    login_hint: str = ""


def authorization_url(
    metadata: ProviderMetadata, settings: ProviderSettings, wish: AuthorizationWish
) -> str:
    """Return where to send the browser.

    Raises:
        ProviderSilence: Nobody could tell its answer from another provider's.
    """
    if settings.shares_callback and not metadata.names_itself:
        raise ProviderSilence(
            f"{settings.issuer.url}: its answers do not say whose they are (`iss`, RFC 9207), and"
            " those of another provider come to the same redirect URI; set `callback` for it, and"
            " register the redirect URI that this gives"
        )
    # Ours last: what the operator adds can replace none of them, but for what `_prompt` says.
    parameters = dict(settings.parameters) | {
        "response_type": "code",
        "client_id": settings.client_id,
        "redirect_uri": wish.redirect_uri,
        "scope": " ".join(metadata.scopes),
        "state": wish.state,
        "nonce": wish.nonce,
        "code_challenge": wish.challenge,
        "code_challenge_method": "S256",
        "acr_values": " ".join(wish.acr_values),
        "max_age": "" if wish.max_age is None else str(int(wish.max_age.total_seconds())),
        "prompt": _prompt(metadata, settings, wish),
        "login_hint": wish.login_hint,
    }
    query = urlencode({name: value for name, value in parameters.items() if value})
    endpoint = metadata.authorization_endpoint
    return endpoint + ("&" if "?" in endpoint else "?") + query


def code_of_answer(
    parameters: Mapping[str, str],
    metadata: ProviderMetadata,
    settings: ProviderSettings,
    state: str,
) -> str:
    """Return the code that the browser came back with.

    Args:
        parameters: Of the query, each once; the caller refuses any that comes twice.
        metadata: The provider's.
        settings: The provider that the browser was sent to.
        state: What it was sent with.

    Raises:
        Unauthenticated: The answer is not one to this question, or not this provider's.
        ProviderRefusal: The provider, or the person, said no.
    """
    if not state or not hmac.compare_digest(parameters.get("state", "").encode(), state.encode()):
        raise Unauthenticated("the answer does not belong to this sign-in; sign in again")
    _check_issuer(parameters, metadata, settings)
    if "error" in parameters:
        raise ProviderRefusal(parameters["error"], parameters.get("error_description", ""))
    code = parameters.get("code", "")
    if not code:
        raise Unauthenticated("the identity provider sent the browser back without a code")
    return code


def _check_issuer(
    parameters: Mapping[str, str], metadata: ProviderMetadata, settings: ProviderSettings
) -> None:
    # RFC 9207 section 2.4: before anything else in the answer is believed, errors too; and where
    # the provider says that it names itself, an answer without is another's.
    issuer = parameters.get("iss", "")
    must_be_named = metadata.names_itself or settings.shares_callback
    if issuer != settings.issuer.url and (issuer or must_be_named):
        raise Unauthenticated(
            f"the answer is not from {settings.issuer.url}, which this sign-in was sent to"
        )


def _prompt(metadata: ProviderMetadata, settings: ProviderSettings, wish: AuthorizationWish) -> str:
    # OpenID Connect Core 1.0 section 11: without consent no refresh token. Some need none for that
    # and take one value only, others need it for another scope: so the operator may say otherwise.
    usual = "consent" if "offline_access" in metadata.scopes else ""
    always = dict(settings.parameters).get("prompt", usual)
    return " ".join(dict.fromkeys([*wish.prompt.split(), *always.split()]))
