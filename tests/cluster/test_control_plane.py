"""The control plane itself, with nothing of kzproxy's in the way: what later fails is ours."""

import ssl
from collections.abc import Callable, Iterator, Mapping

import httpx
import pytest

from kzproxy.demo.control_plane import ControlPlane
from tests.cluster.audit_log import AuditEvent, AuditLog
from tests.cluster.kubectl import SPDY, WEBSOCKET, Kubectl, describe
from tests.cluster.namespaces import fresh_namespace
from tests.cluster.plain_verbs import PLAIN_VERBS
from tests.cluster.pods import WEB, apply, shell_pod, start_pods
from tests.cluster.streaming_verbs import STREAMING_VERBS

pytestmark = pytest.mark.cluster

Verb = Callable[[Kubectl], None]


def named(verb: Verb) -> str:
    return verb.__name__


@pytest.fixture(scope="module")
def with_pods(control_plane: ControlPlane, administrator: httpx.Client) -> Iterator[Kubectl]:
    with fresh_namespace(administrator, "pods") as namespace:
        kubectl = Kubectl.of(control_plane).using(namespace=namespace)
        start_pods(kubectl)
        yield kubectl


@pytest.mark.parametrize("transport", [WEBSOCKET, SPDY], ids=["websocket", "spdy"])
@pytest.mark.parametrize("verb", STREAMING_VERBS, ids=named)
def test_kubectl_streams(with_pods: Kubectl, verb: Verb, transport: Mapping[str, str]):
    verb(with_pods.using(extra=transport))


@pytest.mark.parametrize("verb", PLAIN_VERBS, ids=named)
def test_kubectl_reads_and_writes(kubectl: Kubectl, verb: Verb):
    verb(kubectl)


@pytest.mark.parametrize(
    ("transport", "method"), [(WEBSOCKET, "get"), (SPDY, "create")], ids=["websocket", "spdy"]
)
def test_each_transport_is_the_one_it_is_called(
    with_pods: Kubectl, audit_log: AuditLog, transport: Mapping[str, str], method: str
):
    """Else the fall-back from WebSocket to SPDY would make both runs the same."""
    mark = audit_log.mark()
    with_pods.using(extra=transport).out("exec", WEB, "--container=main", "--", "true")

    def is_exec(event: AuditEvent) -> bool:
        return event.get("objectRef", {}).get("subresource") == "exec"

    event = audit_log.wait_for(is_exec, mark=mark)
    assert (event["verb"], event["objectRef"]["namespace"]) == (method, with_pods.namespace)
    assert len([e for e in audit_log.since(mark) if is_exec(e) and e["verb"] != method]) == 0


def test_the_audit_log_holds_a_request_once_it_is_answered(
    administrator: httpx.Client, audit_log: AuditLog
):
    mark = audit_log.mark()
    administrator.get("/healthz", headers={"Audit-ID": "asked-by-a-test"})
    event = audit_log.find("asked-by-a-test", mark=mark)
    assert (event["requestURI"], event["user"]["username"]) == ("/healthz", "kubernetes-admin")


def test_constrained_impersonation_is_on(administrator: httpx.Client):
    metrics = administrator.get("/metrics").text
    assert 'kubernetes_feature_enabled{name="ConstrainedImpersonation",stage="BETA"} 1' in metrics


def test_service_account_tokens_are_accepted(control_plane: ControlPlane, kubectl: Kubectl):
    token = kubectl.out("create", "token", "default").strip()
    with httpx.Client(
        base_url=control_plane.server,
        verify=ssl.create_default_context(cafile=control_plane.certificate_authority),
        trust_env=False,
    ) as anyone:
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        answer = anyone.post(
            "/apis/authentication.k8s.io/v1/selfsubjectreviews",
            json=asked,
            headers={"Authorization": f"Bearer {token}"},
        )
    username = answer.json()["status"]["userInfo"]["username"]
    assert username == f"system:serviceaccount:{kubectl.namespace}:default"


def test_the_node_serves_the_api_server_alone(control_plane: ControlPlane, kubectl: Kubectl):
    port = kubectl.out(
        "get", "nodes", "--output=jsonpath={.items[0].status.daemonEndpoints.kubeletEndpoint.Port}"
    )
    pki = control_plane.directory / "pki"
    context = ssl.create_default_context(cafile=control_plane.certificate_authority)
    with pytest.raises(httpx.TransportError):
        httpx.get(f"https://127.0.0.1:{port}/healthz", verify=context, trust_env=False)
    # The administrator's certificate is of the right CA, and of the wrong name.
    context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
    with pytest.raises(httpx.TransportError):
        httpx.get(f"https://127.0.0.1:{port}/healthz", verify=context, trust_env=False)
    context.load_cert_chain(pki / "kubelet-client.crt", pki / "kubelet-client.key")
    served = httpx.get(f"https://127.0.0.1:{port}/healthz", verify=context, trust_env=False)
    assert served.text == "ok"


def test_a_deployments_pods_run(kubectl: Kubectl):
    kubectl.out("create", "deployment", "web", "--image=none.invalid/none", "--replicas=2")
    kubectl.out("rollout", "status", "deployment/web", "--timeout=30s")


def test_a_pod_that_fails_says_how(kubectl: Kubectl):
    apply(kubectl, shell_pod("fails", "echo why >&2; exit 3"))
    kubectl.out("wait", "--for=jsonpath={.status.phase}=Failed", "pod/fails", "--timeout=30s")
    code = "--output=jsonpath={.status.containerStatuses[0].state.terminated.exitCode}"
    assert kubectl.out("get", "pod", "fails", code) == "3"
    assert kubectl.out("logs", "fails") == "why\n"
    refused = kubectl("exec", "fails", "--", "true")
    assert refused.returncode == 1, describe(refused)


def test_a_pods_processes_know_nothing_of_the_testers_environment(
    kubectl: Kubectl,
):
    apply(kubectl, shell_pod("plain", "env | cut -d= -f1 | sort"))
    kubectl.out("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/plain", "--timeout=30s")
    names = set(kubectl.out("logs", "plain").split())
    assert names <= {"HOME", "HOSTNAME", "LANG", "OLDPWD", "PATH", "PWD", "SHLVL", "_"}, names
