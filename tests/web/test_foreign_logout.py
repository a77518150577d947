"""A provider that is nobody's but its own tells kzproxy that its user signed out."""

import re
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urljoin

import pytest
from aiohttp import web

from kzproxy.authentication.keys import IssuerKeys
from kzproxy.authentication.logout_token import LogoutTokenVerifier
from kzproxy.authentication.settings import JwtIssuerSettings, PrefixedClaim
from kzproxy.clock.system import SystemClock
from kzproxy.metrics.registry import Metrics
from kzproxy.web.back_channel_logout import PATH, LogoutReceiver
from kzproxy.web.refused_signals import RefusedSignals
from tests.administrator.signal_world import Worker, worker_of
from tests.authentication.scene import running
from tests.conformance.oidc_provider import Conversation, ProviderUnderTest, conversation
from tests.conformance.test_foreign_provider import press_through
from tests.servers.authority import Authority
from tests.servers.foreign_idp.process import CLIENT_ID, ForeignIdp, running_foreign_idp


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.root()


@pytest.fixture
def trust(tmp_path: Path, authority: Authority) -> Path:
    (tmp_path / "ca.crt").write_bytes(authority.pem)
    return tmp_path / "ca.crt"


class Listener:
    """What stands for the sign-in listener, until it is told who the identity provider is."""

    def __init__(self) -> None:
        self.verifiers: dict[str, LogoutTokenVerifier] = {}
        self.url = ""


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[Worker]:
    made = await worker_of(tmp_path, SystemClock())  # type: ignore[arg-type]
    yield made
    await made.close()


@pytest.fixture
async def listener(tmp_path: Path, authority: Authority, worker: Worker) -> AsyncIterator[Listener]:
    made = Listener()
    logouts = LogoutReceiver(
        verifiers=made.verifiers.get,
        signals=worker.signals,
        refused=RefusedSignals(worker.decisions, SystemClock()),
        metrics=Metrics("1"),
        clock=SystemClock(),
    )
    application = web.Application()
    application.add_routes(logouts.routes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.server("localhost").write_to(tmp_path, "kzproxy"))
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    made.url = f"https://localhost:{runner.addresses[0][1]}{PATH}"
    yield made
    await runner.cleanup()


@pytest.fixture
def idp(
    tmp_path: Path, authority: Authority, trust: Path, listener: Listener
) -> Iterator[ForeignIdp]:
    certificate_file, private_key_file = authority.server("localhost").write_to(tmp_path, "idp")
    with running_foreign_idp(
        tmp_path,
        certificate_file=certificate_file,
        private_key_file=private_key_file,
        ca_file=trust,
        backchannel_logout_uri=listener.url,
    ) as made:
        yield made


async def sign_out(talk: Conversation, id_token: str) -> None:
    """Say yes at the provider's own page, as a person does."""
    page = await talk.http.get(
        talk.metadata["end_session_endpoint"], params={"id_token_hint": id_token}
    )
    action = re.search(r'action="([^"]+)"', page.text)
    xsrf = re.search(r'name="xsrf" value="([^"]+)"', page.text)
    assert action
    assert xsrf
    answer = await talk.http.post(
        urljoin(str(page.url), action[1]), data={"xsrf": xsrf[1], "logout": "yes"}
    )
    assert answer.is_redirect, answer.text


async def test_a_sign_out_at_a_foreign_provider_ends_the_session_here(
    idp: ForeignIdp, listener: Listener, worker: Worker, trust: Path
) -> None:
    issuer = JwtIssuerSettings(
        url=idp.issuer,
        audiences=(CLIENT_ID,),
        certificate_authority_pem=trust.read_text(),
        username=PrefixedClaim(claim="sub", prefix=""),
    )
    keys = IssuerKeys(issuer, SystemClock())
    listener.verifiers[idp.issuer] = LogoutTokenVerifier(
        idp.issuer, frozenset({CLIENT_ID}), keys, SystemClock()
    )
    provider = ProviderUnderTest(
        issuer=idp.issuer,
        ca_file=idp.ca_file,
        client_id=CLIENT_ID,
        user="alice",
        press_through=press_through,
        approve_device=press_through,
        claims={},
    )
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running(keys))
        talk = await stack.enter_async_context(conversation(provider))
        tokens = await talk.signed_in()
        claims = await talk.verified(tokens["id_token"])
        record = await worker.signed_in(
            1, issuer=idp.issuer, subject=claims["sub"], idp_session=claims["sid"]
        )
        stream = worker.stream(record)
        await sign_out(talk, tokens["id_token"])
    assert "signed out" in stream.told
    assert worker.session(record).ended_at is not None
    (line,) = worker.records()
    assert (line["source"], line["event"], line["outcome"]) == (
        idp.issuer,
        "signed-out",
        "applied",
    )
