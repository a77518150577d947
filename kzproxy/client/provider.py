"""What an issuer says about itself (OpenID Connect Discovery 1.0, RFC 8414)."""

from dataclasses import dataclass, replace

from kzproxy.client.failure import ClientFailure
from kzproxy.client.issuer_http import Document, IssuerHttp, IssuerUnreachable

# Asked for where the user has named no scopes: what names the user, and a refresh token.
USUAL_SCOPES = ("offline_access", "profile", "email", "groups")


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """An issuer's discovery document, as far as signing in needs it.

    Attributes:
        issuer: Exactly as configured.
        authorization_endpoint: https.
        token_endpoint: https.
        device_authorization_endpoint: https, or empty (RFC 8628 section 4).
        revocation_endpoint: https, or empty (RFC 7009).
        nonce_endpoint: kzproxy's own, for posture reports; or empty.
        scopes: Supported ones; None where it does not say.
        names_itself: Whether its authorization responses carry ``iss`` (RFC 9207 section 3).
        secret_in_form: Whether a client's secret goes into the form, not into the header.
        called: What it is to the user.
    """

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    device_authorization_endpoint: str = ""
    revocation_endpoint: str = ""
    nonce_endpoint: str = ""
    scopes: tuple[str, ...] | None = None
    names_itself: bool = False
    secret_in_form: bool = False
    called: str = "the issuer"

    def scopes_for(self, wanted: tuple[str, ...]) -> tuple[str, ...]:
        """Return the scopes to ask for: the ``wanted`` ones, or the usual ones it supports."""
        if wanted:
            return ("openid", *(scope for scope in wanted if scope != "openid"))
        known = ("offline_access",) if self.scopes is None else self.scopes
        return ("openid", *(scope for scope in USUAL_SCOPES if scope in known))


def discover(http: IssuerHttp, issuer: str) -> Provider:
    """Fetch the discovery document of ``issuer``.

    Raises:
        IssuerUnreachable: It cannot be had.
        ClientFailure: It is not that of ``issuer``, or signing in there would not be safe.
    """
    # OpenID Connect Discovery 1.0 section 4: a trailing / goes before the path is appended.
    url = issuer.rstrip("/") + "/.well-known/openid-configuration"
    return _provider(_document(http, url, issuer, "--issuer"), issuer)


def discover_sign_in(http: IssuerHttp, issuer: str) -> Provider:
    """Fetch what kzproxy's own sign-in says about itself (RFC 8414).

    Raises:
        IssuerUnreachable: It cannot be had.
        ClientFailure: It is not kzproxy's sign-in, or not the one at ``issuer``.
    """
    url = f"{issuer}/.well-known/oauth-authorization-server"
    document = _document(http, url, issuer, "--sign-in-url")
    # A token that is not bound to our certificate would be good for whoever comes by it.
    if document.get("tls_client_certificate_bound_access_tokens") is not True:
        raise ClientFailure(
            f"{issuer} is not kzproxy's own sign-in; an OpenID issuer is named with --issuer"
        )
    return replace(_provider(document, issuer), called="kzproxy")


def _document(http: IssuerHttp, url: str, issuer: str, option: str) -> Document:
    answer = http.get(url)
    if answer.status != 200 or not answer.document:
        raise IssuerUnreachable(f"{url} answers {answer.status} without a discovery document")
    document = answer.document
    # Section 4.3: must be identical; else one issuer could pass for another.
    if document.get("issuer") != issuer:
        raise ClientFailure(
            f"{url} is the document of issuer {document.get('issuer')!r}, not of {issuer!r};"
            f" {option} must be exactly what the issuer calls itself"
        )
    return document


def _provider(document: Document, issuer: str) -> Provider:
    methods = _strings(document, "code_challenge_methods_supported")
    if methods is not None and "S256" not in methods:
        raise ClientFailure(f"{issuer} does not support PKCE with S256; kzproxy needs it")
    authentication = _strings(document, "token_endpoint_auth_methods_supported")
    return Provider(
        issuer=issuer,
        authorization_endpoint=_endpoint(document, "authorization_endpoint", required=True),
        token_endpoint=_endpoint(document, "token_endpoint", required=True),
        device_authorization_endpoint=_endpoint(document, "device_authorization_endpoint"),
        revocation_endpoint=_endpoint(document, "revocation_endpoint"),
        nonce_endpoint=_endpoint(document, "kzproxy_nonce_endpoint"),
        scopes=_strings(document, "scopes_supported"),
        names_itself=document.get("authorization_response_iss_parameter_supported") is True,
        secret_in_form=authentication is not None
        and "client_secret_basic" not in authentication
        and "client_secret_post" in authentication,
    )


def _strings(document: Document, name: str) -> tuple[str, ...] | None:
    value = document.get(name)
    if not isinstance(value, list):
        return None
    return tuple(item for item in value if isinstance(item, str))


def _endpoint(document: Document, name: str, *, required: bool = False) -> str:
    value = document.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or not value.startswith("https://") or not value.isprintable():
        raise ClientFailure(f"the issuer's {name} is not an https URL: {value!r}")
    return value
