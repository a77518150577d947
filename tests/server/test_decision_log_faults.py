"""Nothing reaches the API server that is not in the decision log: shown by breaking the log."""

import contextlib
import resource
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.audit_log import AuditLog
from tests.proxy.fixtures import Real
from tests.proxy.issuer_thread import issuer_in_thread
from tests.proxy.process import running_proxy
from tests.proxy.world import World, configuration, request
from tests.servers.authority import Authority

pytestmark = pytest.mark.cluster

ACCOUNT = "system:serviceaccount:kzproxy:kzproxy"


@pytest.fixture
def world(real: Real, upstream_kubeconfig: Path, tmp_path: Path) -> Iterator[World]:
    """A kzproxy of the test's own in front of the real API server."""
    assert real.control_plane.components
    authority = Authority.root()
    with issuer_in_thread(tmp_path, authority) as issuer:
        upstream = {"kubeconfig": {"file": str(upstream_kubeconfig)}}
        settings = configuration(tmp_path, authority, issuer, upstream)
        with running_proxy(tmp_path, settings) as proxy:
            yield World(tmp_path, authority, issuer, proxy)


def reached(audit_log: AuditLog, mark: int, user: str) -> set[str]:
    """The audit ids of what the API server was asked as ``user`` through kzproxy."""
    return {
        event["auditID"]
        for event in audit_log.since(mark)
        if event.get("impersonatedUser", {}).get("username") == user
    }


def test_with_a_full_disk_nothing_is_forwarded_and_it_recovers(
    world: World, audit_log: AuditLog
) -> None:
    mark = audit_log.mark()
    token = world.token("fulla", "testers")
    asked = request("GET", "/api/v1/namespaces/default/configmaps", token)
    with world.client() as client:
        served = client.ask(asked)
        assert served.status == 200
        audit_log.find(served.audit_id, mark=mark)  # It may trail the answer.
        before = reached(audit_log, mark, "t:fulla")
        full = world.proxy.decision_log.stat().st_size
        # EFBIG for every further byte: to kzproxy the same as a disk that is full.
        resource.prlimit(world.proxy.pid, resource.RLIMIT_FSIZE, (full, resource.RLIM_INFINITY))
        refused = client.ask(asked)
        refused_write = client.ask(request("DELETE", "/api/v1/namespaces/default/pods", token))
        unready = world.proxy.ops("/readyz")

    assert (refused.status, refused_write.status) == (503, 503)
    assert refused.headers["retry-after"] == ["1"]
    assert refused.json["reason"] == "ServiceUnavailable"
    assert unready[0] == 503
    assert "decision-log" in unready[1]
    assert reached(audit_log, mark, "t:fulla") == before

    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(world.proxy.pid, resource.RLIMIT_FSIZE, unlimited)
    with world.client() as client:
        assert client.ask(asked).status == 200


def test_after_kill_9_at_any_moment_everything_that_got_through_is_in_the_log(
    world: World, audit_log: AuditLog
) -> None:
    mark = audit_log.mark()
    token = world.token("killian", "testers")
    asked = request("GET", "/api/v1/namespaces/default/configmaps?limit=1", token)

    def ask_until_killed() -> None:
        with contextlib.suppress(OSError), world.client() as client:
            while True:
                client.ask(asked)

    for rounds in range(3):
        threads = [threading.Thread(target=ask_until_killed) for _ in range(8)]
        for thread in threads:
            thread.start()
        time.sleep(0.7 + 0.13 * rounds)
        world.proxy.signal(signal.SIGKILL)
        for thread in threads:
            thread.join(30)
        world.proxy.wait()
        world.proxy.start()

    got_through = reached(audit_log, mark, "t:killian")
    permitted = {
        record["audit_id"]
        for record in world.proxy.records()
        if record["kind"] == "decision" and record["decision"] == "permit"
    }
    assert len(got_through) > 50
    assert got_through <= permitted


def test_the_log_goes_on_in_a_new_file_after_rotation(world: World) -> None:
    token = world.token("rota", "testers")
    asked = request("GET", "/version", token)
    with world.client() as client:
        assert client.ask(asked).status == 200
        rotated = world.proxy.decision_log.rename(world.directory / "decisions.1.jsonl")
        world.proxy.signal(signal.SIGHUP)
        deadline = time.monotonic() + 10
        while not world.proxy.decision_log.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        answered = client.ask(asked)

    assert len(rotated.read_text().splitlines()) >= 2
    assert world.proxy.finished(answered.audit_id)
