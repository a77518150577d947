"""A stream whose sign-in ends is cut, and its client is told in its own protocol."""

from collections.abc import Iterator, Mapping

import httpx
import pytest

from kzproxy.demo.control_plane import ControlPlane
from tests.cluster.kubectl import SPDY, WEBSOCKET, Kubectl
from tests.cluster.namespaces import fresh_namespace
from tests.cluster.pods import WEB, start_pods
from tests.proxy.fixtures import Real
from tests.proxy.world import request

pytestmark = pytest.mark.cluster

SOON_SECONDS = 6


@pytest.fixture(scope="module")
def pods(control_plane: ControlPlane, administrator: httpx.Client) -> Iterator[str]:
    with fresh_namespace(administrator, "cut") as namespace:
        start_pods(Kubectl.of(control_plane).using(namespace=namespace))
        yield namespace


def endings(real: Real, user: str) -> list[str]:
    """How the user's permitted requests ended."""
    proxy = real.world.proxy
    decided = proxy.decisions_of(user)
    permitted = [record["audit_id"] for record in decided if record["decision"] == "permit"]
    return [proxy.finished(audit_id)[1]["termination"] for audit_id in permitted]


@pytest.mark.parametrize("transport", [WEBSOCKET, SPDY], ids=["websocket", "spdy"])
def test_an_exec_ends_with_a_reason_and_exit_code_1(
    real: Real, pods: str, transport: Mapping[str, str]
) -> None:
    user = "exa-spdy" if transport else "exa-websocket"
    kubectl = real.kubectl(user, "testers", namespace=pods, seconds=SOON_SECONDS)
    done = kubectl.using(extra=transport)(
        "exec", WEB, "--container=main", "--", "sh", "-c", "echo on; sleep 60"
    )

    assert done.returncode == 1
    assert done.stdout == b"on\n"
    assert b"the sign-in behind this request has ended" in done.stderr
    assert "policy-cut" in endings(real, f"t:{user}")


def test_a_watch_ends_with_one_error_event(real: Real, pods: str) -> None:
    target = f"/api/v1/namespaces/{pods}/pods?watch=1"
    world = real.world
    with world.client() as client:
        client.send(request("GET", target, world.token("wat", "testers", seconds=SOON_SECONDS)))
        answer = client.answer()

    last = answer.body.splitlines()[-1]
    assert last.startswith(b'{"type":"ERROR","object":{"kind":"Status"')
    assert b'"code":401' in last
    assert endings(real, "t:wat") == ["policy-cut"]


def test_followed_logs_do_not_end_as_if_they_were_complete(real: Real, pods: str) -> None:
    kubectl = real.kubectl("logan", "testers", namespace=pods, seconds=SOON_SECONDS)
    done = kubectl("logs", "--follow", WEB, "--container=ticker")

    assert done.returncode == 1
    assert b"connection reset by peer" in done.stderr or b"unexpected EOF" in done.stderr


def test_a_port_forward_ends(real: Real, pods: str) -> None:
    kubectl = real.kubectl("porter", "testers", namespace=pods, seconds=SOON_SECONDS)
    done = kubectl("port-forward", WEB, ":18080")

    assert done.returncode == 1
    assert b"lost connection to pod" in done.stderr


def test_the_next_request_of_an_ended_sign_in_is_refused(real: Real, pods: str) -> None:
    world = real.world
    token = world.token("nextor", "testers", seconds=SOON_SECONDS)
    watch = request("GET", f"/api/v1/namespaces/{pods}/pods?watch=1", token)
    with world.client() as client:
        client.send(watch)
        client.answer()
    with world.client() as client:
        assert client.ask(request("GET", "/version", token)).status == 401


def test_a_stream_lives_on_with_a_fresh_token_of_the_same_sign_in(real: Real, pods: str) -> None:
    world = real.world
    target = f"/api/v1/namespaces/{pods}/pods?watch=1&timeoutSeconds=10"
    old = world.token("liv", "testers", seconds=SOON_SECONDS, sid="one")
    fresh = world.token("liv", "testers", seconds=600, sid="one")
    with world.client() as client, world.client() as other:
        client.send(request("GET", target, old))
        assert other.ask(request("GET", "/version", fresh)).status == 200
        answer = client.answer()

    assert b'"ERROR"' not in answer.body
    assert "policy-cut" not in endings(real, "t:liv")
