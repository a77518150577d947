"""Signing in with a browser on this machine: authorization code with PKCE (RFC 8252, RFC 7636)."""

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from kzproxy.client.callback_listener import Arrival, CallbackListener, Parameters
from kzproxy.client.callback_page import failure_page, success_page
from kzproxy.client.failure import ClientFailure
from kzproxy.client.id_token import check_claims, read_claims
from kzproxy.client.pkce import ProofKey
from kzproxy.client.provider import Provider
from kzproxy.client.token_endpoint import Refused, TokenEndpoint, Tokens

SECRET_BYTES = 32
BAD_REQUEST = "400 Bad Request"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRequest:
    """One question to the issuer; its answer must name ``state`` and ``nonce``."""

    client_id: str
    redirect_uri: str
    scopes: tuple[str, ...]
    prompt: str
    state: str
    nonce: str
    proof_key: ProofKey

    def url(self, endpoint: str) -> str:
        """Return where to send the browser."""
        parameters = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": " ".join(self.scopes),
            "state": self.state,
            "nonce": self.nonce,
            **self.proof_key.parameters,
        }
        # OpenID Connect Core 1.0 section 11: without consent no refresh token.
        if self.prompt and "offline_access" in self.scopes:
            parameters["prompt"] = self.prompt
        return endpoint + ("&" if "?" in endpoint else "?") + urlencode(parameters)


class AuthorizationCodeFlow:
    """Asks in the browser and redeems the code that comes back."""

    def __init__(
        self, provider: Provider, endpoint: TokenEndpoint, client_id: str, prompt: str
    ) -> None:
        self._provider = provider
        self._endpoint = endpoint
        self._client_id = client_id
        self._prompt = prompt

    def run(
        self,
        listener: CallbackListener,
        scopes: tuple[str, ...],
        deadline: float,
        send_to: Callable[[str], None],
    ) -> Tokens:
        """Sign in; ``send_to`` shows the user the URL.

        Args:
            listener: Bound already; closed by the caller.
            scopes: To ask for.
            deadline: Monotonic seconds by which the user must be back.
            send_to: Called once.

        Raises:
            ClientFailure: The user or the issuer refused, or did not come back in time.
        """
        request = AuthorizationRequest(
            client_id=self._client_id,
            redirect_uri=listener.redirect_uri,
            scopes=scopes,
            prompt=self._prompt,
            state=secrets.token_urlsafe(SECRET_BYTES),
            nonce=secrets.token_urlsafe(SECRET_BYTES),
            proof_key=ProofKey.generate(),
        )
        send_to(request.url(self._provider.authorization_endpoint))
        arrival = self._answer_to(request, listener, deadline)
        try:
            tokens = self._redeem(request, arrival.parameters)
        except ClientFailure as failure:
            arrival.answer(BAD_REQUEST, failure_page(str(failure)))
            raise
        arrival.answer("200 OK", success_page())
        return tokens

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

    def _redeem(self, request: AuthorizationRequest, parameters: Parameters) -> Tokens:
        self._check_issuer(parameters)
        if "error" in parameters:
            raise Refused(parameters["error"], parameters.get("error_description", ""))
        code = parameters.get("code", "")
        if not code:
            raise ClientFailure("the issuer sent the browser back without a code")
        verifier = request.proof_key.verifier
        tokens = self._endpoint.redeem_code(code, request.redirect_uri, verifier)
        issuer = self._provider.issuer
        check_claims(read_claims(tokens.id_token), issuer, self._client_id, request.nonce)
        return tokens

    def _check_issuer(self, parameters: Parameters) -> None:
        """Refuse another issuer's answer (RFC 9207 section 2.4)."""
        named = parameters.get("iss")
        if named is None and self._provider.names_itself:
            raise ClientFailure("the answer does not name its issuer, as it should (RFC 9207)")
        if named is not None and named != self._provider.issuer:
            raise ClientFailure(f"the answer is from issuer {named!r}, not from the one asked")
