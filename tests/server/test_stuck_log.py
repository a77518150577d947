"""A decision log that does not take its records: what is told of it and of who waits for it."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.limits.told import counted, told
from tests.proxy.issuer_thread import issuer_in_thread
from tests.proxy.process import ProxyProcess
from tests.proxy.world import World, configuration, request
from tests.servers.authority import Authority
from tests.servers.scripted_api_server import scripted_api_server

PODS = "/api/v1/namespaces/a/pods"
FILLER = b"filler" * 100 + b"\n"


class Pipe:
    """The pipe that is the decision log; nobody reads it unless told to."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        for end in (self.reader, self.writer):
            fcntl.fcntl(end, fcntl.F_SETFL, os.O_NONBLOCK)
        self._read = b""

    def fill(self) -> None:
        try:
            while True:
                os.write(self.writer, FILLER)
        except BlockingIOError:
            pass

    def records(self) -> list[dict[str, Any]]:
        """Read all there is, and return the records so far."""
        try:
            while data := os.read(self.reader, 65536):
                self._read += data
        except BlockingIOError:
            pass
        lines = self._read.splitlines()
        return [json.loads(line[line.index(b"{") :]) for line in lines if b"{" in line]

    def outcome(self) -> dict[str, Any]:
        """Wait for the only outcome."""
        deadline = time.monotonic() + 10
        while True:
            ends = [record for record in self.records() if record["kind"] == "completed"]
            if ends:
                (end,) = ends
                return end
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def close(self) -> None:
        os.close(self.reader)
        os.close(self.writer)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


@pytest.fixture
def world(tmp_path: Path, pipe: Pipe) -> Iterator[World]:
    authority = Authority.root()
    with (
        issuer_in_thread(tmp_path, authority) as issuer,
        scripted_api_server(tmp_path, authority) as api_server,
    ):
        settings = configuration(tmp_path, authority, issuer, api_server.upstream())
        settings["decisionLog"] = {"stdout": True}
        proxy = ProxyProcess(tmp_path, settings)
        try:
            proxy.launch(pipe.writer)
            proxy.wait_until_ready()
            yield World(tmp_path, authority, issuer, proxy)
        finally:
            pipe.records()
            proxy.stop()


def test_a_sign_in_that_ends_while_the_decision_is_logged_is_refused_and_not_upstreams_doing(
    world: World, pipe: Pipe
) -> None:
    token = world.token("tardy", "testers", seconds=2)
    pipe.fill()
    with world.client() as client:
        client.send(request("GET", PODS, token))
        time.sleep(3)
        pipe.records()
        got = client.answer()

    assert told(got) == (401, "Unauthorized", "")
    outcome = pipe.outcome()
    assert (outcome["termination"], outcome["status_code"]) == ("refused", 401)
    assert "sign-in behind this request has ended" in outcome["message"]


def test_a_log_that_is_stuck_is_in_metric_and_log_until_it_goes_on(
    world: World, pipe: Pipe
) -> None:
    proxy = world.proxy
    assert counted(proxy, "kzproxy_audit_blocked") == 0
    pipe.fill()
    with world.client() as client:
        assert client.ask(request("GET", PODS, world.token("al", "testers"))).status == 503
        assert counted(proxy, "kzproxy_audit_blocked") == 1
        assert counted(proxy, "kzproxy_audit_sync_failures_total") == 1
        deadline = time.monotonic() + 10
        while counted(proxy, "kzproxy_audit_blocked"):
            pipe.records()
            assert time.monotonic() < deadline

    assert "the decision log has been stuck" in proxy.diagnostics
    assert "the decision log goes on" in proxy.diagnostics
