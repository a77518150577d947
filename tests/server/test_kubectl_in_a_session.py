"""The whole way in a session: kubectl, plugin, browser, kzproxy's sign-in, kube-apiserver."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kzproxy.demo.control_plane import ControlPlane
from tests.client.chromium import UrlPipe
from tests.cluster.kubectl import Kubectl
from tests.proxy.sign_in_world import Machine, SignInWorld, running_sign_in_world
from tests.servers.authority import Authority

pytestmark = pytest.mark.cluster

PATIENCE_SECONDS = 60
ACCESS = """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: kzproxy-tests-sessions}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: Group, apiGroup: rbac.authorization.k8s.io, name: "idp:operators"}]
"""


@pytest.fixture(scope="module")
def world(
    control_plane: ControlPlane,
    upstream_kubeconfig: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[SignInWorld]:
    Kubectl.of(control_plane).out("apply", "-f", "-", stdin=ACCESS.encode())
    upstream = {"kubeconfig": {"file": str(upstream_kubeconfig)}}
    directory = tmp_path_factory.mktemp("kubectl-session")
    with running_sign_in_world(directory, Authority.root(), upstream) as world:
        yield world


def kubectl_of(
    world: SignInWorld, control_plane: ControlPlane, home: Path, namespace: str, *more: str
) -> Kubectl:
    """Return kubectl with a kubeconfig that ``kzproxy kubeconfig`` wrote."""
    command = [
        *(sys.executable, "-m", "kzproxy", "kubeconfig", f"--output={home / 'config'}"),
        f"--server=https://localhost:{world.proxy.port}",
        f"--server-ca={world.ca_file}",
        f"--sign-in-url={world.url}",
        f"--issuer-ca={world.ca_file}",
        *more,
    ]
    subprocess.run(command, check=True, capture_output=True)
    return Kubectl.of(control_plane).using(
        kubeconfig=home / "config",
        home=home,
        namespace=namespace,
        extra={"KZPROXY_CACHE_DIR": str(home / "sign-ins")},
    )


def test_kubectl_signs_its_user_in_and_goes_on_in_the_session(
    world: SignInWorld, control_plane: ControlPlane, namespace: str, tmp_path: Path
):
    pipe = UrlPipe(tmp_path)
    kubectl = kubectl_of(
        world, control_plane, tmp_path, namespace, f"--browser-command={pipe.command}"
    )
    with kubectl.running("auth", "whoami") as process, world.browser() as browser:
        back = browser.walk(pipe.url())
        assert isinstance(back, str)
        browser.http.get(back)
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, err
    assert "idp:operator" in out.decode()
    assert "session-id" in out.decode()
    # The next commands need no browser: nobody reads the pipe now.
    kubectl.out("create", "configmap", "c1", "--from-literal=a=b")
    assert "c1" in kubectl.out("get", "configmaps")


def test_a_session_that_was_ended_says_so_to_kubectl(
    world: SignInWorld, control_plane: ControlPlane, namespace: str, tmp_path: Path
):
    machine = world.machine().signed_in()
    kubectl = _with_credential(machine, control_plane, tmp_path, namespace)
    assert "kube-root-ca.crt" in kubectl.out("get", "configmaps")
    machine.post("/revoke", {"token": machine.renewal})
    done = kubectl("get", "configmaps")
    assert done.returncode == 1
    assert b"Unauthorized" in done.stderr or b"you signed out" in done.stderr


def test_a_stolen_token_does_not_serve_in_another_kubeconfig(
    world: SignInWorld, control_plane: ControlPlane, namespace: str, tmp_path: Path
):
    machine, thief = world.machine().signed_in(), world.machine().signed_in("developer")
    stolen = Machine(world=world, key=thief.key, certificate=thief.certificate)
    stolen.answer = machine.answer
    done = _with_credential(stolen, control_plane, tmp_path, namespace)("get", "configmaps")
    assert done.returncode == 1
    assert b"kube-root-ca.crt" not in done.stdout


def _with_credential(
    machine: Machine, control_plane: ControlPlane, home: Path, namespace: str
) -> Kubectl:
    certificate, key = machine.files()
    kubectl = Kubectl.of(control_plane).using(
        kubeconfig=home / "plain.config", home=home, namespace=namespace
    )
    kubectl.out(
        *("config", "set-cluster", "c", f"--server=https://localhost:{machine.world.proxy.port}"),
        f"--certificate-authority={machine.world.ca_file}",
    )
    kubectl.out(
        *("config", "set-credentials", "u", f"--token={machine.token}"),
        *(f"--client-certificate={certificate}", f"--client-key={key}"),
    )
    kubectl.out("config", "set-context", "x", "--cluster=c", "--user=u")
    kubectl.out("config", "use-context", "x")
    return kubectl
