"""Every kubectl verb through kzproxy, by WebSocket and by SPDY, on the real API server."""

from collections.abc import Callable, Iterator, Mapping

import httpx
import pytest

from kzproxy.demo.control_plane import ControlPlane
from tests.cluster.kubectl import SPDY, WEBSOCKET, Kubectl
from tests.cluster.namespaces import fresh_namespace
from tests.cluster.plain_verbs import PLAIN_VERBS
from tests.cluster.pods import WEB, start_pods
from tests.cluster.streaming_verbs import STREAMING_VERBS
from tests.proxy.fixtures import Real

pytestmark = pytest.mark.cluster

Verb = Callable[[Kubectl], None]


def named(verb: Verb) -> str:
    return verb.__name__


@pytest.fixture(scope="module")
def with_pods(
    real: Real, control_plane: ControlPlane, administrator: httpx.Client
) -> Iterator[Kubectl]:
    with fresh_namespace(administrator, "pods") as namespace:
        start_pods(Kubectl.of(control_plane).using(namespace=namespace))
        yield real.kubectl("verity", "testers", namespace=namespace)


@pytest.mark.parametrize("transport", [WEBSOCKET, SPDY], ids=["websocket", "spdy"])
@pytest.mark.parametrize("verb", STREAMING_VERBS, ids=named)
def test_kubectl_streams(with_pods: Kubectl, verb: Verb, transport: Mapping[str, str]) -> None:
    verb(with_pods.using(extra=transport))


@pytest.mark.parametrize("verb", PLAIN_VERBS, ids=named)
def test_kubectl_reads_and_writes(real: Real, namespace: str, verb: Verb) -> None:
    verb(real.kubectl("verity", "testers", namespace=namespace))


@pytest.mark.parametrize(
    ("transport", "method"), [(WEBSOCKET, "GET"), (SPDY, "POST")], ids=["websocket", "spdy"]
)
def test_each_transport_is_judged_as_connect(
    real: Real, with_pods: Kubectl, transport: Mapping[str, str], method: str
) -> None:
    kubectl = real.kubectl(f"connor-{method}", "testers", namespace=with_pods.namespace)
    kubectl.using(extra=transport).out("exec", WEB, "--container=main", "--", "true")
    judged = [record["request"] for record in real.world.proxy.decisions_of(f"t:connor-{method}")]

    execs = [asked for asked in judged if asked.get("subresource") == "exec"]
    assert [(asked["method"], asked["verb"]) for asked in execs] == [(method, "connect")]
