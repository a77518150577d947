"""A kzproxy of the attackers' own before the real API server.

Upstream they may do everything: every user here is a cluster-admin to RBAC, so that kzproxy's
policy alone stands between them and what they are after. Its issuer puts no prefix before names,
so that whatever a token says would be sent as it is.
"""

import base64
import contextlib
import json
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kzproxy.demo.control_plane import ControlPlane
from tests.cluster.audit_log import AuditLog
from tests.cluster.kubectl import Kubectl
from tests.proxy.issuer_thread import issuer_in_thread
from tests.proxy.process import running_proxy
from tests.proxy.raw_client import Answer, RawClient
from tests.proxy.world import AUDIENCE, World, configuration
from tests.servers.authority import Authority
from tests.servers.issuer import TestIssuer

A = "attacks-a"
B = "attacks-b"
SECRET = "the-prize"
"""What the secrets in ``B`` hold; it must never reach an attacker."""

# Every attacker's; RBAC lets it do everything.
_ATTACKERS = "attackers"
OTHER_PREFIX = "other:"
ROTATING_PREFIX = "rotating:"

_SECRETS = {"apiGroups": [""], "resources": ["secrets"], "namespaces": [B]}
_READ = ["get", "list", "watch"]
_EVERYTHING = [
    {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
    {"verbs": ["*"], "nonResourceURLs": ["*"]},
]


def _rule(name: str, effect: str, *match: dict[str, Any]) -> dict[str, Any]:
    """Write a rule for the group of its own name."""
    return {"id": name, "effect": effect, "subjects": {"groups": [name]}, "match": list(match)}


# What each group may do; a rule's id is its group. ``full-but-…`` is told apart by its deny rule.
RULES = [
    {
        "id": "whoami",
        "effect": "allow",
        "subjects": {"groups": ["system:authenticated"]},
        "match": [
            {
                "verbs": ["create"],
                "apiGroups": ["authentication.k8s.io"],
                "resources": ["selfsubjectreviews"],
            }
        ],
    },
    _rule("full", "allow", *_EVERYTHING),
    _rule(
        "a-reader",
        "allow",
        {"verbs": _READ, "apiGroups": [""], "resources": ["configmaps"], "namespaces": [A]},
    ),
    _rule("url-reader", "allow", {"verbs": ["get", "head"], "nonResourceURLs": ["*"]}),
    _rule("s2-reader", "allow", {"verbs": _READ, **_SECRETS, "names": ["s2"]}),
    _rule(
        "namespace-reader",
        "allow",
        {"verbs": _READ, "apiGroups": [""], "resources": ["namespaces"]},
    ),
    _rule("lister", "allow", {"verbs": ["get", "list"], **_SECRETS}),
    _rule("deleter", "allow", {"verbs": ["get", "delete"], **_SECRETS}),
    _rule(
        "s2-deleter",
        "allow",
        {"verbs": ["delete", "deletecollection"], **_SECRETS, "names": ["s2"]},
    ),
    _rule(
        "named-creator",
        "allow",
        {"verbs": ["create"], "apiGroups": [""], "resources": ["configmaps"], "names": ["mine"]},
    ),
    _rule(
        "no-a-configmaps",
        "deny",
        {"verbs": ["*"], "apiGroups": [""], "resources": ["configmaps"], "namespaces": [A]},
    ),
    _rule("no-b-secrets", "deny", {"verbs": ["*"], **_SECRETS}),
    _rule("no-s1", "deny", {"verbs": ["*"], **_SECRETS, "names": ["s1"]}),
    _rule(
        "no-service-x",
        "deny",
        {"verbs": ["proxy"], "apiGroups": [""], "resources": ["services/proxy"], "names": ["x"]},
    ),
    _rule("no-connect", "deny", {"verbs": ["connect"], "apiGroups": ["*"], "resources": ["*"]}),
    _rule(
        "no-metrics", "deny", {"verbs": ["*"], "apiGroups": ["metrics.k8s.io"], "resources": ["*"]}
    ),
]

_POLICY = {
    "apiVersion": "kzproxy.dev/v1",
    "kind": "AccessPolicy",
    "metadata": {"name": "attacks"},
    "rules": RULES,
}


def _objects() -> list[dict[str, Any]]:
    value = base64.b64encode(SECRET.encode()).decode()
    return [
        *[_object("Namespace", name) for name in (A, B)],
        _object("ConfigMap", "c1", A, data={"a": "b"}),
        _object("ConfigMap", "c1", B, data={"a": SECRET}),
        *[_object("Secret", name, B, data={"key": value}) for name in ("s1", "s2")],
        {
            **_object("ClusterRoleBinding", "attacks"),
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "cluster-admin",
            },
            "subjects": [
                {"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": _ATTACKERS}
            ],
        },
    ]


def _object(kind: str, name: str, namespace: str = "", **more: Any) -> dict[str, Any]:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **more}


class Fence:
    """A connection for requests that are no attack, made anew where it has idled too long."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._client: RawClient | None = None

    def ask(self, data: bytes) -> Answer:
        """Send a request that may be sent twice."""
        if self._client is not None:
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                return self._client.ask(data)
            self.close()
        self._client = self._world.client()
        return self._client.ask(data)

    def close(self) -> None:
        if self._client is not None:
            self._client.tls.close()


@dataclass(frozen=True)
class Front:
    """The attackers' kzproxy, and what is around it.

    Attributes:
        other: A second issuer, whose names get ``OTHER_PREFIX``.
        rotating: A third, whose keys a test may change; its names get ``ROTATING_PREFIX``.
        fence: For requests that are no attack.
    """

    world: World
    other: TestIssuer
    rotating: TestIssuer
    fence: Fence
    audit_log: AuditLog
    control_plane: ControlPlane

    def token(self, user: str, *groups: str, **claims: Any) -> str:
        """Sign an attacker in, to whom RBAC denies nothing."""
        return self.world.token(user, _ATTACKERS, *groups, **claims)

    def claims(self, user: str, *groups: str, **claims: Any) -> dict[str, Any]:
        """Return the claims of such a token; one that is given as None is left out."""
        members = self.world.claims(user, _ATTACKERS, *groups, **claims)
        return {name: value for name, value in members.items() if value is not None}


@contextmanager
def attackers_front(
    directory: Path, control_plane: ControlPlane, audit_log: AuditLog, kubeconfig: Path
) -> Iterator[Front]:
    """Run it until the block ends."""
    everything = json.dumps({"apiVersion": "v1", "kind": "List", "items": _objects()})
    Kubectl.of(control_plane).out("apply", "-f", "-", stdin=everything.encode())
    authority = Authority.root()
    with ExitStack() as stack:
        issuers = []
        for name in ("plain", "other", "rotating"):
            (directory / name).mkdir()
            issuers.append(stack.enter_context(issuer_in_thread(directory / name, authority)))
        upstream = {"kubeconfig": {"file": str(kubeconfig)}}
        settings = configuration(directory, authority, issuers[0], upstream)
        (directory / "policy.yaml").write_text(json.dumps(_POLICY))
        (directory / "authentication.yaml").write_text(json.dumps(_authentication(*issuers)))
        proxy = stack.enter_context(running_proxy(directory, settings))
        world = World(directory, authority, issuers[0], proxy)
        fence = stack.enter_context(contextlib.closing(Fence(world)))
        yield Front(world, *issuers[1:], fence, audit_log, control_plane)


def _authentication(*issuers: TestIssuer) -> dict[str, Any]:
    prefixes = ("", OTHER_PREFIX, ROTATING_PREFIX)
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
        "jwt": [_issuer(*pair) for pair in zip(issuers, prefixes, strict=True)],
    }


def _issuer(issuer: TestIssuer, prefix: str) -> dict[str, Any]:
    return {
        "issuer": {
            "url": issuer.url,
            "audiences": [AUDIENCE],
            "certificateAuthority": issuer.certificate_authority_pem,
        },
        "claimMappings": {
            "username": {"claim": "sub", "prefix": prefix},
            "groups": {"claim": "groups", "prefix": ""},
            "uid": {"claim": "uid"},
        },
    }
