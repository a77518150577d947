"""Fixtures: a kzproxy in front of the scripted stand-in, and one in front of the real thing."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.proxy.issuer_thread import issuer_in_thread
from tests.proxy.process import running_proxy
from tests.proxy.world import World, configuration
from tests.servers.authority import Authority
from tests.servers.scripted_api_server import ScriptedApiServer, scripted_api_server


@dataclass
class Scripted:
    """A kzproxy in front of the stand-in for kube-apiserver."""

    world: World
    api_server: ScriptedApiServer


@pytest.fixture(scope="session")
def _scripted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripted]:
    directory = tmp_path_factory.mktemp("scripted")
    authority = Authority.root()
    with (
        issuer_in_thread(directory, authority) as issuer,
        scripted_api_server(directory, authority) as api_server,
    ):
        settings = configuration(directory, authority, issuer, api_server.upstream())
        with running_proxy(directory, settings) as proxy:
            yield Scripted(World(directory, authority, issuer, proxy), api_server)


@pytest.fixture
def scripted(_scripted: Scripted) -> Iterator[Scripted]:
    """A kzproxy in front of the stand-in, whose script and records are fresh."""
    script = _scripted.api_server.script
    _scripted.api_server.heads.clear()
    yield _scripted
    _scripted.api_server.script = script
