"""What the demo identity provider says of itself (OpenID Connect Discovery 1.0, section 3)."""

from typing import Any

from kzproxy.demo.idp_clients import SCOPES
from kzproxy.demo.idp_grants import PLAIN_CLASS, STRONG_CLASS
from kzproxy.demo.idp_settings import SigningAlgorithm
from kzproxy.demo.idp_token_endpoint import DEVICE_CODE_GRANT

_CLAIMS = (
    *("iss", "sub", "aud", "azp", "exp", "iat", "auth_time", "nonce", "sid", "amr", "acr"),
    *("preferred_username", "name", "email", "email_verified", "groups"),
)

_SECRET_METHODS = ("client_secret_basic", "client_secret_post")


def discovery_document(issuer: str, algorithm: SigningAlgorithm) -> dict[str, Any]:
    """Return the document, with the additions of RFC 8414, 8628 and 9207."""
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "userinfo_endpoint": f"{issuer}/userinfo",
        "jwks_uri": f"{issuer}/jwks.json",
        "revocation_endpoint": f"{issuer}/revoke",
        "device_authorization_endpoint": f"{issuer}/device-authorization",
        "introspection_endpoint": f"{issuer}/introspect",
        "end_session_endpoint": f"{issuer}/end-session",
        "scopes_supported": list(SCOPES),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", DEVICE_CODE_GRANT],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [str(algorithm)],
        "token_endpoint_auth_methods_supported": [*_SECRET_METHODS, "none"],
        "revocation_endpoint_auth_methods_supported": [*_SECRET_METHODS, "none"],
        "introspection_endpoint_auth_methods_supported": list(_SECRET_METHODS),
        "code_challenge_methods_supported": ["S256"],
        "acr_values_supported": [PLAIN_CLASS, STRONG_CLASS],
        "claims_supported": list(_CLAIMS),
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "authorization_response_iss_parameter_supported": True,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "claims_parameter_supported": False,
    }
