"""kzproxy's token endpoint: signing in, renewing a session, and ending it."""

from kzproxy.client.issuer_http import Document, IssuerHttp
from kzproxy.client.plugin_settings import SESSION_CLIENT_ID
from kzproxy.client.session_grant import SessionGrant, parse_grant
from kzproxy.client.step_up import SessionEnded, StepUp
from kzproxy.client.token_endpoint import DEVICE_CODE_GRANT, Refused, refuse_error

INVALID_GRANT = "invalid_grant"
# RFC 9470 section 3: the session holds, but its sign-in is not strong or fresh enough.
STEP_UP = "insufficient_user_authentication"
KZPROXY = "kzproxy"
_MAX_SAID = 1000


class SessionEndpoint:
    """This client's dealings with the token endpoint of one kzproxy.

    Args:
        http: For a renewal it must show the session's certificate.
        token_endpoint: https.
    """

    def __init__(self, http: IssuerHttp, token_endpoint: str) -> None:
        self._http = http
        self._token_endpoint = token_endpoint

    def renew(self, renewal_token: str, *, request: str = "", report: str = "") -> SessionGrant:
        """Fetch the next token (RFC 6749 section 6); the renewal token is used up by this.

        Args:
            renewal_token: Of the session.
            request: For the next certificate, PEM; empty: the one there is goes on.
            report: Of the machine's posture, signed; may be empty.

        Raises:
            SessionEnded: There is none any more; or only after another sign-in.
        """
        form = {"grant_type": "refresh_token", "refresh_token": renewal_token}
        more = {name: value for name, value in (("csr", request), ("posture", report)) if value}
        try:
            return self._grant({**form, **more})
        except Refused as refused:
            if refused.error not in (INVALID_GRANT, STEP_UP):
                raise
            raise SessionEnded(
                refused.description[:_MAX_SAID],
                StepUp.parse(refused.document),
                holds=refused.error == STEP_UP,
            ) from None

    def nonce(self, endpoint: str) -> str:
        """Return a nonce for a posture report; empty where there is none to be had."""
        answer = self._http.post(endpoint, {"client_id": SESSION_CLIENT_ID})
        found = answer.document.get("nonce")
        return found if isinstance(found, str) and answer.status == 200 else ""

    def revoke(self, endpoint: str, renewal_token: str) -> None:
        """End the session (RFC 7009)."""
        form = {"token": renewal_token, "token_type_hint": "refresh_token"}
        answer = self._http.post(endpoint, {**form, "client_id": SESSION_CLIENT_ID})
        if answer.status != 200:
            refuse_error(answer, KZPROXY)

    def _grant(self, form: dict[str, str]) -> SessionGrant:
        answer = self._http.post(self._token_endpoint, {**form, "client_id": SESSION_CLIENT_ID})
        refuse_error(answer, KZPROXY)
        return parse_grant(answer.document)


class SessionSignIn(SessionEndpoint):
    """The same with a request for a certificate, for a sign-in.

    Args:
        http: Shows no certificate.
        token_endpoint: https.
        device_authorization_endpoint: https, or empty.
        request: For the client's certificate, PEM.
    """

    def __init__(
        self,
        http: IssuerHttp,
        token_endpoint: str,
        device_authorization_endpoint: str,
        request: str,
    ) -> None:
        super().__init__(http, token_endpoint)
        self._device_authorization_endpoint = device_authorization_endpoint
        self._request = request

    def redeem_code(self, code: str, redirect_uri: str, code_verifier: str) -> SessionGrant:
        """Trade an authorization code for a session (RFC 6749 section 4.1.3, RFC 7636)."""
        form = {"code": code, "redirect_uri": redirect_uri, "code_verifier": code_verifier}
        return self._signed_in({"grant_type": "authorization_code", **form})

    def redeem_device_code(self, device_code: str, code_verifier: str) -> SessionGrant:
        """Trade a device code for a session (RFC 8628 section 3.4)."""
        form = {"device_code": device_code, "code_verifier": code_verifier}
        return self._signed_in({"grant_type": DEVICE_CODE_GRANT, **form})

    def ask_device_code(self, scopes: tuple[str, ...], extra: dict[str, str]) -> Document:
        """Return the device authorization response (RFC 8628 section 3.2)."""
        form = {**extra, "client_id": SESSION_CLIENT_ID}
        if scopes:
            form["scope"] = " ".join(scopes)
        answer = self._http.post(self._device_authorization_endpoint, form)
        refuse_error(answer, KZPROXY)
        return answer.document

    def _signed_in(self, form: dict[str, str]) -> SessionGrant:
        return self._grant({**form, "csr": self._request})
