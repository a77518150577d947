from pathlib import Path

import pytest

from kzproxy.demo.binaries import Binaries
from kzproxy.demo.component import ControlPlaneError


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache whose last build is whole."""
    build = tmp_path / "cache" / "0123456789abcdef"
    build.mkdir(parents=True)
    (build / "whole").touch()
    (tmp_path / "cache" / "current").symlink_to(build.name)
    return tmp_path / "cache"


def environment(cache: Path, assets: str = "") -> dict[str, str]:
    return {"KZPROXY_CONTROLPLANE_CACHE": str(cache), "KUBEBUILDER_ASSETS": assets}


def test_the_last_build_is_found(cache: Path):
    found = Binaries.find(environment(cache))
    assert found.kube_apiserver == cache / "current" / "kube-apiserver"
    assert found.nodelet == cache / "current" / "nodelet"


def test_a_build_may_be_named(cache: Path):
    build = cache / "0123456789abcdef"
    assert Binaries.find(environment(cache), built=build).etcd == build / "etcd"


def test_where_nothing_is_built_the_way_to_build_it_is_named(tmp_path: Path):
    with pytest.raises(ControlPlaneError, match="make controlplane"):
        Binaries.find(environment(tmp_path))


def test_half_a_build_is_none(cache: Path):
    (cache / "0123456789abcdef" / "whole").unlink()
    with pytest.raises(ControlPlaneError, match="make controlplane"):
        Binaries.find(environment(cache))


def test_kubebuilder_assets_serve_where_they_can(cache: Path, tmp_path: Path):
    assets = tmp_path / "assets"
    assets.mkdir()
    for name in ("etcd", "kube-apiserver", "kubectl"):
        (assets / name).touch()
    found = Binaries.find(environment(cache, str(assets)))
    assert (found.etcd, found.kubectl) == (assets / "etcd", assets / "kubectl")
    assert found.kube_controller_manager == cache / "current" / "kube-controller-manager"


def test_kubebuilder_assets_that_lack_a_program_are_refused(cache: Path, tmp_path: Path):
    with pytest.raises(ControlPlaneError, match="holds no etcd"):
        Binaries.find(environment(cache, str(tmp_path)))
