"""What failed for a reason that no file shows is tried again, on a clock of the test's."""

import asyncio
import resource
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from kzproxy.authentication.oidc import oidc_authenticator
from kzproxy.config.proxy import load_proxy_settings
from kzproxy.config.sources import Sources
from kzproxy.server.generation import first_generation
from kzproxy.server.in_force import InForce, Running
from kzproxy.server.parts import build_parts
from kzproxy.server.reload import RETRY_SECONDS, Reloader
from kzproxy.server.services import build_services
from tests.authentication.manual_clock import ManualClock
from tests.proxy.eventually import eventually
from tests.proxy.fixtures import not_started
from tests.proxy.issuer_thread import issuer_in_thread
from tests.proxy.world import POLICY, configuration
from tests.servers.authority import Authority
from tests.servers.scripted_api_server import (
    ACCOUNT,
    Connection,
    ScriptedApiServer,
    json_answer,
    scripted_api_server,
)

RETRY = timedelta(seconds=RETRY_SECONDS)
MOMENT = timedelta(milliseconds=1)


class Reloads:
    """A reloader of a configuration in force, without a listener."""

    def __init__(self, directory: Path, settings: dict[str, Any]) -> None:
        self.clock = ManualClock()
        self._file = directory / "kzproxy.yaml"
        self._settings = settings
        self.write(settings["upstream"])
        sources = Sources()
        read = load_proxy_settings(self._file, sources)
        parts = build_parts(read, self.clock)
        self.services = build_services(read, parts, self.clock, "1")
        keys = Running(oidc_authenticator(read.issuers, self.clock))
        first = first_generation(read, parts, keys.present, self.services, ACCOUNT)
        self.in_force = InForce(first, keys, Running(first.namespaces), self.services)
        self.reloader = Reloader(
            self._file, sources, self.in_force, self.services, asked=asyncio.Event()
        )

    def write(self, upstream: dict[str, Any]) -> None:
        self._file.write_text(yaml.safe_dump(self._settings | {"upstream": upstream}))

    def look_at_labels(self) -> None:
        """Have a rule look at the labels of namespaces."""
        match = {"verbs": ["get"], "namespaceSelector": {"matchLabels": {"tier": "dev"}}}
        match |= {"apiGroups": [""], "resources": ["pods"]}
        rule = {"id": "labelled", "effect": "allow", "match": [match]}
        rule["subjects"] = {"groups": ["developers"]}
        policy = POLICY | {"rules": [*POLICY["rules"], rule]}
        (self._file.parent / "policy.yaml").write_text(yaml.safe_dump(policy))

    @property
    def authority(self) -> str:
        """Which kube-apiserver is in force."""
        return self.in_force.generation.api_server.authority

    async def close(self) -> None:
        self.in_force.close()
        await self.services.decisions.close()


@pytest.fixture
def authority() -> Authority:
    return Authority.root()


@pytest.fixture
def other(tmp_path: Path, authority: Authority) -> Iterator[ScriptedApiServer]:
    """The kube-apiserver that the configuration is changed to."""
    with scripted_api_server(tmp_path, authority) as api_server:
        yield api_server


@pytest.fixture
async def reloads(
    tmp_path: Path, authority: Authority, other: ScriptedApiServer
) -> AsyncIterator[Reloads]:
    server = dict(other.upstream()["server"]) | {"url": "https://127.0.0.1:1"}
    with issuer_in_thread(tmp_path, authority) as issuer:
        settings = configuration(tmp_path, authority, issuer, {"server": server})
        settings["listen"]["address"] = "127.0.0.1:0"
        reloads = Reloads(tmp_path, settings)
        yield reloads
        await reloads.close()


async def test_a_reload_that_failed_is_due_again_after_half_a_minute_and_then_takes(
    reloads: Reloads, other: ScriptedApiServer
) -> None:
    reloads.write(other.upstream())
    with other.down():
        await reloads.reloader.reload()
    assert "cannot reach kube-apiserver" in reloads.reloader.notices()["configuration"]
    assert reloads.authority == "127.0.0.1:1"

    reloads.clock.advance(RETRY - MOMENT)
    assert not reloads.reloader.due()
    reloads.clock.advance(MOMENT)
    assert reloads.reloader.due()
    await reloads.reloader.reload()

    assert reloads.reloader.notices() == {"configuration": "ok"}
    assert reloads.authority == f"127.0.0.1:{other.port}"


async def test_a_reload_that_took_is_not_due_again(
    reloads: Reloads, other: ScriptedApiServer
) -> None:
    reloads.write(other.upstream())
    await reloads.reloader.reload()
    reloads.clock.advance(RETRY * 10)

    assert not reloads.reloader.due()


async def test_each_failure_puts_the_next_try_off_and_the_same_one_is_told_once(
    reloads: Reloads, other: ScriptedApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    reloads.write(other.upstream())
    with other.down():
        for _ in range(3):
            await reloads.reloader.reload()
            assert not reloads.reloader.due()
            reloads.clock.advance(RETRY)
            assert reloads.reloader.due()

    told = [record for record in caplog.records if "not reloaded" in record.message]
    assert len(told) == 1
    exposition = reloads.services.metrics.exposition().decode()
    assert 'kzproxy_config_reloads_total{outcome="failure"} 3.0' in exposition


async def test_a_reload_that_fails_leaves_no_connection_to_the_kube_apiserver_it_asked(
    reloads: Reloads, other: ScriptedApiServer
) -> None:
    ended = threading.Event()

    def forbid(connection: Connection, head: bytes) -> None:
        connection.send(json_answer(403, {"message": "no"}))
        assert connection.head() is None
        ended.set()

    other.script = forbid
    reloads.look_at_labels()
    reloads.write(other.upstream())
    await reloads.reloader.reload()

    assert "needs deploy/rbac/namespaces" in reloads.reloader.notices()["configuration"]
    assert await asyncio.to_thread(ended.wait, 5)


def test_a_reload_for_which_descriptors_are_wanting_is_no_bug_and_can_be_asked_for_again(
    tmp_path: Path,
) -> None:
    with not_started(tmp_path) as made:
        proxy = made.world.proxy
        proxy.launch()
        proxy.wait_until_ready()
        before = resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE, (1, before[1]))
        try:
            proxy.signal(signal.SIGHUP)
            eventually(lambda: "configuration not reloaded" in proxy.diagnostics)
        finally:
            resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE, before)
        proxy.signal(signal.SIGHUP)
        eventually(lambda: "configuration read again" in proxy.diagnostics)

    assert "Too many open files" in proxy.diagnostics
    assert "the next attempt is in 30 s" in proxy.diagnostics
    assert "bug" not in proxy.diagnostics
    assert "Traceback" not in proxy.diagnostics
