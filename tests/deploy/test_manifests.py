"""The manifests are what a real API server takes, and as tight as they say."""

import os
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import yaml

from kzproxy.authentication.claims import identity_of
from kzproxy.authentication.validity import VerifiedClaims
from kzproxy.config.authentication import load_authentication
from kzproxy.config.document import Mistakes
from kzproxy.config.proxy import load_proxy_settings
from kzproxy.demo.control_plane import ControlPlane
from kzproxy.errors.kinds import Unauthenticated
from tests.cluster.kubectl import Kubectl, describe
from tests.deploy.rights import DEPLOY

FORMS = ["constrained", "legacy"]
CONFIG = DEPLOY / "base" / "config"
OWN_NAMESPACE = "kzproxy"
GUIDE = (DEPLOY.parent / "docs" / "deploy.md").read_text()


def documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def deployment() -> dict[str, Any]:
    (found,) = documents(DEPLOY / "base" / "deployment.yaml")
    return found


def role(path: Path) -> dict[str, Any]:
    (found,) = (each for each in documents(path) if each["kind"] == "ClusterRole")
    return found


def impersonation(form: str) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = role(DEPLOY / "rbac" / form / "impersonation.yaml")["rules"]
    return rules


def patches_for_sessions() -> list[dict[str, Any]]:
    """Return what the guide has an operator write for them."""
    section = GUIDE[GUIDE.index("## With sessions") : GUIDE.index("## With public holidays")]
    blocks = re.findall(r"^    patches:\n(?:(?:    .*)?\n)+", section, re.MULTILINE)
    assert len(blocks) == 2
    return [patch for block in blocks for patch in yaml.safe_load(dedent(block))["patches"]]


@pytest.fixture
def cluster_kubectl(control_plane: ControlPlane) -> Kubectl:
    """Kubectl as administrator, with kzproxy's own namespace there: a dry run makes none."""
    kubectl = Kubectl.of(control_plane)
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OWN_NAMESPACE}}
    kubectl.out("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump(namespace).encode())
    return kubectl


def dry_run(kubectl: Kubectl, manifests: str) -> "subprocess.CompletedProcess[bytes]":
    return kubectl(
        "apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=manifests.encode()
    )


def with_components(form: str, directory: Path, *components: str) -> Path:
    """Write an overlay such as an operator writes."""
    kustomization = {
        "resources": [relative(DEPLOY / "overlays" / form, directory)],
        "components": [relative(DEPLOY / "components" / name, directory) for name in components],
    }
    (directory / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return directory


def relative(path: Path, start: Path) -> str:
    return os.path.relpath(path, start)


@pytest.mark.cluster
@pytest.mark.parametrize("form", FORMS)
def test_an_overlay_is_what_the_api_server_takes(form: str, cluster_kubectl: Kubectl) -> None:
    rendered = cluster_kubectl.out("kustomize", str(DEPLOY / "overlays" / form))
    done = dry_run(cluster_kubectl, rendered)
    assert done.returncode == 0, describe(done)
    for made in (
        "namespace/kzproxy",
        "serviceaccount/kzproxy",
        "clusterrole.rbac.authorization.k8s.io/kzproxy-impersonation",
        "clusterrolebinding.rbac.authorization.k8s.io/kzproxy-impersonation",
        "configmap/kzproxy-config-",
        "service/kzproxy ",
        "service/kzproxy-ops ",
        "deployment.apps/kzproxy",
        "poddisruptionbudget.policy/kzproxy",
    ):
        assert made in done.stdout.decode(), made
    assert b"Warning: would violate PodSecurity" not in done.stderr


@pytest.mark.cluster
@pytest.mark.parametrize("form", FORMS)
def test_every_component_fits_on_every_overlay(
    form: str, cluster_kubectl: Kubectl, tmp_path: Path
) -> None:
    components = sorted(path.name for path in (DEPLOY / "components").iterdir())
    overlay = with_components(form, tmp_path, *components)
    rendered = cluster_kubectl.out("kustomize", str(overlay))
    done = dry_run(cluster_kubectl, rendered)
    assert done.returncode == 0, describe(done)
    assert "externalTrafficPolicy: Local" in rendered
    assert b"networkpolicy.networking.k8s.io/kzproxy" in done.stdout


@pytest.mark.cluster
def test_the_patches_for_sessions_make_what_the_api_server_takes(
    cluster_kubectl: Kubectl, tmp_path: Path
) -> None:
    overlay = with_components("constrained", tmp_path, "network-policy")
    with (overlay / "kustomization.yaml").open("a") as kustomization:
        kustomization.write(yaml.safe_dump({"patches": patches_for_sessions()}))
    rendered = cluster_kubectl.out("kustomize", str(overlay))
    done = dry_run(cluster_kubectl, rendered)
    assert done.returncode == 0, describe(done)
    made = {
        each["kind"]: each for each in yaml.safe_load_all(rendered) if each["kind"] != "Service"
    }
    pod = made["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert "--workers" in container["args"]
    mounts = {
        mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")
    }
    assert mounts == {"/var/log/kzproxy", "/var/lib/kzproxy", "/tmp"}
    assert {"port": 8444} in made["NetworkPolicy"]["spec"]["ingress"][0]["ports"]


def test_the_logs_of_several_workers_are_rotated_before_their_volume_is_full() -> None:
    section = GUIDE[GUIDE.index("## With sessions") :]
    rotation = re.search(r"rotation: \{atMebibytes: (\d+), keep: (\d+)\}", section)
    assert rotation is not None
    assert 2 * int(rotation[1]) * (int(rotation[2]) + 2) < 4 * 1024


@pytest.mark.cluster
def test_a_misspelt_field_is_caught(cluster_kubectl: Kubectl) -> None:
    """Or the dry runs above would show nothing."""
    rendered = cluster_kubectl.out("kustomize", str(DEPLOY / "overlays" / "constrained"))
    misspelt = rendered.replace("readOnlyRootFilesystem", "readOnlyRootFileSystem")
    assert misspelt != rendered
    done = dry_run(cluster_kubectl, misspelt)
    assert done.returncode != 0
    assert b'unknown field "spec.template.spec.containers[0].securityContext' in done.stderr


@pytest.mark.cluster
def test_its_pods_pass_the_restricted_pod_security_standard(kubectl: Kubectl) -> None:
    enforce = "pod-security.kubernetes.io/enforce=restricted"
    kubectl.out("label", "namespace", kubectl.namespace, enforce)
    kubectl.out("create", "serviceaccount", "kzproxy")
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "kzproxy"},
        "spec": deployment()["spec"]["template"]["spec"],
    }
    done = dry_run(kubectl, yaml.safe_dump(pod))
    assert done.returncode == 0, describe(done)
    del pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"]
    refused = dry_run(kubectl, yaml.safe_dump(pod))
    assert b'violates PodSecurity "restricted' in refused.stderr


def test_the_namespace_asks_for_that_standard() -> None:
    (namespace,) = documents(DEPLOY / "base" / "namespace.yaml")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_nothing_can_be_written_but_the_decision_log() -> None:
    (container,) = deployment()["spec"]["template"]["spec"]["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    writable = [mount for mount in container["volumeMounts"] if not mount.get("readOnly")]
    assert [mount["mountPath"] for mount in writable] == ["/var/log/kzproxy"]


def test_a_pod_is_given_longer_than_the_drain_takes() -> None:
    pod = deployment()["spec"]["template"]["spec"]
    (config,) = documents(CONFIG / "kzproxy.yaml")
    before = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] > before + config["drainTimeoutSeconds"]


def test_the_decision_log_is_rotated_before_its_volume_is_full() -> None:
    """The kubelet evicts a pod whose volume is over its limit, streams and all."""
    volumes = deployment()["spec"]["template"]["spec"]["volumes"]
    (volume,) = (volume for volume in volumes if volume["name"] == "decision-log")
    assert volume["emptyDir"]["sizeLimit"] == "4Gi"
    (config,) = documents(CONFIG / "kzproxy.yaml")
    rotation = config["decisionLog"]["rotation"]
    assert rotation["atMebibytes"] * (rotation["keep"] + 2) < 4 * 1024


def test_its_memory_holds_as_many_connections_as_it_takes() -> None:
    """Who begins a handshake is nobody yet: a flood of them must not have the pod killed."""
    (container,) = deployment()["spec"]["template"]["spec"]["containers"]
    limit = container["resources"]["limits"]["memory"]
    assert limit.endswith("Mi")
    (config,) = documents(CONFIG / "kzproxy.yaml")
    at_rest_mebibytes = 100
    kibibytes_each = 100
    left = int(limit.removesuffix("Mi")) - at_rest_mebibytes
    assert config["limits"]["connections"] * kibibytes_each <= left * 1024


def test_probes_ask_the_operations_port_of_the_configuration() -> None:
    (container,) = deployment()["spec"]["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    (config,) = documents(CONFIG / "kzproxy.yaml")
    assert config["listen"]["address"].endswith(f":{ports['api']}")
    assert config["ops"]["address"].endswith(f":{ports['ops']}")
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] == "ops"


def test_no_secret_is_contained_and_every_secret_is_explained() -> None:
    for path in DEPLOY.rglob("*.yaml"):
        assert all(document["kind"] != "Secret" for document in documents(path)), path
        assert "PRIVATE KEY" not in path.read_text()
    volumes = deployment()["spec"]["template"]["spec"]["volumes"]
    secrets = {volume["secret"]["secretName"] for volume in volumes if "secret" in volume}
    assert secrets == {"kzproxy-tls", "kzproxy-device-ca"}
    for secret in secrets:
        assert re.search(rf"create secret .*{secret}", GUIDE), secret


def test_the_configuration_loads(tmp_path: Path) -> None:
    """As in the pod, but for what only a pod has: its Secrets and its service account."""
    for name in ("authentication.yaml", "policy.yaml"):
        (tmp_path / name).write_text((CONFIG / name).read_text())
    text = (CONFIG / "kzproxy.yaml").read_text()
    for name in ("tls/tls.crt", "tls/tls.key", "device-ca/ca.crt", "token"):
        file = tmp_path / "run" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("stands in")
    text = text.replace("/run/kzproxy", str(tmp_path / "run"))
    server = f"server: {{url: 'https://192.0.2.1', tokenFile: '{tmp_path}/run/token'}}"
    text = text.replace("inCluster: {}", server)
    (tmp_path / "kzproxy.yaml").write_text(text)
    settings = load_proxy_settings(tmp_path / "kzproxy.yaml")
    assert settings.listen.port == 8443
    assert settings.decision_log.file == Path("/var/log/kzproxy/decisions.jsonl")
    assert settings.decision_log.stdout
    assert settings.decision_log.rotation is not None


@pytest.mark.parametrize(("verified", "is_taken"), [(True, True), (False, False), (None, False)])
def test_the_example_takes_a_token_whose_address_is_verified(
    *, verified: object, is_taken: bool
) -> None:
    """``email_verified`` is a boolean (OpenID Connect Core section 5.1)."""
    (issuer,) = load_authentication(CONFIG / "authentication.yaml", Mistakes())
    claims: dict[str, Any] = {"sub": "s-1", "email": "ana@example.org", "groups": ["developers"]}
    if verified is not None:
        claims["email_verified"] = verified
    end = datetime(2026, 6, 1, tzinfo=UTC)

    if is_taken:
        identity = identity_of(VerifiedClaims(claims), issuer, end)
        assert identity.username == "oidc:ana@example.org"
        assert identity.groups == ("oidc:developers",)
    else:
        with pytest.raises(Unauthenticated):
            identity_of(VerifiedClaims(claims), issuer, end)


@pytest.mark.parametrize("form", FORMS)
def test_the_account_is_granted_impersonation_and_nothing_else(form: str) -> None:
    for rule in impersonation(form):
        assert all(verb.startswith("impersonate") for verb in rule["verbs"]), rule


def test_the_constrained_form_does_not_fall_back_to_the_legacy_verb() -> None:
    verbs = {verb for rule in impersonation("constrained") for verb in rule["verbs"]}
    assert "impersonate" not in verbs
    assert all(verb.startswith(("impersonate:user-info", "impersonate-on:")) for verb in verbs)


def test_the_legacy_form_names_every_group() -> None:
    (groups,) = (rule for rule in impersonation("legacy") if "groups" in rule["resources"])
    assert "system:authenticated" in groups["resourceNames"]
    assert "system:masters" not in groups["resourceNames"]


def test_both_forms_have_the_same_names_so_that_one_replaces_the_other() -> None:
    names = [
        [(each["kind"], each["metadata"]["name"]) for each in documents(path)]
        for path in sorted(DEPLOY.glob("rbac/*/impersonation.yaml"))
    ]
    assert len(names) == 2
    assert names[0] == names[1]


@pytest.mark.parametrize("form", FORMS)
def test_the_demo_grants_what_an_operator_is_told_to_grant(form: str) -> None:
    """A wheel does not hold ``deploy``, so the demo has copies."""
    copy = DEPLOY.parent / "kzproxy" / "demo" / "manifests" / f"impersonation-{form}.yaml"
    assert copy.read_bytes() == (DEPLOY / "rbac" / form / "impersonation.yaml").read_bytes()
