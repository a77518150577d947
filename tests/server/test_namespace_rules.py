"""Rules about the labels of namespaces, before the real kube-apiserver."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.cluster.kubectl import Kubectl
from tests.cluster.namespaces import fresh_namespace
from tests.proxy.fixtures import REPOSITORY, Real
from tests.proxy.issuer_thread import issuer_in_thread
from tests.proxy.process import running_proxy
from tests.proxy.world import POLICY, PREFIX, World, configuration
from tests.servers.authority import Authority

pytestmark = pytest.mark.cluster

RIGHTS = str(REPOSITORY / "deploy" / "rbac" / "namespaces")
LABEL = "kzproxy.dev/tests"


def rule(effect: str, group: str, value: str) -> dict[str, Any]:
    return {
        "id": f"{group}-{effect}",
        "effect": effect,
        "subjects": {"groups": [f"{PREFIX}{group}"]},
        "match": [
            {
                "verbs": ["get", "list", "watch", "create"],
                "apiGroups": [""],
                "resources": ["configmaps"],
                "namespaceSelector": {"matchLabels": {LABEL: value}},
            }
        ],
    }


DISCOVERY = {
    "id": "discovery",
    "effect": "allow",
    "subjects": {"groups": [f"{PREFIX}labelled"]},
    "match": [{"verbs": ["get"], "nonResourceURLs": ["/api*", "/openapi*", "/version"]}],
}
RULES = [
    *POLICY["rules"],
    DISCOVERY,
    rule("allow", "labelled", "open"),
    rule("deny", "kept-out", "closed"),
]


@pytest.fixture(scope="module")
def rights(real: Real) -> Iterator[None]:
    administrator = Kubectl.of(real.control_plane)
    administrator.out("apply", "--kustomize", RIGHTS)
    access = ["--clusterrole=cluster-admin", f"--group={PREFIX}labelled"]
    administrator.out("create", "clusterrolebinding", "kzproxy-tests-labelled", *access)
    yield
    administrator.out("delete", "clusterrolebinding", "kzproxy-tests-labelled")
    administrator.out("delete", "--kustomize", RIGHTS, "--ignore-not-found")


@pytest.fixture(scope="module")
def labelled(
    real: Real, rights: None, upstream_kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Real]:
    """A kzproxy that follows namespaces, and whose policy asks it to."""
    directory = tmp_path_factory.mktemp("labelled")
    authority = Authority.root()
    with issuer_in_thread(directory, authority) as issuer:
        upstream = {"kubeconfig": {"file": str(upstream_kubeconfig)}}
        settings = configuration(directory, authority, issuer, upstream)
        (directory / "policy.yaml").write_text(yaml.safe_dump(POLICY | {"rules": RULES}))
        with running_proxy(directory, settings) as proxy:
            world = World(directory, authority, issuer, proxy)
            yield Real(world, real.audit_log, real.control_plane)


@pytest.fixture
def place(administrator: httpx.Client) -> Iterator[str]:
    with fresh_namespace(administrator, "labels") as namespace:
        yield namespace


def label(real: Real, namespace: str, value: str) -> None:
    Kubectl.of(real.control_plane).out(
        "label", "--overwrite", "namespace", namespace, f"{LABEL}={value}"
    )


def within(seconds: float, holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_allow_rule_follows_the_label(labelled: Real, place: str) -> None:
    kubectl = labelled.kubectl("lab", "labelled", namespace=place)
    assert b"no kzproxy rule allows it" in kubectl("get", "configmaps").stderr
    label(labelled, place, "open")
    within(5, lambda: kubectl("get", "configmaps").returncode == 0)
    label(labelled, place, "shut")
    within(5, lambda: kubectl("get", "configmaps").returncode == 1)
    record = labelled.world.proxy.decisions_of(f"{PREFIX}lab")[-1]
    assert "namespace" in record["depends_on"]


def test_a_deny_rule_follows_the_label_and_covers_all_namespaces_at_once(
    labelled: Real, place: str
) -> None:
    kubectl = labelled.kubectl("kept", "testers", "kept-out", namespace=place)
    assert kubectl("get", "configmaps").returncode == 0
    label(labelled, place, "closed")
    within(5, lambda: b"kept-out-deny" in kubectl("get", "configmaps").stderr)
    assert b"kept-out-deny" in kubectl("get", "configmaps", "--all-namespaces").stderr


def test_a_namespace_made_a_moment_ago_is_known(
    labelled: Real, administrator: httpx.Client
) -> None:
    kubectl = labelled.kubectl("young", "labelled")
    for number in range(5):
        name = f"young-{number}-{time.time_ns()}"
        body = {"metadata": {"name": name, "labels": {LABEL: "open"}}}
        administrator.post("/api/v1/namespaces", json=body).raise_for_status()
        try:
            done = kubectl("create", "configmap", "a", f"--namespace={name}")
            assert done.returncode == 0, done.stderr
        finally:
            administrator.delete(f"/api/v1/namespaces/{name}")


def test_a_watch_ends_when_the_label_goes(labelled: Real, place: str) -> None:
    label(labelled, place, "open")
    kubectl = labelled.kubectl("wat", "labelled", namespace=place)
    within(5, lambda: kubectl("get", "configmaps").returncode == 0)
    with subprocess.Popen(
        kubectl.command("get", "configmaps", "--watch"),
        env=kubectl.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as watch:
        assert watch.stdout is not None
        assert b"NAME" in watch.stdout.readline()
        label(labelled, place, "shut")
        said, _ = watch.communicate(timeout=10)
    assert b"access ended by kzproxy" in said
    completed = [
        each
        for each in labelled.world.proxy.records()
        if each["kind"] == "completed" and each["termination"] == "policy-cut"
    ]
    assert completed


def test_operators_see_that_namespaces_are_followed(labelled: Real) -> None:
    assert '"namespaces": "ok"' in labelled.world.proxy.ops("/readyz")[1]


def test_without_the_right_to_list_namespaces_such_a_policy_is_not_put_in_force(
    real: Real, upstream_kubeconfig: Path, tmp_path: Path, rights: None
) -> None:
    administrator = Kubectl.of(real.control_plane)
    authority = Authority.root()
    with issuer_in_thread(tmp_path, authority) as issuer:
        upstream = {"kubeconfig": {"file": str(upstream_kubeconfig)}}
        settings = configuration(tmp_path, authority, issuer, upstream)
        with running_proxy(tmp_path, settings) as proxy:
            administrator.out("delete", "--kustomize", RIGHTS)
            try:
                (tmp_path / "policy.yaml").write_text(yaml.safe_dump(POLICY | {"rules": RULES}))
                within(20, lambda: "deploy/rbac/namespaces" in proxy.ops("/readyz")[1])
                world = World(tmp_path, authority, issuer, proxy)
                still = Real(world, real.audit_log, real.control_plane)
                assert still.kubectl("tess", "testers")("get", "namespaces").returncode == 0
            finally:
                administrator.out("apply", "--kustomize", RIGHTS)
