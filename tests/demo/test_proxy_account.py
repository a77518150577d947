"""The demo grants kzproxy's account what deploy/ grants, and nothing more."""

from pathlib import Path

import pytest
import yaml

from kzproxy.demo.proxy_account import (
    CONSTRAINED,
    LEGACY,
    OTHER_CLUSTER,
    OWN_CLUSTER,
    RIGHTS,
    ProxyAccount,
    is_legacy,
)

DEPLOYED = Path(__file__).parents[2] / "deploy" / "rbac"


class NoKubectl:
    """Stands in for kubectl where it must not be run."""


def account(names):
    return ProxyAccount(kubectl=NoKubectl(), names=names)


@pytest.mark.parametrize(("name", "directory"), [(CONSTRAINED, "constrained"), (LEGACY, "legacy")])
def test_the_copies_are_those_of_deploy(name, directory):
    deployed = (DEPLOYED / directory / "impersonation.yaml").read_bytes()
    assert (RIGHTS / name).read_bytes() == deployed


def test_in_its_own_cluster_the_account_has_the_rights_of_deploy():
    namespace, service_account, *rights = account(OWN_CLUSTER).manifests(legacy=False)
    deployed = list(
        yaml.safe_load_all((DEPLOYED / "constrained" / "impersonation.yaml").read_text())
    )
    assert (namespace["kind"], namespace["metadata"]["name"]) == ("Namespace", "kzproxy")
    assert service_account["metadata"]["namespace"] == "kzproxy"
    assert [right | {"metadata": None} for right in rights] == [
        document | {"metadata": None} for document in deployed
    ]


@pytest.mark.parametrize("legacy", [True, False])
def test_in_another_cluster_nothing_has_the_name_of_an_installed_kzproxy(legacy):
    for manifest in account(OTHER_CLUSTER).manifests(legacy=legacy):
        assert manifest["metadata"]["name"].startswith("kzproxy-demo")
        assert manifest["metadata"].get("namespace", "kzproxy-demo") == "kzproxy-demo"
        assert manifest["metadata"]["labels"] == {"app.kubernetes.io/part-of": "kzproxy-demo"}
        for subject in manifest.get("subjects", []):
            assert subject["namespace"] == subject["name"] == "kzproxy-demo"


def test_legacy_rights_name_the_demos_groups_and_no_other():
    role = account(OTHER_CLUSTER).manifests(legacy=True)[2]
    (groups,) = [rule["resourceNames"] for rule in role["rules"] if "resourceNames" in rule]
    assert groups == [
        "system:authenticated",
        "kzproxy-demo:admins",
        "kzproxy-demo:developers",
        "kzproxy-demo:guests",
        "kzproxy-demo:operators",
    ]


@pytest.mark.parametrize(
    ("minor", "legacy"), [("35", True), ("35+", True), ("36", False), ("37+", False), ("", True)]
)
def test_the_version_decides(minor, legacy):
    assert is_legacy(minor) is legacy
