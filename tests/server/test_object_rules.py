"""Rules about the pod that is entered and about what is created, before the real kube-apiserver."""

import json
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
from tests.cluster.pods import apply, shell_pod
from tests.proxy.eventually import eventually
from tests.proxy.fixtures import REPOSITORY, Real
from tests.proxy.issuer_thread import issuer_in_thread
from tests.proxy.process import running_proxy
from tests.proxy.world import POLICY, PREFIX, World, configuration, request
from tests.servers.authority import Authority

pytestmark = pytest.mark.cluster

TRANSPORTS = pytest.mark.parametrize("transport", [WEBSOCKET, SPDY], ids=["websocket", "spdy"])
GUARDED = [f"{PREFIX}guarded"]
RULES = [
    *POLICY["rules"],
    {
        "id": "nothing-privileged",
        "effect": "deny",
        "subjects": {"groups": GUARDED},
        "match": [
            {
                "verbs": ["connect"],
                "apiGroups": [""],
                "resources": ["pods/exec", "pods/attach", "pods/portforward"],
            },
            {
                "verbs": ["create", "update", "patch"],
                "apiGroups": ["", "apps"],
                "resources": ["pods", "pods/ephemeralcontainers", "deployments"],
            },
        ],
        "needs": ["object"],
        "when": "object.privileged || object.host_namespaces",
        "message": "privileged pods are for the platform team",
    },
]
RULES.append(
    {
        "id": "no-privileged-deployments",
        "effect": "deny",
        "subjects": {"groups": [f"{PREFIX}patchers"]},
        "match": [
            {
                "verbs": ["create", "update", "patch"],
                "apiGroups": ["apps"],
                "resources": ["deployments"],
            }
        ],
        "needs": ["object"],
        "patches": "allow",
        "conditions": {"object": {"privileged": True}},
    }
)
PRIVILEGED = {"securityContext": {"privileged": True}}


@pytest.fixture(scope="module")
def guard(
    real: Real, upstream_kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Real]:
    """A kzproxy that may look at pods, and whose policy asks it to."""
    administrator = Kubectl.of(real.control_plane)
    rights = str(REPOSITORY / "deploy" / "rbac" / "objects")
    administrator.out("apply", "--kustomize", rights)
    directory = tmp_path_factory.mktemp("guard")
    authority = Authority.root()
    with issuer_in_thread(directory, authority) as issuer:
        upstream = {"kubeconfig": {"file": str(upstream_kubeconfig)}}
        settings = configuration(directory, authority, issuer, upstream)
        (directory / "policy.yaml").write_text(yaml.safe_dump(POLICY | {"rules": RULES}))
        with running_proxy(directory, settings) as proxy:
            world = World(directory, authority, issuer, proxy)
            yield Real(world, real.audit_log, real.control_plane)
    administrator.out("delete", "--kustomize", rights, "--ignore-not-found")


def any_pod(name: str, *, privileged: bool = False, **spec: Any) -> dict[str, Any]:
    pod = shell_pod(name, "sleep 600", **spec)
    if privileged:
        pod["spec"]["containers"][0] |= PRIVILEGED
    return pod


@pytest.fixture(scope="module")
def place(control_plane: ControlPlane, administrator: httpx.Client) -> Iterator[str]:
    with fresh_namespace(administrator, "objects") as namespace:
        kubectl = Kubectl.of(control_plane).using(namespace=namespace)
        apply(kubectl, any_pod("plain"), any_pod("mighty", privileged=True))
        apply(kubectl, any_pod("on-the-host", hostPID=True))
        names = ("pod/plain", "pod/mighty", "pod/on-the-host")
        kubectl.out("wait", "--for=condition=Ready", *names, "--timeout=30s")
        yield namespace


def refused(done: Any) -> None:
    assert done.returncode != 0
    assert b"nothing-privileged" in done.stderr or b"for the platform team" in done.stderr


@TRANSPORTS
def test_a_plain_pod_may_be_entered_and_a_privileged_one_not(
    guard: Real, place: str, transport: Mapping[str, str]
) -> None:
    kubectl = guard.kubectl("guy", "testers", "guarded", namespace=place).using(extra=transport)
    assert kubectl("exec", "plain", "--", "echo", "in").stdout == b"in\n"
    for pod in ("mighty", "on-the-host"):
        refused(kubectl("exec", pod, "--", "echo", "in"))
    refused(kubectl("attach", "mighty"))
    refused(kubectl("port-forward", "mighty", ":18080"))


def test_others_may_enter_it(guard: Real, place: str) -> None:
    kubectl = guard.kubectl("ott", "testers", namespace=place)
    assert kubectl("exec", "mighty", "--", "echo", "in").stdout == b"in\n"


def test_kube_apiserver_is_asked_as_kzproxy_and_only_where_a_rule_asks(
    guard: Real, place: str
) -> None:
    def looks(mark: int) -> int:
        account = "system:serviceaccount:kzproxy:kzproxy"
        return sum(
            event.get("objectRef", {}).get("name") == "plain"
            and event["verb"] == "get"
            and "impersonatedUser" not in event
            for event in guard.audit_log.by_user(account, mark=mark)
        )

    mark = guard.audit_log.mark()
    guard.kubectl("ott", "testers", namespace=place)("exec", "plain", "--", "true")
    assert looks(mark) == 0
    guard.kubectl("guy", "testers", "guarded", namespace=place)("exec", "plain", "--", "true")
    eventually(lambda: looks(mark))  # It is logged once it has been answered.
    assert looks(mark) == 1


def test_a_pod_that_is_not_there_is_refused_too(guard: Real, place: str) -> None:
    kubectl = guard.kubectl("guy", "testers", "guarded", namespace=place)
    world = guard.world
    token = world.token("guy", "testers", "guarded")
    with world.client() as client:
        target = f"/api/v1/namespaces/{place}/pods/nobody/exec?command=id"
        assert client.ask(request("POST", target, token)).status == 403
    assert kubectl("exec", "nobody", "--", "id").returncode != 0


def create(guard: Real, place: str, manifest: Any, *lines: str, resource: str = "pods") -> Any:
    world = guard.world
    group = "/api/v1" if resource == "pods" else "/apis/apps/v1"
    body = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
    given = lines or ("Content-Type: application/json",)
    target = f"{group}/namespaces/{place}/{resource}"
    with world.client() as client:
        token = world.token("guy", "testers", "guarded")
        return client.ask(request("POST", target, token, *given, body=body))


def test_what_is_created_is_looked_into(guard: Real, place: str) -> None:
    assert create(guard, place, any_pod("made")).status == 201
    for manifest in (
        any_pod("made-mighty", privileged=True),
        any_pod("made-host", hostNetwork=True),
    ):
        answer = create(guard, place, manifest)
        assert answer.status == 403
        assert answer.json["kind"] == "Status"
        assert "nothing-privileged" in answer.message or "platform team" in answer.message


def deployment(name: str, **options: Any) -> dict[str, Any]:
    labels = {"app": name}
    spec = any_pod(name, **options)["spec"] | {"restartPolicy": "Always"}
    template = {"metadata": {"labels": labels}, "spec": spec}
    selector = {"matchLabels": labels}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"selector": selector, "template": template},
    }


def test_a_rule_may_let_patches_be(guard: Real, place: str, tmp_path: Path) -> None:
    kubectl = guard.kubectl("pat", "testers", "patchers", namespace=place)
    mighty = _written(tmp_path, deployment("patched", privileged=True))
    assert b"no-privileged-deployments" in kubectl("create", "--filename", mighty).stderr
    plain = _written(tmp_path, deployment("patched"))
    kubectl.out("create", "--filename", plain)
    patch = '{"spec": {"template": {"metadata": {"labels": {"a": "b"}}}}}'
    kubectl.out("patch", "deployment", "patched", "--patch", patch)
    mighty = _written(tmp_path, deployment("patched", privileged=True))
    assert b"no-privileged-deployments" in kubectl("replace", "--filename", mighty).stderr


def test_what_makes_pods_is_looked_into(guard: Real, place: str) -> None:
    assert create(guard, place, deployment("fine"), resource="deployments").status == 201
    mighty = deployment("mighty", privileged=True)
    assert create(guard, place, mighty, resource="deployments").status == 403


def test_kubectl_creates_and_is_refused_to_patch(guard: Real, place: str, tmp_path: Path) -> None:
    kubectl = guard.kubectl("guy", "testers", "guarded", namespace=place)
    file = tmp_path / "pod.yaml"
    file.write_text(yaml.safe_dump(any_pod("by-kubectl")))
    assert kubectl("apply", "--filename", str(file)).returncode == 0
    file.write_text(
        yaml.safe_dump(
            any_pod("by-kubectl") | {"metadata": {"name": "by-kubectl", "labels": {"a": "b"}}}
        )
    )
    refused(kubectl("apply", "--filename", str(file)))
    refused(kubectl("apply", "--server-side", "--filename", str(file)))
    refused(kubectl("label", "pod", "by-kubectl", "a=b"))
    refused(kubectl("debug", "plain", "--image=none.invalid/none", "--attach=false"))
    refused(kubectl("create", "--filename", _written(tmp_path, any_pod("m", privileged=True))))


def _written(directory: Path, manifest: dict[str, Any]) -> str:
    file = directory / "manifest.yaml"
    file.write_text(yaml.safe_dump(manifest))
    return str(file)


@pytest.mark.parametrize(
    ("lines", "code", "told"),
    [
        (("Content-Type: application/vnd.kubernetes.protobuf",), 415, "is read as"),
        (("Content-Type: application/cbor",), 415, "is read as"),
        (("Content-Type: application/json", "Content-Encoding: gzip"), 415, "Content-Encoding"),
    ],
)
def test_what_cannot_be_looked_into_is_refused(
    guard: Real, place: str, lines: tuple[str, ...], code: int, told: str
) -> None:
    answer = create(guard, place, any_pod("unread"), *lines)
    assert answer.status == code
    assert told in answer.message
    (record,) = guard.world.proxy.records_of(answer.audit_id)
    assert record["decision"] == "refused"


def test_what_has_two_readings_is_refused(guard: Real, place: str) -> None:
    text = json.dumps(any_pod("twice"))
    twice = text.replace('"spec": {', '"spec": {"hostPID": true}, "spec": {', 1).encode()
    answer = create(guard, place, twice)
    assert answer.status == 400
    assert "one reading" in answer.message


def test_yaml_is_looked_into(guard: Real, place: str) -> None:
    kind = "Content-Type: application/yaml"
    plain = yaml.safe_dump(any_pod("in-yaml")).encode()
    assert create(guard, place, plain, kind).status == 201
    mighty = yaml.safe_dump(any_pod("in-yaml-2", privileged=True)).encode()
    assert create(guard, place, mighty, kind).status == 403
    assert create(guard, place, mighty.replace(b"true", b"y"), kind).status == 400


def test_those_whom_no_rule_asks_about_send_what_they_like(guard: Real, place: str) -> None:
    world = guard.world
    body = json.dumps(any_pod("free", privileged=True)).replace("{", '{"x": 1, "x": 2, ', 1)
    target = f"/api/v1/namespaces/{place}/pods?dryRun=All"
    with world.client() as client:
        asked = request("POST", target, world.token("ott", "testers"), body=body.encode())
        assert client.ask(asked).status == 201


def test_without_the_right_to_look_it_denies(guard: Real, place: str) -> None:
    administrator = Kubectl.of(guard.control_plane)
    kubectl = guard.kubectl("guy", "testers", "guarded", namespace=place)
    assert kubectl("exec", "plain", "--", "true").returncode == 0
    administrator.out("delete", "clusterrolebinding", "kzproxy-objects")
    # kube-apiserver's authorizer hears of it a moment later.
    while (done := kubectl("exec", "plain", "--", "true")).returncode == 0:
        time.sleep(0.1)
    assert b"nothing-privileged" in done.stderr
