"""Tokens of ServiceAccounts through kzproxy: a workload acts under its own Kubernetes name."""

import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import yaml

from kzproxy.demo.control_plane import ControlPlane
from tests.authentication.many_issuers import ManyIssuers, many_issuers
from tests.cluster.kubectl import Kubectl
from tests.proxy.process import running_proxy
from tests.servers.authority import Authority

pytestmark = pytest.mark.cluster

RBAC = "rbac.authorization.k8s.io"
ACCOUNT = "kzproxy-for-accounts"
GROUPS = ["system:serviceaccounts", "system:serviceaccounts:default"]

# What docs/reference/authentication.md says that such a kzproxy needs, for one account.
ROLE: dict[str, Any] = {
    "apiVersion": f"{RBAC}/v1",
    "kind": "ClusterRole",
    "metadata": {"name": ACCOUNT},
    "rules": [
        # The start-up check acts as a user.
        {"apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"]},
        {
            "apiGroups": [""],
            "resources": ["serviceaccounts"],
            "verbs": ["impersonate"],
            "resourceNames": ["builder"],
        },
        {
            "apiGroups": [""],
            "resources": ["groups"],
            "verbs": ["impersonate"],
            "resourceNames": GROUPS,
        },
        {
            "apiGroups": ["authentication.k8s.io"],
            "resources": [
                "uids",
                "userextras/kzproxy.dev/session-id",
                "userextras/kzproxy.dev/device-id",
                "userextras/kzproxy.dev/spiffe-id",
            ],
            "verbs": ["impersonate"],
        },
    ],
}
SET_UP: list[dict[str, Any]] = [
    {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": ACCOUNT, "namespace": "default"},
    },
    ROLE,
    {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": ACCOUNT},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": ACCOUNT},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": "default"}],
    },
]
POLICY = {
    "apiVersion": "kzproxy.dev/v1",
    "kind": "AccessPolicy",
    "metadata": {"name": "accounts"},
    "rules": [
        {
            "id": "reviews",
            "effect": "allow",
            "subjects": {"groups": ["system:authenticated"]},
            "match": [
                {
                    "verbs": ["create"],
                    "apiGroups": ["authentication.k8s.io"],
                    "resources": ["selfsubjectreviews"],
                }
            ],
        }
    ],
}
ENTRY = {
    "claimMappings": {
        "username": {"claim": "sub", "prefix": ""},
        "groups": {
            "expression": "['system:serviceaccounts',"
            " 'system:serviceaccounts:' + claims['kubernetes.io'].namespace]"
        },
        "extra": [
            {"key": "kzproxy.dev/spiffe-id", "valueExpression": "claims.?spiffe.orValue('')"}
        ],
    }
}


@dataclass
class Scene:
    issuers: ManyIssuers
    proxy: httpx.Client

    def review(self, number: int, namespace: str, name: str, **claims: object) -> httpx.Response:
        subject = f"system:serviceaccount:{namespace}:{name}"
        members = {"sub": subject, "kubernetes.io": {"namespace": namespace}}
        token = self.issuers.token(number, members | claims)
        return self.proxy.post(
            "/apis/authentication.k8s.io/v1/selfsubjectreviews",
            json={"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"},
            headers={"Authorization": f"Bearer {token}"},
        )


@pytest.fixture(scope="module")
def scene(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    directory = tmp_path_factory.mktemp("accounts")
    authority = Authority.root()
    kubectl = Kubectl.of(control_plane)
    items = json.dumps({"apiVersion": "v1", "kind": "List", "items": SET_UP})
    kubectl.out("apply", "-f", "-", stdin=items.encode())
    (directory / "token").write_text(kubectl.out("-n", "default", "create", "token", ACCOUNT))
    with many_issuers(directory, authority) as issuers:
        issuer = issuers.issuer(0)
        entries = [{"issuer": issuers.issuer(number)} | ENTRY for number in range(2)]
        authentication = {
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "AuthenticationConfiguration",
            "jwt": entries,
        }
        (directory / "authentication.yaml").write_text(json.dumps(authentication))
        (directory / "policy.yaml").write_text(yaml.safe_dump(POLICY))
        (directory / "ca.crt").write_bytes(authority.pem)
        authority.server("localhost", "127.0.0.1").write_to(directory, "tls")
        serving = {
            "apiVersion": "kzproxy.dev/v1",
            "kind": "ProxyConfiguration",
            "listen": {"certificateFile": "tls.crt", "privateKeyFile": "tls.key"},
            "upstream": {
                "server": {
                    "url": control_plane.server,
                    "certificateAuthorityFile": str(control_plane.certificate_authority),
                    "tokenFile": "token",
                }
            },
            "authenticationFile": "authentication.yaml",
            "reservedNames": [
                {
                    "issuer": issuer["url"],
                    "users": ["system:serviceaccount:default:*"],
                    "groups": GROUPS,
                }
            ],
            "policyFiles": ["policy.yaml"],
            "decisionLog": {"file": "decisions.jsonl"},
            "drainTimeoutSeconds": 5,
        }
        with running_proxy(directory, serving) as proxy:
            context = ssl.create_default_context(cafile=directory / "ca.crt")
            url = f"https://127.0.0.1:{proxy.port}"
            with httpx.Client(base_url=url, verify=context, timeout=10, trust_env=False) as client:
                yield Scene(issuers, client)


def test_a_service_account_acts_under_its_own_name(scene: Scene) -> None:
    answer = scene.review(0, "default", "builder", spiffe="spiffe://example.org/builder")
    assert answer.status_code == 201, answer.text
    user = answer.json()["status"]["userInfo"]
    assert user["username"] == "system:serviceaccount:default:builder"
    assert user["groups"] == [*GROUPS, "system:authenticated"]
    assert user["extra"]["kzproxy.dev/spiffe-id"] == ["spiffe://example.org/builder"]


def test_e6_9_an_account_that_the_issuer_may_not_name_is_refused(scene: Scene) -> None:
    answer = scene.review(0, "kube-system", "builder")
    assert answer.status_code == 401
    assert "`system:` name" in answer.json()["message"]


def test_e6_9_an_issuer_without_leave_names_no_account(scene: Scene) -> None:
    answer = scene.review(1, "default", "builder")
    assert answer.status_code == 401
    assert "`system:` name" in answer.json()["message"]


def test_an_account_that_kzproxy_may_not_impersonate_is_refused(scene: Scene) -> None:
    """kube-apiserver's own bound on what kzproxy can be made to do."""
    answer = scene.review(0, "default", "other")
    assert answer.status_code == 502
    assert "its operators must look at its RBAC" in answer.json()["message"]
