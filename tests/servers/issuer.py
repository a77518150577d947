"""A small HTTPS OpenID issuer: it stands in for somebody else's identity provider.

It serves a discovery document and a key set over real TLS, well or as badly as its settings say,
and counts what is asked of it. It has no sign-in: tokens are signed by the tests themselves.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from tests.servers.authority import Authority
from tests.servers.tokens import SigningKey

_ROOT = "/tenant"
_DISCOVERY = f"{_ROOT}/.well-known/openid-configuration"
_KEYS = f"{_ROOT}/keys"


@dataclass
class Answer:
    """How one document is served: as it should be, unless a field says otherwise."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    endless: bool = False
    hang: bool = False


class TestIssuer:
    """An issuer while it is being served.

    Attributes:
        url: What it calls itself.
        keys: What it publishes; change it to rotate.
        published: Members of ``keys`` as they are, in place of those of the signing keys.
        discovery: Overrides members of the discovery document; None removes one.
        discovery_answer: How the discovery document is served.
        keys_answer: How the key set is served.
        discovery_fetches: How often the discovery document was asked for.
        key_fetches: How often the key set was asked for.
        let_go: Ends what hangs.
    """

    __test__ = False

    def __init__(self, url: str, authority: Authority) -> None:
        self.url = url
        self.authority = authority
        self.keys = [SigningKey.make("key-1")]
        self.published: list[object] | None = None
        self.discovery: dict[str, object] = {}
        self.discovery_answer = Answer()
        self.keys_answer = Answer()
        self.discovery_fetches = 0
        self.key_fetches = 0
        self.let_go = asyncio.Event()
        self._fetched = asyncio.Condition()

    @property
    def certificate_authority_pem(self) -> str:
        return self.authority.pem.decode()

    def token(self, claims: dict[str, object], **header: object) -> str:
        """Sign with the newest key; ``iss`` is this issuer unless the claims say otherwise."""
        return self.keys[-1].token({"iss": self.url} | claims, **header)

    async def fetched(self, times: int) -> None:
        """Wait until the key set was asked for so often."""
        async with self._fetched:
            await self._fetched.wait_for(lambda: self.key_fetches >= times)

    async def serve_discovery(self, request: web.Request) -> web.StreamResponse:
        self.discovery_fetches += 1
        document = {"issuer": self.url, "jwks_uri": f"{self._origin}{_KEYS}"} | self.discovery
        members = {name: value for name, value in document.items() if value is not None}
        return await self._serve(request, self.discovery_answer, members)

    async def serve_keys(self, request: web.Request) -> web.StreamResponse:
        async with self._fetched:
            self.key_fetches += 1
            self._fetched.notify_all()
        members = self.published
        if members is None:
            members = [key.jwk() for key in self.keys]
        return await self._serve(request, self.keys_answer, {"keys": members})

    @property
    def _origin(self) -> str:
        return self.url.removesuffix(_ROOT)

    async def _serve(
        self, request: web.Request, answer: Answer, document: dict[str, object]
    ) -> web.StreamResponse:
        if answer.hang:
            await self.let_go.wait()
        if answer.endless:
            return await _endless(request)
        if answer.body is not None:
            return web.Response(status=answer.status, headers=answer.headers, body=answer.body)
        return web.json_response(document, status=answer.status, headers=answer.headers)


async def _endless(request: web.Request) -> web.StreamResponse:
    """Send 50 MB without saying so beforehand."""
    response = web.StreamResponse()
    await response.prepare(request)
    try:
        for _ in range(50):
            await response.write(b" " * 1024 * 1024)
    except ConnectionError:
        pass  # the reader has heard enough
    return response


@asynccontextmanager
async def serving_issuer(directory: Path, authority: Authority) -> AsyncIterator[TestIssuer]:
    """Serve an issuer on a free port of 127.0.0.1 with a certificate of ``authority``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.server("127.0.0.1", "localhost").write_to(directory, "idp"))
    application = web.Application()
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    issuer = TestIssuer("", authority)
    application.router.add_get(_DISCOVERY, issuer.serve_discovery)
    application.router.add_get(_KEYS, issuer.serve_keys)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        port = runner.addresses[0][1]
        issuer.url = f"https://127.0.0.1:{port}{_ROOT}"
        yield issuer
    finally:
        issuer.let_go.set()
        await runner.cleanup()
