"""Where the control plane's programs are."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from kzproxy.demo.component import ControlPlaneError

ASSETS_VARIABLE = "KUBEBUILDER_ASSETS"
CACHE_VARIABLE = "KZPROXY_CONTROLPLANE_CACHE"
_HOW_TO_BUILD = "run `make controlplane` in a checkout of kzproxy"
# The file that the build writes last (tests/cluster/build.py).
_WHOLE = "whole"


@dataclass(frozen=True, slots=True, kw_only=True)
class Binaries:
    """The programs; all are there when it has been found.

    Attributes:
        kube_controller_manager: Always of our build, as is the nodelet: KUBEBUILDER_ASSETS, as
            controller-runtime's envtest fills it, holds neither.
    """

    etcd: Path
    kube_apiserver: Path
    kubectl: Path
    kube_controller_manager: Path
    nodelet: Path

    @classmethod
    def find(cls, environment: Mapping[str, str], built: Path | None = None) -> Self:
        """Find them in the cached build, and in KUBEBUILDER_ASSETS what it has.

        Args:
            environment: Where the two variables may be set; an empty one counts as not set.
            built: A build's directory; by default the last build in the cache.

        Raises:
            ControlPlaneError: Something is missing; the message names ``make controlplane``.
        """
        built = built or _cache(environment) / "current"
        if not (built / _WHOLE).is_file():
            raise ControlPlaneError(f"no control plane is built at {built}: {_HOW_TO_BUILD}")
        given = environment.get(ASSETS_VARIABLE)
        assets = _assets(Path(given)) if given else built
        return cls(
            etcd=assets / "etcd",
            kube_apiserver=assets / "kube-apiserver",
            kubectl=assets / "kubectl",
            kube_controller_manager=built / "kube-controller-manager",
            nodelet=built / "nodelet",
        )


def _cache(environment: Mapping[str, str]) -> Path:
    if given := environment.get(CACHE_VARIABLE):
        return Path(given).resolve()
    try:
        home = Path.home()
    except RuntimeError:
        message = f"you have no home directory; set HOME, or {CACHE_VARIABLE}"
        raise ControlPlaneError(message) from None
    return (home / ".cache" / "kzproxy-build" / "controlplane").resolve()


def _assets(directory: Path) -> Path:
    for name in ("etcd", "kube-apiserver", "kubectl"):
        if not (directory / name).is_file():
            raise ControlPlaneError(
                f"{ASSETS_VARIABLE} is {directory}, which holds no {name}; fill it, or unset it to"
                " use the control plane that `make controlplane` builds"
            )
    return directory.resolve()
