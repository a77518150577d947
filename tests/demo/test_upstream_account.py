import json
from pathlib import Path

import pytest

from kzproxy.demo.component import ControlPlaneError
from kzproxy.demo.control_plane import ControlPlane
from kzproxy.demo.upstream_account import USERNAME
from tests.cluster.kubectl import Kubectl

pytestmark = pytest.mark.cluster

ROLE = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "tests-upstream-account"},
    "rules": [],
}


def test_the_account_is_itself_and_may_read_nothing(
    control_plane: ControlPlane, kubectl: Kubectl, tmp_path: Path
):
    account = control_plane.upstream_account
    account.create([])
    account.write_kubeconfig(tmp_path / "upstream.kubeconfig")
    assert (tmp_path / "upstream.kubeconfig").stat().st_mode & 0o777 == 0o600
    as_account = kubectl.using(kubeconfig=tmp_path / "upstream.kubeconfig")
    assert as_account.out("auth", "whoami", "--output=jsonpath={..username}") == USERNAME
    refused = as_account("get", "pods")
    assert (refused.returncode, b"Forbidden" in refused.stderr) == (1, True)


@pytest.mark.parametrize("kustomized", [True, False], ids=["kustomization", "plain"])
def test_rights_are_applied_from_manifests(
    control_plane: ControlPlane, kubectl: Kubectl, tmp_path: Path, kustomized: bool
):
    (tmp_path / "role.yaml").write_text(json.dumps(ROLE))
    if kustomized:
        (tmp_path / "kustomization.yaml").write_text("resources: [role.yaml]\n")
    for _ in range(2):
        control_plane.upstream_account.create([tmp_path])
    kubectl.out("delete", "clusterrole", "tests-upstream-account")


def test_a_manifest_with_a_mistake_is_named(control_plane: ControlPlane, tmp_path: Path):
    (tmp_path / "role.yaml").write_text(json.dumps({**ROLE, "rulez": []}))
    with pytest.raises(ControlPlaneError, match="rulez"):
        control_plane.upstream_account.create([tmp_path])
