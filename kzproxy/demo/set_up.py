"""What the demo puts into a cluster, and takes out of one that is not its own."""

from kzproxy.demo.cluster import Cluster
from kzproxy.demo.proxy_account import OTHER_CLUSTER, OWN_CLUSTER, ProxyAccount
from kzproxy.demo.sample import LABEL, Sample

# Less than kubectl as a whole is given, so that kubectl says what it waited for.
READY_SECONDS = 50


class ClusterSetUp:
    """Applies the sample and makes kzproxy's own account. All of it blocks: run it in a thread."""

    def __init__(self, cluster: Cluster, sample: Sample) -> None:
        self._cluster = cluster
        self._kubectl = cluster.kubectl
        self._sample = sample
        self.account = ProxyAccount(
            kubectl=cluster.kubectl, names=OWN_CLUSTER if cluster.is_own else OTHER_CLUSTER
        )

    def apply(self) -> None:
        """Make account, namespaces, rights and pods; in the demo's own cluster the pods run then.

        Raises:
            ControlPlaneError: kubectl says no.
        """
        self.account.create()
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
        """Delete all that ``apply`` made, rights first; the namespaces' end is not waited for.

        Raises:
            ControlPlaneError: kubectl says no.
        """
        for kinds in ("clusterrolebinding,clusterrole", "namespace"):
            self._kubectl.run("delete", kinds, f"--selector={LABEL}", "--wait=false")

    def _apply(self, manifest: str) -> None:
        self._kubectl.run(
            *("apply", "--server-side", "--force-conflicts", "--filename=-"), stdin=manifest
        )

    def _wait(self, condition: str, what: str, namespace: str) -> None:
        self._kubectl.run(
            *("wait", f"--for={condition}", what, f"--namespace={namespace}"),
            f"--timeout={READY_SECONDS}s",
        )
