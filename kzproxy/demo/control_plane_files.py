"""What the control plane's components read: certificates, kubeconfigs and the audit policy."""

import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from kzproxy.clock.system import Clock
from kzproxy.demo.certificates import CertificateAndKey, CertificateAuthority, signing_key_pem
from kzproxy.demo.kubeconfig_file import KubeconfigUser, certificate_user
from kzproxy.demo.loopback_ports import LOOPBACK
from kzproxy.demo.private_file import write_private_file

# A cluster lives as long as the demo is left running.
VALIDITY = timedelta(days=30)
KUBELET_CLIENT_NAME = "kube-apiserver-kubelet-client"
ADMINISTRATORS = "system:masters"

# Every request, without bodies: what the decision log is held against.
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "rules": [{"level": "Metadata"}],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPlaneFiles:
    """Names the files below one directory, and writes them."""

    directory: Path
    server: str

    def write(self, clock: Clock) -> None:
        """Write them all; the private ones are 0600."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        authority = CertificateAuthority.create(
            "kzproxy demo cluster", validity=VALIDITY, clock=clock
        )
        self.authority.write_bytes(authority.certificate_pem)
        write_private_file(self.service_account_key, signing_key_pem())
        self.audit_policy.write_text(json.dumps(AUDIT_POLICY))
        self._write_pair("apiserver", authority.server("localhost", LOOPBACK, validity=VALIDITY))
        self._write_pair("nodelet-serving", authority.server(LOOPBACK, validity=VALIDITY))
        self._write_pair(
            "kubelet-client", authority.client(KUBELET_CLIENT_NAME, "kubeadm", validity=VALIDITY)
        )
        self._write_account(authority, "admin", "kubernetes-admin", ADMINISTRATORS)
        self._write_account(authority, "nodelet", "nodelet", ADMINISTRATORS)
        self._write_account(authority, "kube-controller-manager", "system:kube-controller-manager")

    @property
    def authority(self) -> Path:
        """The cluster's CA certificate."""
        return self.directory / "ca.crt"

    @property
    def service_account_key(self) -> Path:
        """The key that signs service account tokens."""
        return self.directory / "service-account.key"

    @property
    def audit_policy(self) -> Path:
        """The API server's audit policy."""
        return self.directory / "audit-policy.json"

    def certificate(self, name: str) -> Path:
        """The certificate called ``name``."""
        return self.directory / f"{name}.crt"

    def private_key(self, name: str) -> Path:
        """The key of the certificate called ``name``."""
        return self.directory / f"{name}.key"

    def kubeconfig(self, name: str) -> Path:
        """The kubeconfig of the account called ``name``."""
        return self.directory / f"{name}.kubeconfig"

    def _write_pair(self, name: str, pair: CertificateAndKey) -> None:
        pair.write(self.certificate(name), self.private_key(name))

    def _write_account(
        self, authority: CertificateAuthority, name: str, user: str, *groups: str
    ) -> None:
        self._write_pair(name, authority.client(user, *groups, validity=VALIDITY))
        KubeconfigUser(
            name=name,
            server=self.server,
            certificate_authority=self.authority,
            user=certificate_user(self.certificate(name), self.private_key(name)),
        ).write(self.kubeconfig(name))
