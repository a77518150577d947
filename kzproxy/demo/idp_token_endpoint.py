"""What clients ask for without a browser: tokens, device codes, userinfo, revocation."""

from collections.abc import Mapping

from aiohttp import web

from kzproxy.demo.idp_authorization import granted_scopes
from kzproxy.demo.idp_client_authentication import authenticated_client
from kzproxy.demo.idp_clients import Client
from kzproxy.demo.idp_codes import AuthorizationCodes
from kzproxy.demo.idp_device import DeviceAuthorizations
from kzproxy.demo.idp_errors import OAuthError
from kzproxy.demo.idp_forms import Parameters
from kzproxy.demo.idp_grants import Grant, Grants
from kzproxy.demo.idp_tokens import TokenIssuer, user_claims

DEVICE_CODE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_BEARER = "bearer "


class TokenEndpoint:
    """Turns codes, device codes and refresh tokens into tokens (RFC 6749 section 3.2)."""

    def __init__(
        self,
        *,
        clients: Mapping[str, Client],
        codes: AuthorizationCodes,
        devices: DeviceAuthorizations,
        grants: Grants,
        tokens: TokenIssuer,
    ) -> None:
        self._clients = clients
        self._codes = codes
        self._devices = devices
        self._grants = grants
        self._tokens = tokens

    async def token(self, request: web.Request) -> web.Response:
        """Answer the token endpoint."""
        parameters, client = await authenticated_client(request, self._clients)
        match parameters["grant_type"]:
            case "authorization_code":
                return self._by_code(parameters, client)
            case "refresh_token":
                return self._by_refresh_token(parameters, client)
            case value if value == DEVICE_CODE_GRANT:
                grant = self._devices.poll(parameters["device_code"], client_id=client.client_id)
                return web.json_response(self._tokens.answer(grant))
            case _:
                raise OAuthError("unsupported_grant_type", "this grant_type is not served here")

    async def revoke(self, request: web.Request) -> web.Response:
        """Answer the revocation endpoint: 200 for whatever token (RFC 7009 section 2.2)."""
        parameters, client = await authenticated_client(request, self._clients)
        if not parameters["token"]:
            raise OAuthError("invalid_request", "token is required")
        self._grants.revoke(parameters["token"], client_id=client.client_id)
        return web.Response()

    async def userinfo(self, request: web.Request) -> web.Response:
        """Answer userinfo (Core 5.3) for a bearer token in the header."""
        header = request.headers.get("Authorization", "")
        grant: Grant | None = None
        if header.lower().startswith(_BEARER):
            grant = self._grants.of_access_token(header[len(_BEARER) :])
        if grant is None:
            challenge = 'Bearer error="invalid_token"' if header else "Bearer"
            return web.Response(status=401, headers={"WWW-Authenticate": challenge})
        return web.json_response(user_claims(grant))

    def _by_code(self, parameters: Parameters, client: Client) -> web.Response:
        grant, nonce = self._codes.redeem(
            parameters["code"],
            client_id=client.client_id,
            redirect_uri=parameters["redirect_uri"],
            verifier=parameters["code_verifier"],
        )
        return web.json_response(self._tokens.answer(grant, nonce=nonce))

    def _by_refresh_token(self, parameters: Parameters, client: Client) -> web.Response:
        grant = self._grants.use_refresh_token(
            parameters["refresh_token"], client_id=client.client_id
        )
        if grant is None:
            raise OAuthError("invalid_grant", "the refresh token is unknown, used or has ended")
        return web.json_response(self._tokens.answer(grant))


class DeviceEndpoint:
    """Begins device sign-ins (RFC 8628 section 3.1)."""

    def __init__(
        self,
        *,
        clients: Mapping[str, Client],
        devices: DeviceAuthorizations,
        verification_uri: str,
        lifetime_seconds: int,
    ) -> None:
        self._clients = clients
        self._devices = devices
        self._verification_uri = verification_uri
        self._lifetime_seconds = lifetime_seconds

    async def begin(self, request: web.Request) -> web.Response:
        """Answer the device authorization endpoint."""
        parameters, client = await authenticated_client(request, self._clients)
        scopes = granted_scopes(parameters["scope"])
        if "openid" not in scopes:
            raise OAuthError("invalid_scope", "scope must hold openid")
        device_code, waiting = self._devices.open(client, scopes)
        return web.json_response(
            {
                "device_code": device_code,
                "user_code": waiting.user_code,
                "verification_uri": self._verification_uri,
                "verification_uri_complete": (
                    f"{self._verification_uri}?user_code={waiting.user_code}"
                ),
                "expires_in": self._lifetime_seconds,
                "interval": waiting.interval.seconds,
            }
        )
