"""A decision log that does not take its records: what is told of it and of who waits for it."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.limits.told import counted, told
from tests.proxy.fixtures import not_started
from tests.proxy.log_pipe import Pipe, logging_to
from tests.proxy.process import ProxyProcess
from tests.proxy.world import World, request

PODS = "/api/v1/namespaces/a/pods"


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


@pytest.fixture
def world(tmp_path: Path, pipe: Pipe) -> Iterator[World]:
    with logging_to(pipe, tmp_path) as made:
        yield made.world


def test_a_sign_in_that_ends_while_the_decision_is_logged_is_refused_and_not_upstreams_doing(
    world: World, pipe: Pipe
) -> None:
    pipe.fill()
    with world.client() as client:
        ends = int(time.time()) + 3
        client.send(request("GET", PODS, world.token("tardy", "testers", exp=ends)))
        time.sleep(ends + 0.5 - time.time())  # The log is waited for for five seconds.
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


@pytest.mark.parametrize("file", [{}, {"file": "decisions.jsonl"}], ids=["alone", "as-a-copy"])
def test_a_log_on_a_standard_output_that_is_closed_is_refused_at_the_start(
    tmp_path: Path, file: dict[str, str]
) -> None:
    """Whatever is opened next has its number, and would be written to."""
    with not_started(tmp_path, decisionLog=file | {"stdout": True}):
        started = [*ProxyProcess.program, "serve", "--config", str(tmp_path / "kzproxy.yaml")]
        ended = subprocess.run(
            ["sh", "-c", 'exec "$@" >&-', "sh", *started],
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )

    assert (ended.returncode, ended.stderr) == (2, "kzproxy: stdout: it is closed\n")
