"""Fixtures: a kzproxy in front of the scripted stand-in, and one in front of the real thing."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kzproxy.demo.control_plane import ControlPlane
from kzproxy.demo.kubeconfig_file import KubeconfigUser
from tests.cluster.audit_log import AuditLog
from tests.cluster.kubectl import Kubectl
from tests.proxy.issuer_thread import issuer_in_thread
from tests.proxy.process import ProxyProcess, running_proxy
from tests.proxy.world import PREFIX, World, configuration
from tests.servers.authority import Authority
from tests.servers.scripted_api_server import ScriptedApiServer, scripted_api_server

REPOSITORY = Path(__file__).parents[2]


@dataclass
class Scripted:
    """A kzproxy in front of the stand-in for kube-apiserver."""

    world: World
    api_server: ScriptedApiServer


@contextmanager
def not_started(directory: Path, **settings: object) -> Iterator[Scripted]:
    """Make a kzproxy in front of the stand-in, which is not started yet; stop it in the end.

    Args:
        directory: For all files.
        settings: In place of what the configuration would have under these names.
    """
    authority = Authority.root()
    with (
        issuer_in_thread(directory, authority) as issuer,
        scripted_api_server(directory, authority) as api_server,
    ):
        usual = configuration(directory, authority, issuer, api_server.upstream())
        proxy = ProxyProcess(directory, usual | settings)
        try:
            yield Scripted(World(directory, authority, issuer, proxy), api_server)
        finally:
            proxy.stop()


@pytest.fixture(scope="session")
def _scripted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripted]:
    with not_started(tmp_path_factory.mktemp("scripted")) as made:
        made.world.proxy.start()
        yield made


@pytest.fixture
def scripted(_scripted: Scripted) -> Iterator[Scripted]:
    """A kzproxy in front of the stand-in, whose script and records are fresh."""
    script = _scripted.api_server.script
    _scripted.api_server.heads.clear()
    yield _scripted
    _scripted.api_server.script = script


ACCESS: list[dict[str, object]] = [
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": f"kzproxy-tests-{group}"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": role,
        },
        "subjects": [
            {
                "kind": "Group",
                "apiGroup": "rbac.authorization.k8s.io",
                "name": f"{PREFIX}{group}",
            }
        ],
    }
    for group, role in (("testers", "cluster-admin"), ("readers", "view"), ("enrolled", "view"))
]


@dataclass
class Real:
    """A kzproxy in front of the real control plane."""

    world: World
    audit_log: AuditLog
    control_plane: ControlPlane

    def kubectl(self, user: str, *groups: str, namespace: str = "", **claims: Any) -> Kubectl:
        """Return kubectl as a user with a token of the test issuer."""
        world = self.world
        file = world.directory / f"{user}.kubeconfig"
        KubeconfigUser(
            name=user,
            server=f"https://localhost:{world.proxy.port}",
            certificate_authority=world.authority_file,
            user={"token": world.token(user, *groups, **claims)},
        ).write(file)
        return Kubectl.of(self.control_plane).using(kubeconfig=file, namespace=namespace)


@pytest.fixture(scope="session")
def upstream_kubeconfig(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A kubeconfig of kzproxy's own account, with the rights shipped in deploy/ and no others."""
    file = tmp_path_factory.mktemp("account") / "upstream.kubeconfig"
    account = control_plane.upstream_account
    account.create([REPOSITORY / "deploy" / "rbac" / "constrained"])
    account.write_kubeconfig(file)
    return file


@pytest.fixture(scope="session")
def real(
    control_plane: ControlPlane,
    audit_log: AuditLog,
    upstream_kubeconfig: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Real]:
    """One kzproxy for all tests. Mark the test ``cluster``."""
    directory = tmp_path_factory.mktemp("real")
    authority = Authority.root()
    access = json.dumps({"apiVersion": "v1", "kind": "List", "items": ACCESS})
    Kubectl.of(control_plane).out("apply", "-f", "-", stdin=access.encode())
    with issuer_in_thread(directory, authority) as issuer:
        upstream = {"kubeconfig": {"file": str(upstream_kubeconfig)}}
        settings = configuration(directory, authority, issuer, upstream)
        with running_proxy(directory, settings) as proxy:
            yield Real(World(directory, authority, issuer, proxy), audit_log, control_plane)
