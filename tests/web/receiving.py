"""Receivers of signals as the sign-in listener serves them, and a transmitter that is somebody's.

The transmitter's keys are fetched over real TLS; what is sent is signed by hand.
"""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from kzproxy.administrator.signal import SignalSource
from kzproxy.authentication.keys import IssuerKeys
from kzproxy.authentication.logout_token import LogoutTokenVerifier
from kzproxy.authentication.security_event import SecurityEventVerifier, TransmitterSettings
from kzproxy.metrics.registry import Metrics
from kzproxy.web.back_channel_logout import LogoutReceiver
from kzproxy.web.refused_signals import RefusedSignals
from kzproxy.web.ssf import EventReceiver, Stream
from tests.administrator.signal_world import IDP, Worker, worker_of
from tests.authentication.manual_clock import ManualClock
from tests.authentication.scene import running
from tests.servers.issuer import TestIssuer
from tests.servers.tokens import SigningKey

AUDIENCE = "https://kzproxy.example.com:8444"
CLIENT_ID = "kzproxy"
AUTHORIZATION = "Bearer of the transmitter"
CAEP = "https://schemas.openid.net/secevent/caep/event-type/"
SSF = "https://schemas.openid.net/secevent/ssf/event-type/"
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
KEY = SigningKey.make("rsa-1", "RS256")
FORGED = SigningKey.make("rsa-1", "RS256")


class Receiving:
    """A worker that takes signals over HTTP, and what is sent to it."""

    def __init__(self, worker: Worker, issuer: TestIssuer, keys: IssuerKeys) -> None:
        self.worker = worker
        self.issuer = issuer
        self.keys = keys
        self.metrics = Metrics("1")
        self.refused = RefusedSignals(worker.decisions, worker.clock)
        self.streams: dict[str, Stream] = {}
        self.client: TestClient[web.Request, web.Application]

    def add_stream(self, name: str = "idp", **changes: Any) -> None:
        """Listen to the transmitter, which speaks of the worlds' users."""
        source: dict[str, Any] = {"tenant_wide": changes.pop("tenant_wide", False)}
        critical = changes.pop("critical", frozenset())
        state = changes.pop("state", "")
        settings = self.transmitter(**changes)
        self.streams[name] = Stream(
            source=SignalSource(name=name, issuer=settings.issuer, users_of=(IDP,), **source),
            verifier=SecurityEventVerifier(settings, self.keys, self.worker.clock),
            authorization=AUTHORIZATION,
            said=self.worker.streams,
            critical_members=critical,
            state=state,
        )

    def transmitter(self, **changes: Any) -> TransmitterSettings:
        members: dict[str, Any] = {
            "issuer": self.issuer.url,
            "audiences": (AUDIENCE,),
            "key_set_url": self.issuer.url.removesuffix("/tenant") + "/tenant/keys",
            "certificate_authority_pem": self.issuer.certificate_authority_pem,
        }
        return TransmitterSettings(**(members | changes))

    @property
    def seconds(self) -> int:
        return int(self.worker.clock.now().timestamp())

    def claims(self, event: str = CAEP + "session-revoked", **changes: object) -> dict[str, object]:
        """Say that alice's sessions are revoked; a change to None removes a claim."""
        members = changes.pop("members", {})
        claims: dict[str, object] = {
            "iss": self.issuer.url,
            "jti": "24c6",
            "iat": self.seconds,
            "aud": AUDIENCE,
            "txn": "8675309",
            "sub_id": {"format": "iss_sub", "iss": IDP, "sub": "00u1"},
            "events": {event: members},
        }
        return {name: value for name, value in (claims | changes).items() if value is not None}

    def event(self, event: str = CAEP + "session-revoked", **changes: object) -> str:
        """Sign what ``claims`` says."""
        return self.sign(self.claims(event, **changes))

    @staticmethod
    def sign(claims: object, key: SigningKey = KEY, **header: object) -> str:
        return key.token(claims, **({"typ": "secevent+jwt"} | header))

    async def post(
        self,
        body: str | bytes,
        stream: str = "idp",
        *,
        authorization: str | None = AUTHORIZATION,
        content_type: str = "application/secevent+jwt",
    ) -> tuple[int, dict[str, Any]]:
        """Push an event; return status and, where there is one, the JSON answer."""
        headers = {"Content-Type": content_type}
        if authorization is not None:
            headers["Authorization"] = authorization
        path = f"/ssf/v1/events/{stream}"
        async with self.client.post(path, data=body, headers=headers) as answer:
            return answer.status, await _json(answer)

    def logout_claims(self, **changes: object) -> dict[str, object]:
        claims: dict[str, object] = {
            "iss": self.issuer.url,
            "aud": CLIENT_ID,
            "iat": self.seconds,
            "exp": self.seconds + 120,
            "jti": "bye-1",
            "sub": "00u1",
            "sid": "sid-1",
            "events": {LOGOUT_EVENT: {}},
        }
        return {name: value for name, value in (claims | changes).items() if value is not None}

    async def log_out(self, token: str, **form: str) -> tuple[int, dict[str, Any], str]:
        """Send a logout token; return status, answer and ``Cache-Control``."""
        fields = {"logout_token": token} | form
        async with self.client.post("/backchannel_logout", data=fields) as answer:
            return answer.status, await _json(answer), answer.headers.get("Cache-Control", "")

    @property
    def shown(self) -> str:
        """The metrics."""
        return self.metrics.exposition().decode()


async def _json(answer: aiohttp.ClientResponse) -> dict[str, Any]:
    text = await answer.text()
    if answer.content_type != "application/json":
        assert answer.status in {200, 202, 404, 405, 503}, text
        return {}
    found = json.loads(text)
    assert isinstance(found, dict)
    return found


@asynccontextmanager
async def receiving(
    directory: Path, issuer: TestIssuer, clock: ManualClock
) -> AsyncIterator[Receiving]:
    """Serve a worker's receivers while the block lasts."""
    issuer.keys = [KEY]
    worker = await worker_of(directory, clock)
    probe = Receiving(worker, issuer, None)  # type: ignore[arg-type]
    keys = IssuerKeys(probe.transmitter(), clock)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(worker.close)
        await stack.enter_async_context(running(keys))
        await issuer.fetched(1)
        await keys.sought()  # the end of that fetch
        made = Receiving(worker, issuer, keys)
        made.add_stream()
        events = EventReceiver(
            streams=made.streams,
            signals=worker.signals,
            refused=made.refused,
            decisions=worker.decisions,
            metrics=made.metrics,
            clock=clock,
        )
        logout = LogoutTokenVerifier(issuer.url, frozenset({CLIENT_ID}), keys, clock)
        logouts = LogoutReceiver(
            verifiers={issuer.url: logout}.get,
            signals=worker.signals,
            refused=made.refused,
            metrics=made.metrics,
            clock=clock,
        )
        application = web.Application()
        application.add_routes([*events.routes(), *logouts.routes()])
        made.client = TestClient(TestServer(application))
        await stack.enter_async_context(made.client)
        yield made
