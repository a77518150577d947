"""The account of a form of ``deploy/rbac``, in a namespace and under a name of the test's own."""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from kzproxy.demo.control_plane import ControlPlane
from tests.cluster.kubectl import Kubectl

DEPLOY = Path(__file__).parents[2] / "deploy"
SELF_REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
SELF_REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """An account with what one form grants.

    Attributes:
        form: ``constrained`` or ``legacy``.
        namespace: The account's; RBAC there lets ``alice`` edit and group ``oidc:developers`` view.
        account: Speaks as the account itself.
    """

    form: str
    namespace: str
    account: httpx.Client

    def acting_as(self, user: str, *groups: str, **headers: str) -> httpx.Headers:
        """Return impersonation headers; ``headers`` names others, such as ``Uid``."""
        return httpx.Headers(
            [
                ("Impersonate-User", user),
                *(("Impersonate-Group", group) for group in groups),
                *((f"Impersonate-{name}", value) for name, value in headers.items()),
            ]
        )

    def read_pods(self, headers: httpx.Headers) -> httpx.Response:
        return self.account.get(f"/api/v1/namespaces/{self.namespace}/pods", headers=headers)


@contextmanager
def granted(
    form: str, control_plane: ControlPlane, kubectl: Kubectl, directory: Path
) -> Iterator[Rights]:
    """Apply ``deploy/rbac/FORM`` for a new account in the namespace of ``kubectl``."""
    namespace = kubectl.namespace
    kubectl.out("create", "serviceaccount", "kzproxy")
    kubectl.out("create", "rolebinding", "alice", "--clusterrole=edit", "--user=alice")
    kubectl.out("create", "rolebinding", "dev", "--clusterrole=view", "--group=oidc:developers")
    (directory / "kustomization.yaml").write_text(
        yaml.safe_dump(_renamed(form, namespace, directory))
    )
    kubectl.out("apply", "--kustomize", str(directory))
    try:
        token = kubectl.out("create", "token", "kzproxy").strip()
        context = ssl.create_default_context(cafile=control_plane.certificate_authority)
        with httpx.Client(
            base_url=control_plane.server,
            verify=context,
            trust_env=False,
            timeout=60,
            headers={"Authorization": f"Bearer {token}"},
        ) as account:
            yield Rights(form=form, namespace=namespace, account=account)
    finally:
        kubectl.out("delete", "--kustomize", str(directory))


def _renamed(form: str, namespace: str, directory: Path) -> dict[str, Any]:
    """Cluster-wide names must not meet those of another test, nor of a real installation."""
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "nameSuffix": f"-{namespace}",
        "resources": [os.path.relpath(DEPLOY / "rbac" / form, directory)],
        "patches": [
            {
                "target": {"kind": "ClusterRoleBinding"},
                "patch": yaml.safe_dump(
                    [{"op": "replace", "path": "/subjects/0/namespace", "value": namespace}]
                ),
            }
        ],
    }
