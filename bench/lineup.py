"""Which systems are measured, in the order of their turns."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.programs import build_kube_rbac_proxy, find_nginx
from bench.systems.direct import Direct
from bench.systems.kube_rbac_proxy import KubeRbacProxy
from bench.systems.kubectl_proxy import KubectlProxy
from bench.systems.kzproxy import Kzproxy
from bench.systems.nginx import Nginx
from bench.systems.system import Site, System


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineup:
    """The programs that are run; without the two peers it is nginx and kzproxy alone.

    Attributes:
        kubectl: None where kubectl proxy is left out.
        kube_rbac_proxy: None where it is left out.
    """

    nginx: str
    kubectl: Path | None = None
    kube_rbac_proxy: Path | None = None

    @classmethod
    def whole(cls, kubectl: Path) -> "Lineup":
        """Find and build all of them."""
        return cls(nginx=find_nginx(), kubectl=kubectl, kube_rbac_proxy=build_kube_rbac_proxy())

    @classmethod
    def short(cls) -> "Lineup":
        """Leave the peers out."""
        return cls(nginx=find_nginx())

    @property
    def names(self) -> Sequence[str]:
        """The systems, kzproxy right after nginx."""
        peers = []
        if self.kube_rbac_proxy is not None:
            peers.append(KubeRbacProxy.name)
        if self.kubectl is not None:
            peers.append(KubectlProxy.name)
        return (Direct.name, Nginx.name, Kzproxy.name, *peers)

    @property
    def peers(self) -> frozenset[str]:
        """Those of them that no ratio is taken of."""
        return frozenset(self.names) - {Direct.name, Nginx.name, Kzproxy.name}

    def make(self, name: str, site: Site) -> System:
        """Put a system in its place."""
        if name == Nginx.name:
            return Nginx(site, self.nginx)
        if name == Kzproxy.name:
            return Kzproxy(site)
        if name == KubeRbacProxy.name and self.kube_rbac_proxy is not None:
            return KubeRbacProxy(site, self.kube_rbac_proxy)
        if name == KubectlProxy.name and self.kubectl is not None:
            return KubectlProxy(site, self.kubectl)
        return Direct(site)
