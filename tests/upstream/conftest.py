"""An ``ApiServer`` in this process, before the scripted stand-in."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from kzproxy.metrics.registry import Metrics
from kzproxy.transport.deadlines import Deadlines
from kzproxy.upstream.account import Account, UpstreamSettings
from kzproxy.upstream.api_server import ApiServer
from tests.authentication.manual_clock import ManualClock
from tests.servers.authority import Authority
from tests.servers.scripted_api_server import TOKEN, ScriptedApiServer, scripted_api_server


@pytest.fixture
def stand_in(tmp_path: Path) -> Iterator[ScriptedApiServer]:
    authority = Authority.root()
    (tmp_path / "upstream-ca.crt").write_bytes(authority.pem)
    with scripted_api_server(tmp_path, authority) as server:
        yield server


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def deadlines(clock: ManualClock) -> Deadlines:
    """Swept by the tests alone."""
    return Deadlines(clock)


@pytest.fixture
async def api_server(
    stand_in: ScriptedApiServer, deadlines: Deadlines, clock: ManualClock, tmp_path: Path
) -> AsyncIterator[ApiServer]:
    settings = UpstreamSettings(
        host="127.0.0.1",
        port=stand_in.port,
        server_name="127.0.0.1",
        authority_pem=(tmp_path / "upstream-ca.crt").read_text(),
        token=TOKEN,
    )
    server = ApiServer(Account.of(settings, clock), deadlines, Metrics(version=""))
    yield server
    server.close()
