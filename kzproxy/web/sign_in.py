"""The sign-in listener's application: kzproxy as the authorization server of its own client."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlsplit

from aiohttp import web

from kzproxy.authentication.session_keys import SigningKeys
from kzproxy.errors.kinds import InternalError, ProxyError, ServiceUnavailable
from kzproxy.web.oauth_errors import OAuthError, PageRefusal, as_oauth
from kzproxy.web.oauth_parameters import MAX_BODY_BYTES
from kzproxy.web.session_grants import SessionGrants
from kzproxy.web.sign_in_browser import BrowserSignIn
from kzproxy.web.sign_in_desk import SignInDesk
from kzproxy.web.sign_in_device import DeviceSignIn
from kzproxy.web.sign_in_pages import add_security_headers
from kzproxy.web.token_endpoint import DEVICE_CODE_GRANT, TokenEndpoint

log = logging.getLogger(__name__)

Endpoint = Callable[[web.Request], Awaitable[web.StreamResponse]]

ANSWER_SECONDS = 25.0
"""For one request, from its head to its answer; the provider is asked within it."""

_BUG = "kzproxy failed; the error is in its log"

_FOR_PEOPLE = web.RequestKey("for_people", bool)


class SignInApplication:
    """Puts the endpoints together."""

    def __init__(
        self,
        desk: SignInDesk,
        grants: SessionGrants,
        keys: SigningKeys,
        *,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._desk = desk
        self._answer_seconds = answer_seconds
        self._host = urlsplit(desk.url).netloc
        self._keys = keys
        self._browser = BrowserSignIn(desk)
        self._device = DeviceSignIn(desk, self._browser)
        self._tokens = TokenEndpoint(desk, grants)

    def build(self) -> web.Application:
        """Return the application; others may add paths of theirs to it."""
        application = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[self._guarded])
        application.add_routes(
            [
                web.get("/", self._page(self._front)),
                web.get("/style.css", self._file),
                web.get("/icon.svg", self._file),
                web.get("/.well-known/oauth-authorization-server", self._metadata),
                web.get("/.well-known/openid-configuration", self._metadata),
                web.get("/jwks", self._jwks),
                web.get("/authorize", self._page(self._browser.authorize)),
                web.get("/callback", self._page(self._browser.callback)),
                web.get("/callback/{name}", self._page(self._browser.callback)),
                web.get("/code", self._page(self._browser.code_page)),
                web.get("/device", self._page(self._device.ask_for_code)),
                web.post("/device", self._page(self._device.check_code)),
                web.post("/device/confirm", self._page(self._device.confirm)),
                web.post("/device_authorization", self._told(self._device.begin)),
                web.post("/token", self._told(self._tokens.token)),
                web.post("/revoke", self._told(self._tokens.revoke)),
            ]
        )
        return application

    async def _front(self, _: web.Request) -> web.Response:
        return self._desk.pages.page("front")

    async def _file(self, request: web.Request) -> web.Response:
        return self._desk.pages.file(request.path.removeprefix("/"))

    async def _jwks(self, _: web.Request) -> web.Response:
        return web.json_response(self._keys.published())

    async def _metadata(self, _: web.Request) -> web.Response:
        return web.json_response(metadata(self._desk.url))

    def _page(self, serve: Endpoint) -> Endpoint:
        """Have ``serve`` end in a page, whatever happens."""

        async def shown(request: web.Request) -> web.StreamResponse:
            request[_FOR_PEOPLE] = True
            try:
                return await serve(request)
            except PageRefusal as refusal:
                return self._refused(refusal)
            except ProxyError as error:
                _note(request, error)
                return self._refused(_as_page(error))

        return shown

    def _told(self, serve: Endpoint) -> Endpoint:
        """Have ``serve`` end in JSON, whatever happens."""

        async def told(request: web.Request) -> web.StreamResponse:
            try:
                return await serve(request)
            except OAuthError as error:
                return _error(error)
            except ProxyError as error:
                _note(request, error)
                return _error(as_oauth(error))

        return told

    def _refused(self, refusal: PageRefusal) -> web.Response:
        return self._desk.pages.message(
            refusal.title, refusal.message, status=refusal.status, mood="bad"
        )

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Endpoint) -> web.StreamResponse:
        response = await self._answered(request, handler)
        add_security_headers(response, self._host)
        # As it was sent, so that it is one line; without its query, which holds codes and states.
        log.debug("%s %s %s", request.method, request.rel_url.raw_path, response.status)
        return response

    async def _answered(self, request: web.Request, serve: Endpoint) -> web.StreamResponse:
        try:
            self._require_own_name(request)
            async with asyncio.timeout(self._answer_seconds):
                return await serve(request)
        except PageRefusal as refusal:
            return self._refused(refusal)
        except TimeoutError:
            late = ServiceUnavailable("That took too long; try again", retry_after_seconds=1)
            return self._failed(request, late)
        except web.HTTPClientError as error:
            return self._refused(
                PageRefusal("Nothing is served so.", title=error.reason, status=error.status)
            )
        except web.HTTPException:
            raise
        except Exception:
            log.exception("bug while serving %s", request.rel_url.raw_path)
            return self._failed(request, InternalError(_BUG))

    def _failed(self, request: web.Request, error: ProxyError) -> web.Response:
        """Say what is kzproxy's fault: in a page to people, and in JSON to all else."""
        if _FOR_PEOPLE in request:
            return self._refused(_as_page(error))
        return _error(as_oauth(error))

    def _require_own_name(self, request: web.Request) -> None:
        """Refuse DNS rebinding, and links to us under another name."""
        if request.host != self._host:
            raise PageRefusal(f"This server is called {self._host} (signIn.url).", status=421)


def metadata(url: str) -> Mapping[str, object]:
    """Return what the listener says of itself (RFC 8414)."""
    return {
        "issuer": url,
        "authorization_endpoint": f"{url}/authorize",
        "token_endpoint": f"{url}/token",
        "device_authorization_endpoint": f"{url}/device_authorization",
        "revocation_endpoint": f"{url}/revoke",
        "jwks_uri": f"{url}/jwks",
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", DEVICE_CODE_GRANT],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none"],
        "revocation_endpoint_auth_methods_supported": ["none"],
        "tls_client_certificate_bound_access_tokens": True,
        "authorization_response_iss_parameter_supported": True,
        "kzproxy_device_enrolment_endpoint": f"{url}/devices",
        "kzproxy_nonce_endpoint": f"{url}/nonce",
    }


def _error(error: OAuthError) -> web.Response:
    members = {**error.further, "error": error.error, "error_description": error.description}
    response = web.json_response(members, status=error.status)
    if error.retry_after_seconds is not None:
        response.headers["Retry-After"] = str(error.retry_after_seconds)
    return response


def _as_page(error: ProxyError) -> PageRefusal:
    return PageRefusal(f"{error.message}.", status=error.code)


def _note(request: web.Request, error: ProxyError) -> None:
    if error.detail or isinstance(error, InternalError):
        log.warning("%s: %s: %s", request.rel_url.raw_path, error.message, error.detail)
