"""Everything around kzproxy: the real control plane, filled, an issuer and its users."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx

from bench.issuer import Issuer
from bench.policy import PREFIX
from bench.programs import CannotRunError
from bench.world import SERVER_NAME, Identity, World
from kzproxy.clock.system import Clock
from kzproxy.demo.binaries import Binaries
from kzproxy.demo.certificates import CertificateAndKey, CertificateAuthority
from kzproxy.demo.component import ControlPlaneError
from kzproxy.demo.control_plane import ControlPlane
from kzproxy.demo.kubeconfig_file import KubeconfigUser
from kzproxy.demo.kubectl import Kubectl

NAMESPACES = tuple(f"soak-{number}" for number in range(10))
SETTINGS = tuple(f"settings-{number}" for number in range(5))
PROBES = ("probe-a", "probe-b")
PODS_NAMESPACE = NAMESPACES[0]
POD = "web"
_RIGHTS = Path(__file__).parents[1] / "deploy" / "rbac" / "constrained"
_VALIDITY = timedelta(days=1)
_RBAC = "rbac.authorization.k8s.io"
# On a port of its own choice, which it writes into a file: pods share this machine's ports.
_SERVE = """
import http.server, pathlib
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
pathlib.Path("port").write_text(str(server.server_address[1]))
server.serve_forever()
"""
_TICK = "i=0; while sleep 0.5; do i=$((i+1)); echo tick $i; done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What is there while kzproxy comes and goes.

    Attributes:
        servers: The authority of kzproxy's serving certificates.
        upstream_token: Where the token of kzproxy's own account is.
    """

    directory: Path
    world: World
    control_plane: ControlPlane
    servers: CertificateAuthority
    upstream_token: Path
    clock: Clock

    @property
    def authority_file(self) -> Path:
        """What clients verify kzproxy by."""
        return self.directory / "servers.crt"

    def serving_certificate(self) -> CertificateAndKey:
        """Issue a new certificate for kzproxy."""
        return self.servers.server(SERVER_NAME, "127.0.0.1", validity=_VALIDITY)

    def authority(self, name: str) -> CertificateAuthority:
        """Make a new authority."""
        return CertificateAuthority.create(name, validity=_VALIDITY, clock=self.clock)

    def device(self, authority: CertificateAuthority, name: str) -> CertificateAndKey:
        """Issue a device's certificate."""
        return authority.device(name, validity=_VALIDITY)

    def kubectl(self, identity: Identity, port: int) -> Kubectl:
        """Return kubectl as a user of kzproxy."""
        file = self.directory / f"{identity.user.removeprefix(PREFIX)}.kubeconfig"
        KubeconfigUser(
            name="soak",
            server=f"https://{SERVER_NAME}:{port}",
            certificate_authority=self.authority_file,
            user={
                "token": identity.token,
                "client-certificate": str(identity.certificate),
                "client-key": str(identity.key),
            },
        ).write(file)
        program = self.control_plane.binaries.kubectl
        return Kubectl(program=program, kubeconfig=file, cache=self.directory / "kubectl-cache")


@contextmanager
def stage(directory: Path, clock: Clock) -> Iterator[Stage]:
    """Set everything up in ``directory``; take it down at the end.

    Raises:
        CannotRunError: The control plane is not built, or a pod does not run.
    """
    issuer = Issuer()
    with ExitStack() as stack:
        world = World.make(directory, issuer.url, clock)
        certificate, key = directory / "issuer.crt", directory / "issuer.key"
        stack.enter_context(issuer.serving(world.jwks, certificate, key))
        try:
            binaries = Binaries.find(os.environ)
            control_plane = ControlPlane(binaries, directory / "control-plane", clock=clock)
            stack.enter_context(control_plane)
            token = _account(control_plane, directory)
            _fill(control_plane)
        except ControlPlaneError as error:
            raise CannotRunError(str(error)) from error
        made = CertificateAuthority.create("soak servers", validity=_VALIDITY, clock=clock)
        made_stage = Stage(
            directory=directory,
            world=world,
            control_plane=control_plane,
            servers=made,
            upstream_token=token,
            clock=clock,
        )
        made_stage.authority_file.write_bytes(made.certificate_pem)
        yield made_stage


def _account(control_plane: ControlPlane, directory: Path) -> Path:
    account = control_plane.upstream_account
    account.create([_RIGHTS])
    token_file = directory / "account.token"
    token_file.touch(0o600)
    token_file.write_text(account.token())
    return token_file


def _fill(control_plane: ControlPlane) -> None:
    with control_plane.administrator() as administrator:
        binding = f"/apis/{_RBAC}/v1/clusterrolebindings"
        administrator.post(binding, json=_binding()).raise_for_status()
        for namespace in NAMESPACES:
            _make_namespace(administrator, namespace)
    account = f"serviceaccount/default --namespace={PODS_NAMESPACE} --timeout=20s"
    kubectl = control_plane.kubectl
    kubectl.run("wait", "--for=create", *account.split())
    kubectl.run("apply", f"--namespace={PODS_NAMESPACE}", "--filename=-", stdin=json.dumps(_pod()))
    ready = f"--for=condition=Ready pod/{POD} --namespace={PODS_NAMESPACE} --timeout=30s"
    kubectl.run("wait", *ready.split())


def _make_namespace(administrator: httpx.Client, namespace: str) -> None:
    made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    administrator.post("/api/v1/namespaces", json=made).raise_for_status()
    for name in (*SETTINGS, *PROBES):
        target = f"/api/v1/namespaces/{namespace}/configmaps"
        administrator.post(target, json=config_map(name)).raise_for_status()


def config_map(name: str) -> dict[str, object]:
    """Return a small ConfigMap."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"app": "soak"}},
        "data": {"setting": "x" * 200},
    }


def _binding() -> dict[str, object]:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "soak"},
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"kind": "Group", "apiGroup": _RBAC, "name": f"{PREFIX}engineers"}],
    }


def _pod() -> dict[str, object]:
    containers = [
        {"name": "main", "image": "none.invalid/none", "command": [sys.executable, "-c", _SERVE]},
        {"name": "ticker", "image": "none.invalid/none", "command": ["sh", "-c", _TICK]},
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": POD},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "restartPolicy": "Never",
            "containers": containers,
        },
    }
