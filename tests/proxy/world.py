"""What is around one kzproxy: certificates, an issuer with users, devices, policy, upstream."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.proxy.process import ProxyProcess
from tests.proxy.raw_client import RawClient
from tests.servers.authority import Authority
from tests.servers.issuer import TestIssuer

AUDIENCE = "kubernetes"
PREFIX = "t:"

# One rule a kind of test user. Tests for policy itself are in tests/policy.
POLICY: dict[str, Any] = {
    "apiVersion": "kzproxy.dev/v1",
    "kind": "AccessPolicy",
    "metadata": {"name": "tests"},
    "rules": [
        {
            "id": "testers-everything",
            "effect": "allow",
            "subjects": {"groups": [f"{PREFIX}testers"]},
            "match": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
        },
        {
            "id": "testers-urls",
            "effect": "allow",
            "subjects": {"groups": [f"{PREFIX}testers"]},
            "match": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        },
        {
            "id": "readers-pods",
            "effect": "allow",
            "subjects": {"groups": [f"{PREFIX}readers"]},
            "match": [
                {"verbs": ["get", "list", "watch"], "apiGroups": [""], "resources": ["pods"]}
            ],
        },
        {
            "id": "enrolled-configmaps",
            "effect": "allow",
            "subjects": {"groups": [f"{PREFIX}enrolled"]},
            "match": [{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["configmaps"]}],
            "conditions": {"device": {"enrolled": True}},
        },
    ],
}


@dataclass
class World:
    """A kzproxy's surroundings, and clients for it."""

    directory: Path
    authority: Authority
    issuer: TestIssuer
    proxy: ProxyProcess

    @property
    def authority_file(self) -> Path:
        return self.directory / "ca.crt"

    def claims(self, user: str, *groups: str, seconds: float = 3600, **claims: object) -> dict:
        now = int(time.time())
        return {
            "sub": user,
            "aud": AUDIENCE,
            "groups": list(groups),
            "uid": f"uid-{user}",
            "iat": now,
            "exp": now + seconds,
        } | claims

    def token(self, user: str, *groups: str, seconds: float = 3600, **claims: object) -> str:
        """Sign ``user`` in; the name reaches kube-apiserver with ``PREFIX``."""
        return self.issuer.token(self.claims(user, *groups, seconds=seconds, **claims))

    def client(self, **options: Any) -> RawClient:
        """Connect with exact bytes to come."""
        return RawClient(self.proxy.port, self.authority_file, **options)

    def device(self, name: str) -> tuple[Path, Path]:
        """Issue a device certificate; return its files."""
        return self.authority.device(name).write_to(self.directory, f"device-{name}")


def request(method: str, target: str, token: str = "", *headers: str, body: bytes = b"") -> bytes:
    """Write a request as it should be, with further header lines."""
    lines = [f"{method} {target} HTTP/1.1", "Host: proxy"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, *headers, "", ""]).encode("latin-1") + body


def configuration(
    directory: Path, authority: Authority, issuer: TestIssuer, upstream: dict[str, Any]
) -> dict[str, Any]:
    """Write all files but kzproxy.yaml into ``directory``, and return what goes into that."""
    (directory / "ca.crt").write_bytes(authority.pem)
    authority.server("localhost", "127.0.0.1").write_to(directory, "tls")
    (directory / "authentication.yaml").write_text(yaml.safe_dump(_authentication(issuer)))
    (directory / "policy.yaml").write_text(yaml.safe_dump(POLICY))
    return {
        "apiVersion": "kzproxy.dev/v1",
        "kind": "ProxyConfiguration",
        "listen": {"certificateFile": "tls.crt", "privateKeyFile": "tls.key"},
        "devices": {"certificateAuthorityFile": "ca.crt"},
        "upstream": upstream,
        "authenticationFile": "authentication.yaml",
        "policyFiles": ["policy.yaml"],
        "decisionLog": {"file": "decisions.jsonl"},
        "drainTimeoutSeconds": 5,
    }


def _authentication(issuer: TestIssuer) -> dict[str, Any]:
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
        "jwt": [
            {
                "issuer": {
                    "url": issuer.url,
                    "audiences": [AUDIENCE],
                    "certificateAuthority": issuer.certificate_authority_pem,
                },
                "claimMappings": {
                    "username": {"claim": "sub", "prefix": PREFIX},
                    "groups": {"claim": "groups", "prefix": PREFIX},
                    "uid": {"claim": "uid"},
                },
            }
        ],
    }
