"""A real Kubernetes control plane on this machine, for the demo and the tests.

etcd, kube-apiserver, kube-controller-manager and one node, each a process of its own on free
loopback ports. Every start is a new cluster. The node runs pods as local processes without
isolation, and only says what Kubernetes' streaming protocols say: it is not a kubelet.
"""

import os
import signal
import ssl
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from kzproxy.clock.system import Clock
from kzproxy.demo.binaries import Binaries
from kzproxy.demo.component import Component, Launcher
from kzproxy.demo.control_plane_commands import NODE, ControlPlaneCommands, Ports
from kzproxy.demo.control_plane_files import ControlPlaneFiles
from kzproxy.demo.kubectl import Kubectl
from kzproxy.demo.state_directory import StateDirectory
from kzproxy.demo.upstream_account import UpstreamAccount

_REQUEST_TIMEOUT = timedelta(seconds=5)


class ControlPlane:
    """Use it as a context manager: entered, it serves; left, all its processes have ended."""

    def __init__(self, binaries: Binaries, directory: Path, *, clock: Clock) -> None:
        """Take where the programs are and where all state goes (it may hold spaces).

        It starts once: another cluster is another ``ControlPlane``.
        """
        self.binaries = binaries
        self._clock = clock
        self._directory = StateDirectory(directory)
        self._ports = Ports.free()
        self._files = ControlPlaneFiles(directory=self.directory / "pki", server=self.server)
        self._commands = ControlPlaneCommands(
            binaries=binaries, ports=self._ports, files=self._files, directory=self.directory
        )
        self._launcher = Launcher()
        self._started: list[Component] = []

    @property
    def directory(self) -> Path:
        """Where all state is."""
        return self._directory.path

    @property
    def server(self) -> str:
        """The API server's URL."""
        return self._ports.api_server_url

    @property
    def certificate_authority(self) -> Path:
        """The CA that the API server's certificate is verified with."""
        return self._files.authority

    @property
    def admin_kubeconfig(self) -> Path:
        """A kubeconfig of ``system:masters``: for setting up and looking, never for kzproxy."""
        return self._files.kubeconfig("admin")

    @property
    def audit_log(self) -> Path:
        """The API server's audit log, JSON lines, every request."""
        return self._commands.audit_log

    @property
    def components(self) -> Mapping[str, Component]:
        """The processes, by name, in the order of their start."""
        return {component.name: component for component in self._started}

    @property
    def kubectl(self) -> Kubectl:
        """Run kubectl as administrator."""
        return self.kubectl_with(self.admin_kubeconfig)

    def kubectl_with(self, kubeconfig: Path) -> Kubectl:
        """Return this cluster's kubectl with another kubeconfig."""
        return Kubectl(
            program=self.binaries.kubectl,
            kubeconfig=kubeconfig,
            cache=self.directory / "kubectl-cache",
        )

    @property
    def upstream_account(self) -> UpstreamAccount:
        """What makes kzproxy's account in this cluster."""
        return UpstreamAccount(
            kubectl=self.kubectl,
            server=self.server,
            certificate_authority=self.certificate_authority,
        )

    def administrator(self) -> httpx.Client:
        """Return an HTTP client of ``system:masters``; the caller closes it."""
        files = self._files
        context = ssl.create_default_context(cafile=files.authority)
        context.load_cert_chain(files.certificate("admin"), files.private_key("admin"))
        return httpx.Client(
            base_url=self.server,
            verify=context,
            timeout=_REQUEST_TIMEOUT.total_seconds(),
            # Not through a proxy of the caller's environment.
            trust_env=False,
        )

    def start(self) -> None:
        """Return once pods can be made and run.

        Raises:
            ControlPlaneError: The directory is not to be had, or a component did not come up; then
                none is left running.
        """
        self._directory.claim()
        try:
            self._files.write(self._clock)
            with self.administrator() as api:
                self._start_all(api)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End every process, the last started first. Safe to repeat."""
        for component in reversed(self._started):
            component.stop()
        self._launcher.close()
        self._directory.release()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _start_all(self, api: httpx.Client) -> None:
        etcd = self._launch("etcd", self._commands.etcd())
        etcd.wait_until(lambda: _answers(api, f"{self._ports.etcd_url}/health"))
        server = self._launch("kube-apiserver", self._commands.api_server())
        server.wait_until(lambda: _answers(api, "/readyz"))
        manager = self._launch("kube-controller-manager", self._commands.controller_manager())
        # SIGTERM, so that it can take the pods' processes with it.
        node = self._launch("nodelet", self._commands.nodelet(), at_our_death=signal.SIGTERM)
        node.wait_until(lambda: _is_ready_node(api, NODE))
        # Until then pods are refused.
        default = "/api/v1/namespaces/default/serviceaccounts/default"
        manager.wait_until(lambda: _answers(api, default))

    def _launch(
        self,
        name: str,
        command: Sequence[str],
        *,
        at_our_death: signal.Signals = signal.SIGKILL,
    ) -> Component:
        component = Component(
            name,
            command,
            directory=self.directory,
            clock=self._clock,
            at_our_death=at_our_death,
        )
        self._started.append(component)
        component.start(self._launcher)
        return component


def find_binaries() -> Binaries:
    """Find the programs by this process's environment."""
    return Binaries.find(os.environ)


def _answers(api: httpx.Client, url: str) -> bool:
    try:
        return api.get(url).is_success
    except httpx.TransportError:
        return False


def _is_ready_node(api: httpx.Client, name: str) -> bool:
    try:
        answer = api.get(f"/api/v1/nodes/{name}")
    except httpx.TransportError:
        return False
    if not answer.is_success:
        return False
    conditions = answer.json().get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
