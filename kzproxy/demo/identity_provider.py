"""An OpenID provider for the demo and the tests, and for nothing else.

It asks for no password: whoever reaches it can be anyone. That is why it listens on loopback only,
answers to its own name only, and says "demo" wherever it can be seen. Otherwise it behaves as a
provider should, and passes the same conformance test as a foreign one
(``tests/conformance/oidc_provider.py``).

State is in memory, bounded, and gone with the process.
"""

import logging
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

from kzproxy.clock.system import Clock
from kzproxy.demo.idp_account_pages import AccountPages
from kzproxy.demo.idp_accounts import Accounts
from kzproxy.demo.idp_browser import FormGuard
from kzproxy.demo.idp_clients import KZPROXY_CLIENT
from kzproxy.demo.idp_codes import AuthorizationCodes
from kzproxy.demo.idp_device import DeviceAuthorizations
from kzproxy.demo.idp_device_pages import DevicePages
from kzproxy.demo.idp_discovery import discovery_document
from kzproxy.demo.idp_end_session import EndSession
from kzproxy.demo.idp_errors import OAuthError, PageRefusal
from kzproxy.demo.idp_grants import Grants
from kzproxy.demo.idp_introspection import Introspection
from kzproxy.demo.idp_keys import SigningKeys
from kzproxy.demo.idp_pages import Pages, add_security_headers
from kzproxy.demo.idp_requests import MAX_BODY_BYTES
from kzproxy.demo.idp_settings import IdentityProviderSettings, require_loopback
from kzproxy.demo.idp_sign_in import SignIn, SignInCollaborators
from kzproxy.demo.idp_token_endpoint import DeviceEndpoint, TokenEndpoint
from kzproxy.demo.idp_tokens import TokenIssuer

_logger = logging.getLogger(__name__)

Endpoint = Callable[[web.Request], Awaitable[web.StreamResponse]]

_SHUTDOWN_SECONDS = 1.0
_BACKLOG = 64


class IdentityProvider:
    """The provider's parts, put together for one issuer.

    Attributes:
        issuer: The ``iss`` of its tokens, and the root of all its addresses.
        keys: What it signs with; ``keys.rotate()`` is for tests.
        accounts: What has become of its people; the page ``/accounts`` changes it too.
    """

    def __init__(self, issuer: str, settings: IdentityProviderSettings, clock: Clock) -> None:
        self.issuer = issuer
        self.keys = SigningKeys(clock, settings.algorithm, settings.lifetimes)
        self._algorithm = settings.algorithm
        self._pages = Pages(issuer=issuer)
        self.accounts = Accounts()
        clients = {
            client.client_id: client for client in (KZPROXY_CLIENT, *settings.confidential_clients)
        }
        guard = FormGuard()
        grants = Grants(clock, settings.lifetimes, self.accounts)
        codes = AuthorizationCodes(clock, grants, settings.lifetimes)
        devices = DeviceAuthorizations(clock, grants, settings)
        self._sign_in = SignIn(
            SignInCollaborators(
                issuer=issuer,
                clock=clock,
                clients=clients,
                codes=codes,
                pages=self._pages,
                guard=guard,
                lifetimes=settings.lifetimes,
                accounts=self.accounts,
            )
        )
        self._introspection = Introspection(issuer=issuer, clients=clients, grants=grants)
        self._tokens = TokenEndpoint(
            clients=clients,
            codes=codes,
            devices=devices,
            grants=grants,
            tokens=TokenIssuer(
                issuer=issuer,
                clock=clock,
                keys=self.keys,
                grants=grants,
                lifetimes=settings.lifetimes,
            ),
        )
        self._device = DeviceEndpoint(
            clients=clients,
            devices=devices,
            verification_uri=f"{issuer}/device",
            lifetime_seconds=int(settings.lifetimes.device_code.total_seconds()),
        )
        self._device_pages = DevicePages(devices, self._pages, guard, self.accounts)
        self._account_pages = AccountPages(self.accounts, self._pages, guard)
        self._end_session = EndSession(
            issuer=issuer, keys=self.keys, grants=grants, pages=self._pages, guard=guard
        )

    def application(self) -> web.Application:
        """Return the routes."""
        application = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[self._guarded])
        application.add_routes(
            [
                web.get("/", self._front_page),
                web.get("/style.css", self._file),
                web.get("/icon.svg", self._file),
                web.get("/.well-known/openid-configuration", self._discovery),
                web.get("/jwks.json", self._jwks),
                web.get("/authorize", self._sign_in.authorize),
                web.post("/authorize", self._sign_in.authorize),
                web.post("/sign-in", self._sign_in.submit),
                web.post("/token", self._tokens.token),
                web.post("/revoke", self._tokens.revoke),
                web.post("/introspect", self._introspection.answer),
                web.get("/userinfo", self._tokens.userinfo),
                web.post("/userinfo", self._tokens.userinfo),
                web.post("/device-authorization", self._device.begin),
                web.get("/device", self._device_pages.ask_for_code),
                web.post("/device", self._device_pages.check_code),
                web.post("/device/decide", self._device_pages.decide),
                web.get("/accounts", self._account_pages.show),
                web.post("/accounts", self._account_pages.change),
                web.get("/end-session", self._end_session.ask),
                web.post("/end-session", self._end_session.confirm),
            ]
        )
        return application

    async def _front_page(self, _request: web.Request) -> web.Response:
        return self._pages.page("front")

    async def _file(self, request: web.Request) -> web.Response:
        return self._pages.file(request.path.removeprefix("/"))

    async def _jwks(self, _request: web.Request) -> web.Response:
        return web.json_response(self.keys.published())

    async def _discovery(self, _request: web.Request) -> web.Response:
        return web.json_response(discovery_document(self.issuer, self._algorithm))

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Endpoint) -> web.StreamResponse:
        response = await self._answer(request, handler)
        add_security_headers(response)
        # The path without its query: that holds states, codes and hints.
        _logger.info("%s %s %s", request.method, request.path, response.status)
        return response

    async def _answer(self, request: web.Request, endpoint: Endpoint) -> web.StreamResponse:
        try:
            self._require_own_name(request)
            return await endpoint(request)
        except OAuthError as error:
            return web.json_response(
                {"error": error.error, "error_description": error.description},
                status=error.status,
            )
        except PageRefusal as refusal:
            return self._pages.message(
                refusal.title, refusal.message, status=refusal.status, mood="bad"
            )
        except web.HTTPClientError as error:
            return self._pages.message(
                error.reason, "Nothing is served so.", status=error.status, mood="bad"
            )

    def _require_own_name(self, request: web.Request) -> None:
        """Refuse DNS rebinding: a site whose name resolves to loopback would share our origin."""
        if request.host != urlsplit(self.issuer).netloc:
            raise PageRefusal("This is not the name of this server.", status=421)


@asynccontextmanager
async def running_identity_provider(
    settings: IdentityProviderSettings,
    clock: Clock,
    *,
    certificate_file: Path,
    private_key_file: Path,
) -> AsyncIterator[IdentityProvider]:
    """Serve a demo identity provider over TLS until the block ends.

    Args:
        settings: Where to listen, and how long things hold.
        clock: What its lifetimes are measured with.
        certificate_file: PEM; must name ``settings.address``.
        private_key_file: PEM.

    Raises:
        ConfigurationError: The address is not a loopback one.
        OSError: The address cannot be had.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate_file, private_key_file)
    with _listening_socket(settings.address, settings.port) as listener:
        provider = IdentityProvider(_issuer(listener), settings, clock)
        # No access log: it would hold the queries.
        runner = web.AppRunner(
            provider.application(), access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS
        )
        await runner.setup()
        try:
            await web.SockSite(runner, listener, ssl_context=context).start()
            yield provider
        finally:
            await runner.cleanup()


def _listening_socket(address: str, port: int) -> socket.socket:
    require_loopback(address)
    family = socket.AF_INET6 if ip_address(address).version == 6 else socket.AF_INET
    return socket.create_server((address, port), family=family, backlog=_BACKLOG)


def _issuer(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
