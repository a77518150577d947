"""What the demo puts into a cluster, and takes out of one that is not its own."""

from datetime import timedelta
from pathlib import Path

from kzproxy.demo.cluster import Cluster
from kzproxy.demo.sample import LABEL, Sample
from kzproxy.demo.upstream_account import UpstreamAccount

TOKEN_VALIDITY = timedelta(hours=2)
TOKEN_RENEWAL = timedelta(minutes=30)
"""Well before its end, so that a few failed renewals do no harm."""

ACCOUNT_RIGHTS = Path(__file__).with_name("sample") / "upstream-account.yaml"
"""A copy of what ``deploy/rbac/constrained`` grants, as a wheel does not hold that; a test compares
the two."""

# Less than kubectl as a whole is given, so that kubectl says what it waited for.
READY_SECONDS = 50
_FIELD_MANAGER = "kzproxy-demo"


class ClusterSetUp:
    """Applies the sample and makes kzproxy's own account. All of it blocks: run it in a thread."""

    def __init__(self, cluster: Cluster, sample: Sample) -> None:
        self._cluster = cluster
        self._kubectl = cluster.kubectl
        self._sample = sample

    def apply(self) -> None:
        """Make account, namespaces, rights and pods; return once the pods run.

        Raises:
            ControlPlaneError: kubectl says no.
        """
        self._account().create([ACCOUNT_RIGHTS])
        self._apply(self._sample.cluster())
        places = self._sample.namespaces
        for namespace in (places.dev, places.prod):
            # Pods are refused until the namespace has its default account.
            self._wait("create", "serviceaccount/default", namespace)
        self._apply(self._sample.pods(node_name=self._cluster.node_name))
        if self._cluster.is_own:
            self._wait("condition=Ready", f"pod/{places.dev_pod}", places.dev)
            self._wait("condition=Ready", f"pod/{places.prod_pod}", places.prod)

    def take_out(self) -> None:
        """Delete the pods and the rights of the demo's groups; namespaces and account stay."""
        kinds = "clusterrolebinding,rolebinding,pod"
        self._kubectl.run(
            *("delete", kinds, "--all-namespaces", f"--selector={LABEL}"),
            *("--wait=false", "--ignore-not-found"),
        )

    def account_token(self) -> str:
        """Return a new token of kzproxy's own account; it is a credential."""
        return self._account().token(TOKEN_VALIDITY)

    def _account(self) -> UpstreamAccount:
        # The account needs the authority's place only to write kubeconfigs, which is not done here.
        return UpstreamAccount(
            kubectl=self._kubectl,
            server=self._cluster.server,
            certificate_authority=self._kubectl.cache,
        )

    def _apply(self, manifest: str) -> None:
        self._kubectl.run(
            *("apply", "--server-side", "--force-conflicts", f"--field-manager={_FIELD_MANAGER}"),
            "--filename=-",
            stdin=manifest,
        )

    def _wait(self, condition: str, what: str, namespace: str) -> None:
        self._kubectl.run(
            *("wait", f"--for={condition}", what, f"--namespace={namespace}"),
            f"--timeout={READY_SECONDS}s",
        )
