"""kzproxy's own account in a cluster: a service account that may impersonate, and nothing else.

What it may do is written in the manifests that operators use too (``deploy/rbac``); nothing is
granted here.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from kzproxy.demo.kubeconfig_file import KubeconfigUser
from kzproxy.demo.kubectl import Kubectl

NAMESPACE = "kzproxy"
ACCOUNT = "kzproxy"
USERNAME = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
TOKEN_VALIDITY = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamAccount:
    """Makes the account, through an administrator's ``kubectl``.

    Attributes:
        server: The API server's URL, for the kubeconfigs to come.
    """

    kubectl: Kubectl
    server: str
    certificate_authority: Path

    def create(self, rbac: Sequence[Path]) -> None:
        """Make namespace and account, and apply ``rbac``: manifests, or directories of them.

        A directory with a ``kustomization.yaml`` is built with kustomize. Safe to repeat.
        """
        self._apply("--filename=-", stdin=json.dumps({**_LIST, "items": [_NAMESPACE, _ACCOUNT]}))
        for path in rbac:
            kustomized = (path / "kustomization.yaml").is_file()
            self._apply(f"--kustomize={path}" if kustomized else f"--filename={path}")

    def token(self, validity: timedelta = TOKEN_VALIDITY) -> str:
        """Return a new token; it is a credential."""
        duration = f"--duration={int(validity.total_seconds())}s"
        return self.kubectl.run(
            "create", "token", ACCOUNT, f"--namespace={NAMESPACE}", duration
        ).strip()

    def write_kubeconfig(self, path: Path, validity: timedelta = TOKEN_VALIDITY) -> None:
        """Write a kubeconfig with a new token, 0600."""
        KubeconfigUser(
            name=ACCOUNT,
            server=self.server,
            certificate_authority=self.certificate_authority,
            user={"token": self.token(validity)},
        ).write(path)

    def _apply(self, source: str, *, stdin: str = "") -> None:
        self.kubectl.run("apply", "--server-side", "--force-conflicts", source, stdin=stdin)


_LIST = {"apiVersion": "v1", "kind": "List"}
_NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
_ACCOUNT = {
    "apiVersion": "v1",
    "kind": "ServiceAccount",
    "metadata": {"name": ACCOUNT, "namespace": NAMESPACE},
}
