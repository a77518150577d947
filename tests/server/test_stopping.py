"""SIGTERM counts at any moment: before kzproxy serves, and while it waits for kube-apiserver."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.limits.told import told
from tests.proxy.eventually import eventually
from tests.proxy.fixtures import Scripted, not_started
from tests.proxy.process import ProxyProcess
from tests.proxy.world import request
from tests.servers.scripted_api_server import Connection

PODS = "/api/v1/namespaces/a/pods"
# kube-apiserver is waited for at the start for 30 s, one connection for 10 s.
SOON_SECONDS = 8.0


@pytest.fixture
def stopping(tmp_path: Path) -> Iterator[Scripted]:
    """A kzproxy that is not started yet."""
    with not_started(tmp_path, drainTimeoutSeconds=2) as made:
        yield made


def hang(connection: Connection, _: bytes) -> None:
    connection.tls.recv(1)


def check_it_ends_soon(proxy: ProxyProcess) -> None:
    proxy.signal(signal.SIGTERM)
    assert proxy.wait(SOON_SECONDS) == 0, proxy.diagnostics
    assert proxy.records()[-1]["kind"] == "stopped"


def only_outcome(proxy: ProxyProcess) -> dict[str, Any]:
    (outcome,) = [record for record in proxy.records() if record["kind"] == "completed"]
    return outcome


def test_it_ends_while_it_waits_for_kube_apiserver_to_be_there(stopping: Scripted) -> None:
    proxy = stopping.world.proxy
    with stopping.api_server.down():
        proxy.launch()
        eventually(lambda: "trying for 30 s" in proxy.diagnostics)
        check_it_ends_soon(proxy)

    assert "stopped before" in proxy.diagnostics


def test_it_ends_while_it_waits_for_the_answer_of_kube_apiserver(stopping: Scripted) -> None:
    proxy, api_server = stopping.world.proxy, stopping.api_server
    context, api_server.context = api_server.context, None
    proxy.launch()
    eventually(lambda: api_server.connections)
    check_it_ends_soon(proxy)
    api_server.context = context


def test_a_request_without_an_answer_is_told_and_logged_as_drained(stopping: Scripted) -> None:
    world = stopping.world
    world.proxy.start()
    stopping.api_server.script = hang
    with world.client() as client:
        client.send(request("GET", PODS, world.token("dora", "testers")))
        eventually(lambda: stopping.api_server.heads)
        check_it_ends_soon(world.proxy)
        got = client.answer()

    assert told(got) == (503, "ServiceUnavailable", "1")
    outcome = only_outcome(world.proxy)
    assert (outcome["termination"], outcome["status_code"]) == ("drained", 503)


def test_a_request_that_is_still_being_connected_is_told_and_logged_as_drained(
    stopping: Scripted,
) -> None:
    world, api_server = stopping.world, stopping.api_server
    world.proxy.start()
    context, api_server.context = api_server.context, None
    api_server.drop_connections()
    connections = api_server.connections
    with world.client() as client:
        client.send(request("GET", PODS, world.token("dora", "testers")))
        eventually(lambda: api_server.connections > connections)
        check_it_ends_soon(world.proxy)
        got = client.answer()
    api_server.context = context

    assert told(got) == (503, "ServiceUnavailable", "1")
    outcome = only_outcome(world.proxy)
    assert (outcome["termination"], outcome["status_code"]) == ("drained", 503)
