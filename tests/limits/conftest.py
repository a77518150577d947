"""A kzproxy whose limits are small, so that a test can use them up; the stand-in plays upstream."""

from collections.abc import Iterator

import pytest

from tests.proxy.fixtures import Scripted
from tests.proxy.issuer_thread import issuer_in_thread
from tests.proxy.process import running_proxy
from tests.proxy.world import World, configuration
from tests.servers.authority import Authority
from tests.servers.scripted_api_server import scripted_api_server

# Seconds are as few as a busy machine allows.
LIMITS = {
    "connections": 60,
    "connectionsPerAddress": 40,
    "streamsPerIdentity": 5,
    "requestsPerIdentity": 4,
    "handshakeTimeoutSeconds": 2,
    "headTimeoutSeconds": 2,
    "bodyProgressTimeoutSeconds": 6,
    "answerProgressTimeoutSeconds": 2,
    "upstreamConnectTimeoutSeconds": 2,
    "upstreamAnswerTimeoutSeconds": 2,
}


@pytest.fixture(scope="session")
def _limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripted]:
    directory = tmp_path_factory.mktemp("limited")
    authority = Authority.root()
    with (
        issuer_in_thread(directory, authority) as issuer,
        scripted_api_server(directory, authority) as api_server,
    ):
        settings = configuration(directory, authority, issuer, api_server.upstream())
        settings["limits"] = LIMITS
        with running_proxy(directory, settings) as proxy:
            yield Scripted(World(directory, authority, issuer, proxy), api_server)


@pytest.fixture
def limited(_limited: Scripted) -> Iterator[Scripted]:
    """A kzproxy of small limits, whose stand-in's script and records are fresh."""
    script = _limited.api_server.script
    _limited.api_server.heads.clear()
    yield _limited
    _limited.api_server.script = script
