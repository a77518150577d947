"""The command lines of the control plane's components."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from kzproxy.demo.binaries import Binaries
from kzproxy.demo.control_plane_files import KUBELET_CLIENT_NAME, ControlPlaneFiles
from kzproxy.demo.loopback_ports import LOOPBACK, free_ports

NODE = "node-a"
SERVICE_ACCOUNT_ISSUER = "https://kubernetes.default.svc"

# What pods, deployments, jobs, service accounts and namespaces need: with all controllers the
# default service account takes five seconds to come, with these one.
CONTROLLERS = (
    "clusterrole-aggregation-controller",
    "cronjob-controller",
    "deployment-controller",
    "endpointslice-controller",
    "garbage-collector-controller",
    "job-controller",
    "namespace-controller",
    "replicaset-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "statefulset-controller",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where the components listen, on loopback."""

    etcd: int
    etcd_peer: int
    api_server: int
    controller_manager: int
    nodelet: int

    @classmethod
    def free(cls) -> Self:
        """Pick free ports."""
        etcd, etcd_peer, api_server, controller_manager, nodelet = free_ports(5)
        return cls(
            etcd=etcd,
            etcd_peer=etcd_peer,
            api_server=api_server,
            controller_manager=controller_manager,
            nodelet=nodelet,
        )

    @property
    def etcd_url(self) -> str:
        """Where etcd serves its clients."""
        return f"http://{LOOPBACK}:{self.etcd}"

    @property
    def api_server_url(self) -> str:
        """Where kube-apiserver serves."""
        return f"https://{LOOPBACK}:{self.api_server}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPlaneCommands:
    """Says how each component is called. All paths are absolute, and may hold spaces."""

    binaries: Binaries
    ports: Ports
    files: ControlPlaneFiles
    directory: Path

    @property
    def audit_log(self) -> Path:
        """Where kube-apiserver writes its audit log."""
        return self.directory / "audit.log"

    def etcd(self) -> list[str]:
        """Return the command of etcd with nothing to lose."""
        peer = f"http://{LOOPBACK}:{self.ports.etcd_peer}"
        return [
            str(self.binaries.etcd),
            f"--data-dir={self.directory / 'etcd'}",
            f"--listen-client-urls={self.ports.etcd_url}",
            f"--advertise-client-urls={self.ports.etcd_url}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--log-level=warn",
            # The cluster does not outlive its processes, so nothing has to survive a power cut.
            "--unsafe-no-fsync",
        ]

    def api_server(self) -> list[str]:
        """Return the command of kube-apiserver: RBAC, certificates, service accounts, audit."""
        files = self.files
        return [
            str(self.binaries.kube_apiserver),
            f"--etcd-servers={self.ports.etcd_url}",
            f"--bind-address={LOOPBACK}",
            f"--secure-port={self.ports.api_server}",
            # There is no network but loopback, and no one who asks for this service's endpoint.
            f"--advertise-address={LOOPBACK}",
            "--endpoint-reconciler-type=none",
            f"--tls-cert-file={files.certificate('apiserver')}",
            f"--tls-private-key-file={files.private_key('apiserver')}",
            f"--client-ca-file={files.authority}",
            "--authorization-mode=RBAC",
            # As kubeadm sets it; nothing becomes privileged by it here, for the nodelet knows none.
            "--allow-privileged=true",
            "--service-cluster-ip-range=10.0.0.0/24",
            f"--service-account-issuer={SERVICE_ACCOUNT_ISSUER}",
            f"--service-account-key-file={files.service_account_key}",
            f"--service-account-signing-key-file={files.service_account_key}",
            f"--kubelet-client-certificate={files.certificate('kubelet-client')}",
            f"--kubelet-client-key={files.private_key('kubelet-client')}",
            f"--kubelet-certificate-authority={files.authority}",
            "--kubelet-preferred-address-types=InternalIP",
            f"--audit-policy-file={files.audit_policy}",
            f"--audit-log-path={self.audit_log}",
            # An event is in the file before its answer is out.
            "--audit-log-mode=blocking",
            # A test may write a lot; rotation would hide what a reader has not read yet.
            "--audit-log-maxsize=2048",
            # Streams of a test that has ended need not be waited for.
            "--shutdown-delay-duration=0s",
        ]

    def controller_manager(self) -> list[str]:
        """Return the command of kube-controller-manager with some of its controllers."""
        files = self.files
        return [
            str(self.binaries.kube_controller_manager),
            f"--kubeconfig={files.kubeconfig('kube-controller-manager')}",
            f"--bind-address={LOOPBACK}",
            f"--secure-port={self.ports.controller_manager}",
            "--leader-elect=false",
            "--use-service-account-credentials",
            f"--controllers={','.join(CONTROLLERS)}",
            f"--service-account-private-key-file={files.service_account_key}",
            f"--root-ca-file={files.authority}",
        ]

    def nodelet(self) -> list[str]:
        """Return the command of the node."""
        files = self.files
        return [
            str(self.binaries.nodelet),
            f"--kubeconfig={files.kubeconfig('nodelet')}",
            f"--node={NODE}",
            f"--root={self.directory / 'pods'}",
            f"--listen={LOOPBACK}:{self.ports.nodelet}",
            f"--tls-cert-file={files.certificate('nodelet-serving')}",
            f"--tls-private-key-file={files.private_key('nodelet-serving')}",
            f"--client-ca-file={files.authority}",
            f"--client-name={KUBELET_CLIENT_NAME}",
        ]
