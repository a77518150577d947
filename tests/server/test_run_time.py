"""What is kept while a stream runs: ``maxSession`` and ``idle``, of every kind of stream."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from kzproxy.demo.control_plane import ControlPlane
from tests.cluster.kubectl import SPDY, WEBSOCKET, Kubectl
from tests.cluster.namespaces import fresh_namespace
from tests.cluster.pods import WEB, start_pods
from tests.proxy.fixtures import Real
from tests.proxy.issuer_thread import issuer_in_thread
from tests.proxy.process import running_proxy
from tests.proxy.world import POLICY, PREFIX, World, configuration, request
from tests.servers.authority import Authority

pytestmark = pytest.mark.cluster

LONGEST_SECONDS = 4
IDLE_SECONDS = 7  # longer than client-go's pings are apart (5 s)
TRANSPORTS = pytest.mark.parametrize("transport", [WEBSOCKET, SPDY], ids=["websocket", "spdy"])


def bounded(group: str, **obligations: str) -> dict[str, Any]:
    return {
        "id": f"{group}-everything",
        "effect": "allow",
        "subjects": {"groups": [f"{PREFIX}{group}"]},
        "match": [
            {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
            {"verbs": ["*"], "nonResourceURLs": ["*"]},
        ],
        "obligations": obligations,
    }


RULES = [
    bounded("short", maxSession=f"{LONGEST_SECONDS}s"),
    bounded("resting", idle=f"{IDLE_SECONDS}s"),
]


@pytest.fixture(scope="module")
def bounds(
    real: Real, upstream_kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Real]:
    """A kzproxy of these tests' own, whose users kube-apiserver's RBAC lets do everything."""
    directory = tmp_path_factory.mktemp("bounds")
    authority = Authority.root()
    with issuer_in_thread(directory, authority) as issuer:
        upstream = {"kubeconfig": {"file": str(upstream_kubeconfig)}}
        settings = configuration(directory, authority, issuer, upstream)
        policy = POLICY | {"rules": RULES}
        (directory / "policy.yaml").write_text(yaml.safe_dump(policy))
        with running_proxy(directory, settings) as proxy:
            world = World(directory, authority, issuer, proxy)
            yield Real(world, real.audit_log, real.control_plane)


@pytest.fixture(scope="module")
def pods(control_plane: ControlPlane, administrator: httpx.Client) -> Iterator[str]:
    with fresh_namespace(administrator, "bounds") as namespace:
        start_pods(Kubectl.of(control_plane).using(namespace=namespace))
        yield namespace


def kubectl_of(bounds: Real, user: str, group: str, namespace: str) -> Kubectl:
    return bounds.kubectl(user, group, "testers", namespace=namespace)


def cause(bounds: Real, kind: str) -> dict[str, float]:
    """How many streams of a kind were cut so far, by cause."""
    found: dict[str, float] = {}
    for line in bounds.world.proxy.ops("/metrics")[1].splitlines():
        if line.startswith("kzproxy_stream_cuts_total{") and f'kind="{kind}"' in line:
            labels, _, value = line.rpartition(" ")
            found[labels.partition('cause="')[2].partition('"')[0]] = float(value)
    return found


def ended(bounds: Real, user: str) -> tuple[str, str]:
    """How the user's last stream ended, by the log."""
    proxy = bounds.world.proxy
    decided = [
        record
        for record in proxy.decisions_of(f"{PREFIX}{user}")
        if record["request"].get("stream")
    ]
    completed = proxy.finished(decided[-1]["audit_id"])[1]
    return completed["termination"], completed.get("message", "")


class Timed:
    def __enter__(self) -> "Timed":
        self.began = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self.began


@TRANSPORTS
def test_an_exec_lasts_as_long_as_it_may(
    bounds: Real, pods: str, transport: Mapping[str, str]
) -> None:
    kubectl = kubectl_of(bounds, "max-exec", "short", pods).using(extra=transport)
    script = "while sleep 0.2; do echo on; done"
    with Timed() as timed:
        done = kubectl("exec", WEB, "--container=main", "--", "sh", "-c", script)

    assert done.returncode == 1
    assert b"it has lasted 4s, as long as rule short-everything allows" in done.stderr
    assert LONGEST_SECONDS - 1 < timed.seconds < LONGEST_SECONDS + 6
    assert ended(bounds, "max-exec")[0] == "policy-cut"


@TRANSPORTS
def test_an_attach_lasts_as_long_as_it_may(
    bounds: Real, pods: str, transport: Mapping[str, str]
) -> None:
    kubectl = kubectl_of(bounds, "max-attach", "short", pods).using(extra=transport)
    done = kubectl("attach", WEB, "--container=ticker")

    assert done.returncode == 1
    assert b"it has lasted 4s" in done.stderr


def test_followed_logs_last_as_long_as_they_may(bounds: Real, pods: str) -> None:
    kubectl = kubectl_of(bounds, "max-logs", "short", pods)
    done = kubectl("logs", "--follow", WEB, "--container=ticker")

    assert done.returncode == 1
    assert b"tick" in done.stdout
    assert "it has lasted 4s" in ended(bounds, "max-logs")[1]


@TRANSPORTS
def test_a_port_forward_lasts_as_long_as_it_may(
    bounds: Real, pods: str, transport: Mapping[str, str]
) -> None:
    kubectl = kubectl_of(bounds, "max-forward", "short", pods).using(extra=transport)
    done = kubectl("port-forward", WEB, ":18080")

    assert done.returncode == 1
    assert b"lost connection to pod" in done.stderr
    assert "it has lasted 4s" in ended(bounds, "max-forward")[1]


def test_a_watch_lasts_as_long_as_it_may_whatever_renews_the_sign_in(
    bounds: Real, pods: str
) -> None:
    world = bounds.world
    token = world.token("max-watch", "short", "testers", sid="one")
    with world.client() as client, world.client() as other, Timed() as timed:
        client.send(request("GET", f"/api/v1/namespaces/{pods}/pods?watch=1", token))
        fresh = world.token("max-watch", "short", "testers", sid="one", seconds=7200)
        assert other.ask(request("GET", "/version", fresh)).status == 200
        answer = client.answer()

    last = answer.body.splitlines()[-1]
    assert last.startswith(b'{"type":"ERROR","object":{"kind":"Status"')
    assert b"it has lasted 4s" in last
    assert timed.seconds < LONGEST_SECONDS + 6


@TRANSPORTS
def test_an_exec_on_which_nothing_moves_ends_for_all_its_pings(
    bounds: Real, pods: str, transport: Mapping[str, str]
) -> None:
    kubectl = kubectl_of(bounds, "idle-exec", "resting", pods).using(extra=transport)
    with Timed() as timed:
        done = kubectl("exec", WEB, "--container=main", "--", "sh", "-c", "echo on; sleep 60")

    assert done.returncode == 1
    assert b"nothing has moved for 7s, as long as rule resting-everything allows" in done.stderr
    assert IDLE_SECONDS - 1 < timed.seconds < IDLE_SECONDS + 6


@TRANSPORTS
def test_an_exec_on_which_something_moves_goes_on(
    bounds: Real, pods: str, transport: Mapping[str, str]
) -> None:
    kubectl = kubectl_of(bounds, "busy-exec", "resting", pods).using(extra=transport)
    script = "for i in 1 2 3 4; do echo $i; sleep 3; done"
    done = kubectl("exec", WEB, "--container=main", "--", "sh", "-c", script)

    assert done.returncode == 0, done.stderr
    assert done.stdout == b"1\n2\n3\n4\n"


@TRANSPORTS
def test_an_attach_on_which_nothing_moves_ends(
    bounds: Real, pods: str, transport: Mapping[str, str]
) -> None:
    kubectl = kubectl_of(bounds, "idle-attach", "resting", pods).using(extra=transport)
    done = kubectl("attach", WEB, "--container=main")

    assert done.returncode == 1
    assert b"nothing has moved for 7s" in done.stderr


@TRANSPORTS
def test_a_port_forward_on_which_nothing_moves_ends_for_all_its_pings(
    bounds: Real, pods: str, transport: Mapping[str, str]
) -> None:
    kubectl = kubectl_of(bounds, "idle-forward", "resting", pods).using(extra=transport)
    with Timed() as timed:
        done = kubectl("port-forward", WEB, ":18080")

    assert done.returncode == 1
    assert "nothing has moved for 7s" in ended(bounds, "idle-forward")[1]
    assert timed.seconds < IDLE_SECONDS + 6


def test_logs_in_which_nothing_is_written_end(bounds: Real, pods: str) -> None:
    kubectl = kubectl_of(bounds, "idle-logs", "resting", pods)
    done = kubectl("logs", "--follow", WEB, "--container=main")

    assert done.returncode == 1
    assert "nothing has moved for 7s" in ended(bounds, "idle-logs")[1]


def test_a_watch_without_events_ends(bounds: Real, pods: str) -> None:
    world = bounds.world
    token = world.token("idle-watch", "resting", "testers")
    target = f"/api/v1/namespaces/{pods}/secrets?watch=1&allowWatchBookmarks=true"
    with world.client() as client:
        client.send(request("GET", target, token))
        answer = client.answer()

    assert b"nothing has moved for 7s" in answer.body.splitlines()[-1]


def test_each_kind_is_counted_under_its_cause(bounds: Real, pods: str) -> None:
    assert pods
    for kind in ("exec", "attach", "portforward", "log", "watch"):
        counted = cause(bounds, kind)
        assert counted.get("max-session", 0) >= 1, (kind, counted)
        assert counted.get("idle", 0) >= 1, (kind, counted)
