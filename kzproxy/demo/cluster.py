"""The cluster behind the demo's kzproxy: one of its own, or one that is named explicitly."""

import base64
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kzproxy.clock.system import Clock
from kzproxy.demo.binaries import Binaries
from kzproxy.demo.component import ControlPlaneError
from kzproxy.demo.control_plane import ControlPlane
from kzproxy.demo.control_plane_commands import NODE
from kzproxy.demo.directory import DemoDirectory
from kzproxy.demo.failure import DemoFailure
from kzproxy.demo.kubectl import Kubectl
from kzproxy.demo.sample import Namespaces
from kzproxy.demo.threads import in_thread

# In a cluster that others use too, the demo keeps to namespaces that are plainly its own.
_ELSEWHERE = Namespaces(dev="kzproxy-demo-dev", prod="kzproxy-demo-prod")
_NOT_HONOURED = ("insecure-skip-tls-verify", "proxy-url", "tls-server-name")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A running cluster, and how to set it up.

    Attributes:
        kubectl: Of an administrator.
        server: The API server's URL.
        authority_pem: What vouches for the API server's certificate.
        node_name: Where pods are put; empty where there is a scheduler.
        namespaces: Where the demo's roles work.
        is_own: Whether it ends with the demo.
    """

    kubectl: Kubectl
    server: str
    authority_pem: str
    node_name: str
    namespaces: Namespaces
    is_own: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherCluster:
    """Another cluster: always both, never whatever happens to be current."""

    kubeconfig: Path
    context: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextKubectl(Kubectl):
    """kubectl for one context of a kubeconfig that is not ours.

    Such a kubeconfig may need programs and variables of the user's to sign in with, so all of the
    environment goes along, but for the choice of the cluster.
    """

    context: str

    def run(self, *arguments: str, stdin: str = "") -> str:
        """Return what it prints; see ``Kubectl.run``."""
        return Kubectl.run(self, "--context", self.context, *arguments, stdin=stdin)

    def environment(self) -> dict[str, str]:
        """Return the caller's environment with this kubeconfig and no other."""
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig), "KUBECACHEDIR": str(self.cache)}


@asynccontextmanager
async def own_cluster(directory: DemoDirectory, clock: Clock) -> AsyncIterator[Cluster]:
    """Run a control plane until the block ends.

    Raises:
        ControlPlaneError: It is not built, or did not come up.
    """
    plane = ControlPlane(Binaries.find(os.environ), directory.control_plane, clock=clock)
    try:
        await in_thread(plane.start)
        yield Cluster(
            kubectl=plane.kubectl,
            server=plane.server,
            authority_pem=plane.certificate_authority.read_text(),
            node_name=NODE,
            namespaces=Namespaces(),
            is_own=True,
        )
    finally:
        await in_thread(plane.stop)


async def other_cluster(named: OtherCluster, directory: DemoDirectory) -> Cluster:
    """Return the cluster that ``named`` names.

    Raises:
        DemoFailure: It is not there, or is reached in a way that kzproxy would not honour.
        ControlPlaneError: kubectl does not read the kubeconfig.
    """
    if not named.kubeconfig.is_file():
        raise DemoFailure(f"{named.kubeconfig} is not a file")
    kubectl = ContextKubectl(
        program=_any_kubectl(),
        kubeconfig=named.kubeconfig.absolute(),
        cache=directory.root / "kubectl-cache",
        context=named.context,
    )
    view = await in_thread(
        lambda: kubectl.run("config", "view", "--minify", "--flatten", "--raw", "--output=json")
    )
    entry = _only_cluster(view, named)
    return Cluster(
        kubectl=kubectl,
        server=str(entry.get("server", "")),
        authority_pem=_authority(entry),
        node_name="",
        namespaces=_ELSEWHERE,
        is_own=False,
    )


def _only_cluster(view: str, named: OtherCluster) -> dict[str, Any]:
    clusters = json.loads(view).get("clusters") or []
    if len(clusters) != 1:
        raise DemoFailure(f"{named.kubeconfig} has no context {named.context!r}")
    entry: dict[str, Any] = clusters[0]["cluster"]
    for field in _NOT_HONOURED:
        if entry.get(field):
            raise DemoFailure(
                f"context {named.context!r} uses {field}, which the demo does not honour"
            )
    return entry


def _authority(entry: dict[str, Any]) -> str:
    try:
        return base64.b64decode(str(entry.get("certificate-authority-data", ""))).decode("ascii")
    except ValueError as error:  # what base64 and the decoding raise are kinds of it
        raise DemoFailure("the kubeconfig's certificate-authority-data is damaged") from error


def _any_kubectl() -> Path:
    """Return the kubectl that was built for the demo, else one that is on PATH."""
    try:
        return Binaries.find(os.environ).kubectl
    except ControlPlaneError:
        found = shutil.which("kubectl")
        if found is None:
            raise
        return Path(found)
