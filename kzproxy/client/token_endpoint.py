"""The issuer's token endpoint, and the endpoint that takes tokens back."""

import base64
from dataclasses import dataclass, field
from urllib.parse import quote_plus

from kzproxy.client.bounded_file import read_bounded
from kzproxy.client.failure import ClientFailure
from kzproxy.client.id_token import check_claims, read_claims
from kzproxy.client.issuer_http import Answer, Document, IssuerHttp, IssuerUnreachable
from kzproxy.client.plugin_settings import IssuerClient
from kzproxy.client.provider import Provider

DEVICE_CODE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
MAX_SECRET_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What a sign-in or a refresh gives."""

    id_token: str = field(repr=False)
    refresh_token: str = field(repr=False)

    def check(self, issuer: str, client_id: str, nonce: str | None) -> None:
        """Check that they answer this sign-in; see ``check_claims``."""
        check_claims(read_claims(self.id_token), issuer, client_id, nonce)


class Refused(ClientFailure):
    """The issuer said no.

    Attributes:
        error: The OAuth error code (RFC 6749 section 5.2).
        description: For the user; may be empty.
        document: The whole answer.
    """

    def __init__(
        self,
        error: str,
        description: str,
        document: Document | None = None,
        *,
        who: str = "the issuer",
    ) -> None:
        super().__init__(f"{who} refused: {description or error}")
        self.error = error
        self.description = description
        self.document = document or {}


class TokenEndpoint:
    """One client's dealings with one issuer."""

    def __init__(self, http: IssuerHttp, provider: Provider, client: IssuerClient) -> None:
        self._http = http
        self._provider = provider
        self._client_id = client.client_id
        self._secret = _secret(client.client_secret_file)

    def redeem_code(self, code: str, redirect_uri: str, code_verifier: str) -> Tokens:
        """Trade an authorization code for tokens (RFC 6749 section 4.1.3, RFC 7636)."""
        form = {"code": code, "redirect_uri": redirect_uri, "code_verifier": code_verifier}
        return self._tokens({"grant_type": "authorization_code", **form}, "")

    def redeem_device_code(self, device_code: str, code_verifier: str) -> Tokens:
        """Trade a device code for tokens (RFC 8628 section 3.4)."""
        form = {"device_code": device_code, "code_verifier": code_verifier}
        return self._tokens({"grant_type": DEVICE_CODE_GRANT, **form}, "")

    def refresh(self, refresh_token: str) -> Tokens:
        """Fetch the next ID token (RFC 6749 section 6).

        The answer's refresh token replaces the old one, which may have become invalid.
        """
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        return self._tokens(form, refresh_token)

    def ask_device_code(self, scopes: tuple[str, ...], extra: dict[str, str]) -> Document:
        """Return the device authorization response (RFC 8628 section 3.2)."""
        form = {"scope": " ".join(scopes), **extra}
        answer = self._post(self._provider.device_authorization_endpoint, form)
        refuse_error(answer)
        return answer.document

    def revoke(self, refresh_token: str) -> None:
        """Take a refresh token back (RFC 7009)."""
        form = {"token": refresh_token, "token_type_hint": "refresh_token"}
        answer = self._post(self._provider.revocation_endpoint, form)
        if answer.status != 200:
            refuse_error(answer)

    def _tokens(self, form: dict[str, str], refresh_token: str) -> Tokens:
        answer = self._post(self._provider.token_endpoint, form)
        refuse_error(answer)
        document = answer.document
        id_token = document.get("id_token")
        if not isinstance(id_token, str) or not id_token:
            raise ClientFailure("the issuer gave no ID token; is `openid` among the scopes?")
        if str(document.get("token_type")).lower() != "bearer":
            raise ClientFailure(f"the issuer gave a {document.get('token_type')!r} token")
        # Some write null or nothing for what they do not give.
        next_refresh_token = document.get("refresh_token") or refresh_token
        if not isinstance(next_refresh_token, str):
            raise ClientFailure("the issuer gave a refresh token that is not text")
        return Tokens(id_token=id_token, refresh_token=next_refresh_token)

    def _post(self, url: str, form: dict[str, str]) -> Answer:
        """Post as this client (RFC 6749 section 2.3.1)."""
        form = {**form, "client_id": self._client_id}
        if not self._secret:
            return self._http.post(url, form)
        if self._provider.secret_in_form:
            return self._http.post(url, {**form, "client_secret": self._secret})
        pair = f"{quote_plus(self._client_id)}:{quote_plus(self._secret)}"
        return self._http.post(url, form, "Basic " + base64.b64encode(pair.encode()).decode())


def _secret(path: str) -> str:
    if not path:
        return ""
    secret = read_bounded(path, MAX_SECRET_BYTES, "the client secret").decode("utf-8", "replace")
    if not secret.strip():
        raise ClientFailure(f"the client secret {path} is empty")
    return secret.strip()


def refuse_error(answer: Answer, who: str = "the issuer") -> None:
    """Raise what an answer of ``who`` says that is no success (RFC 6749 section 5.2)."""
    if answer.status == 200 and answer.document and "error" not in answer.document:
        return
    error = answer.document.get("error")
    if not isinstance(error, str):
        raise IssuerUnreachable(f"{who} answers {answer.status} without saying why")
    description = str(answer.document.get("error_description") or "")
    raise Refused(error, description, answer.document, who=who)
