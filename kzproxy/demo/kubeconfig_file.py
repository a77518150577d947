"""Kubeconfigs for the control plane's own accounts."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kzproxy.demo.private_file import write_private_file


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeconfigUser:
    """One account's kubeconfig.

    Attributes:
        name: What context, cluster and user are called in it.
        user: The ``user`` entry, such as ``{"token": ...}``.
    """

    name: str
    server: str
    certificate_authority: Path
    user: Mapping[str, str] = field(repr=False)

    def write(self, path: Path) -> None:
        """Write it, 0600. It is JSON, which is YAML too."""
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": self.name,
            "clusters": [{"name": self.name, "cluster": self._cluster()}],
            "users": [{"name": self.name, "user": dict(self.user)}],
            "contexts": [{"name": self.name, "context": {"cluster": self.name, "user": self.name}}],
        }
        write_private_file(path, json.dumps(content, indent=2).encode() + b"\n")

    def _cluster(self) -> dict[str, str]:
        return {
            "server": self.server,
            "certificate-authority": str(self.certificate_authority),
        }


def certificate_user(certificate: Path, private_key: Path) -> dict[str, str]:
    """Return the ``user`` entry for a client certificate in files."""
    return {"client-certificate": str(certificate), "client-key": str(private_key)}
