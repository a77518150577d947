"""Stands in for somebody else's identity provider that answers as a test says, well or badly.

Real HTTPS, real signatures; what it answers to a code or a refresh token is written by the test.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from tests.servers.authority import Authority
from tests.servers.tokens import SigningKey

ENDPOINTS = ("token", "userinfo", "introspect", "revoke")

Answers = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ScriptedProvider:
    """A provider while it is served.

    Attributes:
        url: Its issuer.
        key: What its ID tokens are signed with.
        discovery: Overrides members of the discovery document; None removes one.
        answers: What each endpoint answers; ``discovery`` is one too, where it is there.
        asked: The forms that came, with what came in ``Authorization``, in order.
        let_go: Ends what hangs.
    """

    def __init__(self, authority: Authority, certificate: tuple[Path, Path]) -> None:
        self._certificate = certificate
        self.url = ""
        self.authority = authority
        self.key = SigningKey.make("key-1")
        self.discovery: dict[str, object] = {}
        self.answers: dict[str, Answers] = {}
        self.asked: list[tuple[str, dict[str, str], str]] = []
        self.fetched: list[str] = []
        self.let_go = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self._port = 0

    async def begin(self, runner: web.AppRunner) -> None:
        """Listen, for the first time on a free port."""
        self._runner = runner
        await self.come_back()
        self._port = runner.addresses[0][1]
        self.url = f"https://127.0.0.1:{self._port}"

    async def come_back(self) -> None:
        """Listen where it did before."""
        assert self._runner
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self._certificate)
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, ssl_context=context)
        await site.start()

    async def go_away(self) -> None:
        """Close every connection, and take no further one."""
        assert self._runner
        for site in list(self._runner.sites):
            await site.stop()
        assert self._runner.server
        await self._runner.server.shutdown(0.01)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        place = request.path.removeprefix("/")
        if place in ENDPOINTS:
            form = {name: str(value) for name, value in (await request.post()).items()}
            self.asked.append((place, form, request.headers.get("authorization", "")))
            return await self.answers[place](request)
        self.fetched.append(place)
        if place == "keys":
            return web.json_response({"keys": [self.key.jwk()]})
        if "discovery" in self.answers:
            return await self.answers["discovery"](request)
        return web.json_response(self.document())

    def document(self) -> dict[str, object]:
        document: dict[str, object] = {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/keys",
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "introspection_endpoint": f"{self.url}/introspect",
            "revocation_endpoint": f"{self.url}/revoke",
        }
        document |= self.discovery
        return {name: value for name, value in document.items() if value is not None}

    def answer(self, place: str, document: object, status: int = 200, **headers: str) -> None:
        """Have ``place`` answer with this JSON from now on."""

        async def told(request: web.Request) -> web.StreamResponse:
            return web.json_response(document, status=status, headers=headers)

        self.answers[place] = told

    def answer_with(self, place: str, body: bytes, status: int = 200, **headers: str) -> None:
        """Have ``place`` answer with these bytes from now on."""

        async def told(request: web.Request) -> web.StreamResponse:
            fields = {name.replace("_", "-"): value for name, value in headers.items()}
            return web.Response(body=body, status=status, headers=fields)

        self.answers[place] = told

    def hang(self, place: str) -> None:
        """Have ``place`` not answer."""

        async def told(request: web.Request) -> web.StreamResponse:
            await self.let_go.wait()
            return web.Response()

        self.answers[place] = told


@asynccontextmanager
async def serving_provider(
    directory: Path, authority: Authority
) -> AsyncIterator[ScriptedProvider]:
    """Serve one on a free port of 127.0.0.1."""
    certificate = authority.server("127.0.0.1").write_to(directory, "provider")
    provider = ScriptedProvider(authority, certificate)
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", provider.serve)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await provider.begin(runner)
        yield provider
    finally:
        provider.let_go.set()
        await runner.cleanup()
