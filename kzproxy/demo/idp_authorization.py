"""Authorization requests (RFC 6749 section 4.1.1, RFC 7636, OpenID Connect Core 3.1.2.1)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from kzproxy.demo.idp_clients import SCOPES, Client
from kzproxy.demo.idp_errors import PageRefusal, RedirectedError
from kzproxy.demo.idp_forms import Parameters
from kzproxy.demo.idp_grants import PLAIN_CLASS, STRONG_CLASS
from kzproxy.demo.idp_users import demo_user

# RFC 7636 section 4.2: base64url of a SHA-256, which is always 43 characters.
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_NOT_SUPPORTED = {
    "request": "request_not_supported",
    "request_uri": "request_uri_not_supported",
    "registration": "registration_not_supported",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRequest:
    """A client's wish for a code, found good.

    Attributes:
        login_hint: The name of the user that the client expects; empty where it names none we know.
        authentication_class: What the sign-in will be said to be worth (``acr``).
    """

    client: Client
    redirect_uri: str
    scopes: tuple[str, ...]
    state: str
    nonce: str
    code_challenge: str
    login_hint: str = ""
    authentication_class: str = PLAIN_CLASS


def parse_authorization_request(
    parameters: Parameters, clients: Mapping[str, Client]
) -> AuthorizationRequest:
    """Read an authorization request.

    Raises:
        PageRefusal: The client or its redirect URI is in doubt; nothing may be sent there.
        RedirectedError: The client is told at its redirect URI.
    """
    client = _client(parameters, clients)
    fault = _fault(parameters)
    if fault is not None:
        error, description = fault
        raise RedirectedError(
            error,
            description,
            redirect_uri=parameters["redirect_uri"],
            state=parameters["state"],
        )
    return AuthorizationRequest(
        client=client,
        redirect_uri=parameters["redirect_uri"],
        scopes=granted_scopes(parameters["scope"]),
        state=parameters["state"],
        nonce=parameters["nonce"],
        code_challenge=parameters["code_challenge"],
        login_hint=_known_user(parameters["login_hint"]),
        authentication_class=_authentication_class(parameters["acr_values"]),
    )


def granted_scopes(asked: str) -> tuple[str, ...]:
    """Return the scopes that we know, in our order; others are left out (Core 3.1.2.1)."""
    wanted = asked.split(" ")
    return tuple(scope for scope in SCOPES if scope in wanted)


def _client(parameters: Parameters, clients: Mapping[str, Client]) -> Client:
    if parameters.fault:
        raise PageRefusal(f"The request cannot be read: {parameters.fault}.")
    client = clients.get(parameters["client_id"])
    if client is None:
        raise PageRefusal("No client of this name (client_id) is registered here.")
    if not client.accepts_redirect(parameters["redirect_uri"]):
        raise PageRefusal("The client asks for an answer at an address that is not registered.")
    return client


def _fault(parameters: Parameters) -> tuple[str, str] | None:
    """Return error and description, or None for a good request."""
    for name, error in _NOT_SUPPORTED.items():
        if parameters[name]:
            return error, f"the parameter {name} is not supported"
    if parameters["response_type"] != "code":
        return "unsupported_response_type", "response_type must be code"
    if parameters["response_mode"] not in {"", "query"}:
        return "invalid_request", "response_mode must be query"
    if "openid" not in parameters["scope"].split(" "):
        return "invalid_scope", "scope must hold openid"
    return _challenge_fault(parameters) or _prompt_fault(parameters)


def _challenge_fault(parameters: Parameters) -> tuple[str, str] | None:
    if not parameters["code_challenge"]:
        return "invalid_request", "code_challenge is required"
    # Absent means "plain" (RFC 7636 section 4.3), which protects nothing that is overheard.
    if parameters["code_challenge_method"] != "S256":
        return "invalid_request", "code_challenge_method must be S256"
    if not _CHALLENGE.fullmatch(parameters["code_challenge"]):
        return "invalid_request", "code_challenge must be 43 characters of base64url"
    return None


def _prompt_fault(parameters: Parameters) -> tuple[str, str] | None:
    prompts = parameters["prompt"].split()
    if "none" not in prompts:
        return None
    if len(prompts) > 1:
        return "invalid_request", "prompt none goes with no other"
    # Each sign-in here is a fresh one: there is no session at the provider to go on with.
    return "login_required", "the demo provider always asks"


def _authentication_class(asked: str) -> str:
    """Return the stronger class where it is asked for: a demo can only say so."""
    return STRONG_CLASS if STRONG_CLASS in asked.split() else PLAIN_CLASS


def _known_user(hint: str) -> str:
    user = demo_user(hint.partition("@")[0])
    return "" if user is None else user.name
