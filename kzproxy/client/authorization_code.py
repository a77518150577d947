"""Signing in with a browser on this machine: authorization code with PKCE (RFC 8252, RFC 7636)."""

import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Generic
from urllib.parse import urlencode

from kzproxy.client.callback_listener import Arrival, CallbackListener, Parameters
from kzproxy.client.callback_page import failure_page, success_page
from kzproxy.client.failure import ClientFailure
from kzproxy.client.granting import Grants, GrantT
from kzproxy.client.pkce import ProofKey
from kzproxy.client.provider import Provider
from kzproxy.client.token_endpoint import Refused

SECRET_BYTES = 32
BAD_REQUEST = "400 Bad Request"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRequest:
    """One question to the issuer; its answer must name ``state`` and ``nonce``."""

    client_id: str
    redirect_uri: str
    scopes: tuple[str, ...]
    extra: dict[str, str]
    state: str
    nonce: str
    proof_key: ProofKey

    def url(self, endpoint: str) -> str:
        """Return where to send the browser."""
        parameters = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "state": self.state,
            "nonce": self.nonce,
            **self.proof_key.parameters,
            **self.extra,
        }
        if self.scopes:
            parameters["scope"] = " ".join(self.scopes)
        return endpoint + ("&" if "?" in endpoint else "?") + urlencode(parameters)


class AuthorizationCodeFlow(Generic[GrantT]):
    """Asks in the browser and redeems the code that comes back.

    Args:
        provider: Whom to ask.
        endpoint: Its token endpoint.
        client_id: As which client.
        prompt: Sent where a refresh token is asked for; empty: none is.
        extra: Further parameters of the request.
    """

    def __init__(
        self,
        provider: Provider,
        endpoint: Grants[GrantT],
        client_id: str,
        prompt: str,
        extra: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._provider = provider
        self._endpoint = endpoint
        self._client_id = client_id
        self._prompt = prompt
        self._extra = dict(extra)

    def run(
        self,
        listener: CallbackListener,
        scopes: tuple[str, ...],
        deadline: float,
        send_to: Callable[[str], None],
    ) -> GrantT:
        """Sign in; ``send_to`` shows the user the URL.

        Args:
            listener: Bound already; closed by the caller.
            scopes: To ask for.
            deadline: Monotonic seconds by which the user must be back.
            send_to: Called once.

        Raises:
            ClientFailure: The user or the issuer refused, or did not come back in time.
        """
        request = self._request(listener.redirect_uri, scopes)
        send_to(request.url(self._provider.authorization_endpoint))
        arrival = self._answer_to(request, listener, deadline)
        try:
            tokens = self._redeem(request, arrival.parameters)
        except ClientFailure as failure:
            arrival.answer(BAD_REQUEST, failure_page(str(failure)))
            raise
        arrival.answer("200 OK", success_page())
        return tokens

    def run_by_hand(
        self, redirect_uri: str, scopes: tuple[str, ...], read_code: Callable[[str], str]
    ) -> GrantT:
        """Sign in; the user carries the code here themselves.

        There is no ``state`` to compare. Somebody else's code, which the user was talked into
        pasting, is of no use: it belongs to another PKCE verifier.

        Args:
            redirect_uri: Of a page that shows the code.
            scopes: To ask for.
            read_code: Shows the user the URL, and returns what they paste.

        Raises:
            ClientFailure: The user or the issuer refused.
        """
        request = self._request(redirect_uri, scopes)
        code = read_code(request.url(self._provider.authorization_endpoint))
        if not code:
            raise ClientFailure("no code was given; run the command again")
        return self._redeemed(request, code)

    def _request(self, redirect_uri: str, scopes: tuple[str, ...]) -> AuthorizationRequest:
        # OpenID Connect Core 1.0 section 11: without consent no refresh token.
        prompts = self._prompt and "offline_access" in scopes
        return AuthorizationRequest(
            client_id=self._client_id,
            redirect_uri=redirect_uri,
            scopes=scopes,
            extra={**({"prompt": self._prompt} if prompts else {}), **self._extra},
            state=secrets.token_urlsafe(SECRET_BYTES),
            nonce=secrets.token_urlsafe(SECRET_BYTES),
            proof_key=ProofKey.generate(),
        )

    def _answer_to(
        self, request: AuthorizationRequest, listener: CallbackListener, deadline: float
    ) -> Arrival:
        """Wait for the answer to ``request``: a foreign one is refused and waited past.

        Only who knows ``state`` can end the wait, so that no other page or program can.
        """
        while arrival := listener.wait(deadline):
            state = arrival.parameters.get("state", "")
            if hmac.compare_digest(state.encode(), request.state.encode()):
                return arrival
            arrival.answer(BAD_REQUEST, failure_page("This does not belong to this sign-in"))
        raise ClientFailure("nobody signed in in the browser in time; run the command again")

    def _redeem(self, request: AuthorizationRequest, parameters: Parameters) -> GrantT:
        self._check_issuer(parameters)
        if "error" in parameters:
            description = parameters.get("error_description", "")
            raise Refused(parameters["error"], description, who=self._provider.called)
        code = parameters.get("code", "")
        if not code:
            raise ClientFailure("the issuer sent the browser back without a code")
        return self._redeemed(request, code)

    def _redeemed(self, request: AuthorizationRequest, code: str) -> GrantT:
        verifier = request.proof_key.verifier
        granted = self._endpoint.redeem_code(code, request.redirect_uri, verifier)
        granted.check(self._provider.issuer, self._client_id, request.nonce)
        return granted

    def _check_issuer(self, parameters: Parameters) -> None:
        """Refuse another issuer's answer (RFC 9207 section 2.4)."""
        named = parameters.get("iss")
        if named is None and self._provider.names_itself:
            raise ClientFailure("the answer does not name its issuer, as it should (RFC 9207)")
        if named is not None and named != self._provider.issuer:
            raise ClientFailure(f"the answer is from issuer {named!r}, not from the one asked")
