"""How the control plane starts and ends; what it does meanwhile is in ``tests/cluster``."""

import dataclasses
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kzproxy.clock.system import SystemClock
from kzproxy.demo.binaries import Binaries
from kzproxy.demo.component import ControlPlaneError
from kzproxy.demo.control_plane import ControlPlane
from tests.cluster.kubectl import Kubectl
from tests.cluster.pods import apply, shell_pod
from tests.demo.processes import processes_in, wait_until_none_in

# Its second process is a child of the pod's own, and does not mind being asked to end.
STUBBORN_POD = shell_pod("stubborn", "trap '' TERM; sleep 600 & sleep 600; wait")


@pytest.mark.cluster
def test_stopping_leaves_no_process_behind(binaries: Binaries, tmp_path: Path):
    with ControlPlane(binaries, tmp_path / "state", clock=SystemClock()) as control_plane:
        names = list(control_plane.components)
        assert names == ["etcd", "kube-apiserver", "kube-controller-manager", "nodelet"]
        run_stubborn_pod(Kubectl.of(control_plane))
        assert len(processes_in(control_plane.directory)) > len(names)
    # At once, without waiting.
    assert processes_in(tmp_path) == set()
    control_plane.stop()


@pytest.mark.cluster
def test_stopping_leaves_no_key_that_others_may_read(binaries: Binaries, tmp_path: Path):
    with ControlPlane(binaries, tmp_path, clock=SystemClock()) as control_plane:
        private = [*control_plane.directory.rglob("*.key")]
        private += control_plane.directory.rglob("*.kubeconfig")
    assert len(private) > 5
    assert {path.stat().st_mode & 0o077 for path in private} == {0}


def test_a_component_that_dies_takes_the_others_with_it(tmp_path: Path):
    control_plane = ControlPlane(
        Binaries(
            etcd=script(tmp_path, "etcd", "echo no room on the disk >&2; exit 1"),
            kube_apiserver=Path("/bin/false"),
            kubectl=Path("/bin/false"),
            kube_controller_manager=Path("/bin/false"),
            nodelet=Path("/bin/false"),
        ),
        tmp_path / "state",
        clock=SystemClock(),
    )
    with pytest.raises(
        ControlPlaneError, match=r"etcd ended with code 1(.|\n)*no room on the disk"
    ):
        control_plane.start()
    assert processes_in(tmp_path / "state") == set()


PARENT = """
import json, sys
from pathlib import Path
from kzproxy.clock.system import SystemClock
from kzproxy.demo.binaries import Binaries
from kzproxy.demo.control_plane import ControlPlane

binaries = Binaries(**{name: Path(path) for name, path in json.loads(sys.argv[1]).items()})
control_plane = ControlPlane(binaries, Path(sys.argv[2]), clock=SystemClock())
control_plane.start()
print(control_plane.admin_kubeconfig, flush=True)
sys.stdin.read()
"""


@pytest.mark.cluster
def test_a_killed_parent_takes_everything_with_it(binaries: Binaries, tmp_path: Path):
    state = tmp_path / "state"
    programs = json.dumps(dataclasses.asdict(binaries), default=str)
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, programs, str(state)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as parent:
        assert parent.stdout is not None
        kubeconfig = Path(parent.stdout.readline().decode().strip())
        kubectl = Kubectl(program=binaries.kubectl, kubeconfig=kubeconfig, home=tmp_path / "home")
        run_stubborn_pod(kubectl)
        assert len(processes_in(state)) >= 6
        parent.send_signal(signal.SIGKILL)
    wait_until_none_in(state)


def run_stubborn_pod(kubectl: Kubectl) -> None:
    apply(kubectl, STUBBORN_POD)
    kubectl.out("wait", "--for=condition=Ready", "pod/stubborn", "--timeout=30s")


def script(directory: Path, name: str, text: str) -> Path:
    """Write a program that stands in for a component."""
    path = directory / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path
