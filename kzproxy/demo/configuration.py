"""Write the files that ``kzproxy serve`` runs by in the demo."""

from dataclasses import dataclass

import yaml

from kzproxy.demo.directory import DemoDirectory
from kzproxy.demo.idp_clients import KZPROXY_CLIENT
from kzproxy.demo.sample import NAME_PREFIX, Sample

_WRITTEN_BY = "# Written by `kzproxy demo` at its start; changes are lost at the next one.\n"
_DRAIN_SECONDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Where everything listens; all of it on loopback.

    Attributes:
        proxy: ``HOST:PORT`` of kzproxy.
        ops: ``HOST:PORT`` of its health and metrics, plain HTTP.
        issuer: URL of the demo identity provider.
        api_server: URL of kube-apiserver.
    """

    proxy: str
    ops: str
    issuer: str
    api_server: str

    @property
    def proxy_url(self) -> str:
        """Return the URL that kubectl is given."""
        return f"https://{self.proxy}"


def write_configuration(directory: DemoDirectory, endpoints: Endpoints, sample: Sample) -> None:
    """Write ``kzproxy.yaml``, ``authentication.yaml`` and ``policy.yaml``."""
    directory.policy.write_text(_WRITTEN_BY + sample.policy())
    directory.authentication.write_text(_WRITTEN_BY + _dump(_authentication(directory, endpoints)))
    directory.configuration.write_text(_WRITTEN_BY + _dump(_proxy(directory, endpoints)))


def _proxy(directory: DemoDirectory, endpoints: Endpoints) -> dict[str, object]:
    server = {
        "url": endpoints.api_server,
        "certificateAuthorityFile": directory.upstream_ca.name,
        "tokenFile": directory.upstream_token.name,
    }
    if not directory.upstream_ca.read_text():
        del server["certificateAuthorityFile"]
    return {
        "apiVersion": "kzproxy.dev/v1",
        "kind": "ProxyConfiguration",
        "listen": {
            "address": endpoints.proxy,
            "certificateFile": directory.tls_certificate.name,
            "privateKeyFile": directory.tls_key.name,
        },
        "devices": {"certificateAuthorityFile": directory.device_ca.name},
        "ops": {"address": endpoints.ops},
        "upstream": {"server": server},
        "authenticationFile": directory.authentication.name,
        "policyFiles": [directory.policy.name],
        "decisionLog": {"file": directory.decisions.name},
        "reasons": {"directory": "reasons"},
        "drainTimeoutSeconds": _DRAIN_SECONDS,
    }


def _authentication(directory: DemoDirectory, endpoints: Endpoints) -> dict[str, object]:
    """Return what is believed: the demo provider alone, and none of its names without a prefix."""
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
        "jwt": [
            {
                "issuer": {
                    "url": endpoints.issuer,
                    "audiences": [KZPROXY_CLIENT.client_id],
                    "certificateAuthority": directory.ca.read_text(),
                },
                "claimMappings": {
                    "username": {"claim": "preferred_username", "prefix": NAME_PREFIX},
                    "groups": {"claim": "groups", "prefix": NAME_PREFIX},
                    "uid": {"claim": "sub"},
                },
            }
        ],
    }


def _dump(document: dict[str, object]) -> str:
    return yaml.safe_dump(document, sort_keys=False)
