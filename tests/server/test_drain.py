"""SIGTERM: what is under way ends in the way that its client understands."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from kzproxy.demo.control_plane import ControlPlane
from tests.cluster.kubectl import SPDY, WEBSOCKET, Kubectl, until_printed
from tests.cluster.namespaces import fresh_namespace
from tests.cluster.pods import WEB, start_pods
from tests.proxy.fixtures import Real
from tests.proxy.issuer_thread import issuer_in_thread
from tests.proxy.process import running_proxy
from tests.proxy.world import World, configuration, request
from tests.servers.authority import Authority

pytestmark = pytest.mark.cluster


@pytest.fixture
def world(real: Real, upstream_kubeconfig: Path, tmp_path: Path) -> Iterator[Real]:
    authority = Authority.root()
    with issuer_in_thread(tmp_path, authority) as issuer:
        upstream = {"kubeconfig": {"file": str(upstream_kubeconfig)}}
        settings = configuration(tmp_path, authority, issuer, upstream)
        settings["drainTimeoutSeconds"] = 6
        with running_proxy(tmp_path, settings) as proxy:
            own = World(tmp_path, authority, issuer, proxy)
            yield Real(own, real.audit_log, real.control_plane)


@pytest.fixture(scope="module")
def pods(control_plane: ControlPlane, administrator: httpx.Client) -> Iterator[str]:
    with fresh_namespace(administrator, "drain") as namespace:
        start_pods(Kubectl.of(control_plane).using(namespace=namespace))
        yield namespace


@pytest.mark.parametrize("transport", [WEBSOCKET, SPDY], ids=["websocket", "spdy"])
def test_an_exec_that_outlasts_the_drain_is_told_and_fails(
    world: Real, pods: str, transport: dict[str, str]
) -> None:
    kubectl = world.kubectl("dora", "testers", namespace=pods).using(extra=transport)
    command = ("exec", WEB, "--container=main", "--", "sh", "-c", "echo on; sleep 60")
    with kubectl.running(*command) as process:
        until_printed(process, b"on")
        world.world.proxy.signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)

    assert process.returncode == 1
    assert b"kzproxy is being restarted and ended this exec" in errors
    assert world.world.proxy.wait() == 0


def test_a_short_exec_is_let_finish(world: Real, pods: str) -> None:
    kubectl = world.kubectl("dora", "testers", namespace=pods)
    command = ("exec", WEB, "--container=main", "--", "sh", "-c", "echo on; sleep 1; echo done")
    with kubectl.running(*command) as process:
        until_printed(process, b"on")
        world.world.proxy.signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=20)

    assert process.returncode == 0
    assert b"done" in out


def test_a_watch_ends_cleanly_and_without_an_error_event(world: Real, pods: str) -> None:
    target = f"/api/v1/namespaces/{pods}/pods?watch=1"
    own = world.world
    with own.client() as client:
        client.send(request("GET", target, own.token("wanda", "testers")))
        status, _ = client.head()
        assert status == 200
        own.proxy.signal(signal.SIGTERM)
        rest = client.to_end()

    assert rest.endswith(b"0\r\n\r\n")
    assert b'"ERROR"' not in rest
    assert own.proxy.wait() == 0


def test_an_idle_connection_is_closed_at_once(world: Real) -> None:
    own = world.world
    with own.client() as client:
        assert client.ask(request("GET", "/version", own.token("ida", "testers"))).status == 200
        begun = time.monotonic()
        own.proxy.signal(signal.SIGTERM)
        assert client.to_end() == b""

    assert own.proxy.wait() == 0
    assert time.monotonic() - begun < 3


def test_how_each_stream_ended_is_in_the_log(world: Real, pods: str) -> None:
    own = world.world
    with own.client() as client:
        target = f"/api/v1/namespaces/{pods}/pods?watch=1"
        client.send(request("GET", target, own.token("wanda", "testers")))
        _, headers = client.head()
        own.proxy.signal(signal.SIGTERM)
        client.to_end()
    assert own.proxy.wait() == 0

    decided, completed = own.proxy.records_of(headers["audit-id"][0])
    assert (decided["decision"], completed["termination"]) == ("permit", "drained")
    assert own.proxy.records()[-1]["kind"] == "stopped"
