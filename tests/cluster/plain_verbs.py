"""What kubectl's other verbs must do, whatever stands between kubectl and the API server.

Each check takes a ``Kubectl`` with a namespace that it may write to, makes what it needs, and
raises AssertionError where the outcome is not what a user relies on.
"""

import json
from uuid import uuid4

from tests.cluster.bounded_reading import read_until
from tests.cluster.kubectl import Kubectl, describe
from tests.cluster.pods import apply, shell_pod

LARGE_LIST_BYTES = 10_000_000


def an_object_is_applied_read_changed_and_deleted(kubectl: Kubectl) -> None:
    name = _name("settings")
    apply(kubectl, _config_map(name, colour="red"))
    assert _colour(kubectl, name) == "red"
    kubectl.out("patch", "configmap", name, "--type=merge", '--patch={"data":{"colour":"blue"}}')
    assert _colour(kubectl, name) == "blue"
    kubectl.out("delete", "configmap", name)
    done = kubectl("get", "configmap", name)
    assert (done.returncode, b"NotFound" in done.stderr) == (1, True), describe(done)


def an_object_is_applied_by_the_server(kubectl: Kubectl) -> None:
    name = _name("settings")
    manifest = json.dumps(_config_map(name, colour="green")).encode()
    kubectl.out("apply", "--server-side", "--filename=-", stdin=manifest)
    managers = kubectl.out(
        "get", "configmap", name, "--show-managed-fields", "--output=jsonpath={..manager}"
    )
    assert managers == "kubectl"


def a_list_selects_by_label(kubectl: Kubectl) -> None:
    label, names = _name("group"), sorted([_name("a"), _name("b")])
    apply(kubectl, *(_config_map(name, labels={"group": label}) for name in names))
    apply(kubectl, _config_map(_name("c")))
    listed = kubectl.out("get", "configmaps", f"--selector=group={label}", "--output=name")
    assert listed.split() == [f"configmap/{name}" for name in names]


def a_watch_shows_changes_as_they_come(kubectl: Kubectl) -> None:
    name = _name("watched")
    apply(kubectl, _config_map(name, colour="red"))
    shown = "--output=jsonpath={.data.colour}{'\\n'}"
    with kubectl.running("get", "configmap", name, "--watch", shown) as process:
        assert process.stdout is not None
        read_until(process.stdout, b"red\n")
        for colour in ("green", "blue"):
            change = json.dumps({"data": {"colour": colour}})
            kubectl.out("patch", "configmap", name, "--type=merge", f"--patch={change}")
            read_until(process.stdout, f"{colour}\n".encode())


def a_wait_ends_when_the_pod_is_ready(kubectl: Kubectl) -> None:
    name = _name("waited")
    apply(kubectl, shell_pod(name, "sleep 600"))
    kubectl.out("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=30s")
    kubectl.out("delete", "pod", name, "--now")


def a_10_mb_list_comes_whole(kubectl: Kubectl) -> None:
    label, size = _name("large"), 500_000
    count = LARGE_LIST_BYTES // size
    maps = (
        _config_map(f"{label}-{number}", labels={"group": label}, filler="x" * size)
        for number in range(count)
    )
    # Not applied, which would keep a second copy in an annotation.
    kubectl.out("create", "--filename=-", stdin="\n".join(map(json.dumps, maps)).encode())
    listed = json.loads(
        kubectl.out("get", "configmaps", f"--selector=group={label}", "--output=json")
    )
    sizes = [len(item["data"]["filler"]) for item in listed["items"]]
    assert sizes == [size] * count
    kubectl.out("delete", "configmaps", f"--selector=group={label}", "--wait=false")


def the_api_explains_itself(kubectl: Kubectl) -> None:
    assert "deployments" in kubectl.out("api-resources", "--api-group=apps", "--output=name")
    assert "containers" in kubectl.out("explain", "pod.spec")
    assert "Server Version: v1." in kubectl.out("version")


PLAIN_VERBS = (
    an_object_is_applied_read_changed_and_deleted,
    an_object_is_applied_by_the_server,
    a_list_selects_by_label,
    a_watch_shows_changes_as_they_come,
    a_wait_ends_when_the_pod_is_ready,
    a_10_mb_list_comes_whole,
    the_api_explains_itself,
)


def _name(prefix: str) -> str:
    return f"{prefix}-{uuid4().hex[:8]}"


def _config_map(
    name: str, *, labels: dict[str, str] | None = None, **data: str
) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": labels or {}},
        "data": data,
    }


def _colour(kubectl: Kubectl, name: str) -> str:
    return kubectl.out("get", "configmap", name, "--output=jsonpath={.data.colour}")
