"""The same file and tokens, read by kube-apiserver and by kzproxy in front of it."""

import json
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kzproxy.clock.system import SystemClock
from kzproxy.demo.component import Component, Launcher
from kzproxy.demo.control_plane import ControlPlane
from kzproxy.demo.loopback_ports import free_ports
from tests.authentication.claim_cases import CASES, Case
from tests.authentication.like_kube_apiserver import api_server_command
from tests.authentication.many_issuers import ManyIssuers, many_issuers
from tests.cluster.kubectl import Kubectl
from tests.proxy.process import running_proxy
from tests.servers.authority import Authority

pytestmark = pytest.mark.cluster

REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"

# kzproxy's own, and what kube-apiserver writes of the token's id, which kzproxy does not send.
NOT_COMPARED = ("kzproxy.dev/", "authentication.kubernetes.io/credential-id")

# kube-apiserver asks an issuer again ten seconds after it was not answered.
_ISSUERS_KNOWN_SECONDS = 90

POLICY = {
    "apiVersion": "kzproxy.dev/v1",
    "kind": "AccessPolicy",
    "metadata": {"name": "reviews"},
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
EXTRA_RIGHTS: list[dict[str, Any]] = [
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "kzproxy-any-extra"},
        "rules": [
            {
                "apiGroups": ["authentication.k8s.io"],
                "resources": [f"userextras/example.com/{name}" for name in "abv"],
                "verbs": ["impersonate:user-info"],
            }
        ],
    },
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "kzproxy-any-extra"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "kzproxy-any-extra",
        },
        "subjects": [{"kind": "ServiceAccount", "name": "kzproxy", "namespace": "kzproxy"}],
    },
]


def configuration(issuers: ManyIssuers, entries: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
        "jwt": [{"issuer": issuers.issuer(n)} | entry for n, entry in enumerate(entries)],
    }


@dataclass
class Readers:
    """Both programs, and tokens for them."""

    issuers: ManyIssuers
    api_server: httpx.Client
    proxy: httpx.Client

    def by_api_server(self, token: str) -> dict[str, Any] | None:
        return self._user(self.api_server, token)

    def by_proxy(self, token: str) -> dict[str, Any] | None:
        return self._user(self.proxy, token)

    def await_issuers(self) -> None:
        """Return once kube-apiserver knows every issuer's keys, without which it refuses all."""
        deadline = time.monotonic() + _ISSUERS_KNOWN_SECONDS
        for number, case in enumerate(CASES):
            tokens = [self.issuers.token(number, claims) for claims in case.tokens]
            good = next((token for token in tokens if self.by_proxy(token) is not None), None)
            while good is not None and self.by_api_server(good) is None:
                if time.monotonic() > deadline:
                    break  # the tests will tell
                time.sleep(0.2)

    def _user(self, client: httpx.Client, token: str) -> dict[str, Any] | None:
        headers = {"Authorization": f"Bearer {token}"}
        answer = client.post(REVIEWS, json=REVIEW, headers=headers)
        deadline = time.monotonic() + _ISSUERS_KNOWN_SECONDS
        # The keys of sixty issuers are fetched at once, some of them at the second attempt.
        while answer.status_code == 503 and time.monotonic() < deadline:
            time.sleep(1)
            answer = client.post(REVIEWS, json=REVIEW, headers=headers)
        if answer.status_code == 401:
            return None
        assert answer.status_code == 201, answer.text
        user = answer.json()["status"]["userInfo"]
        extra = {
            key: values
            for key, values in user.get("extra", {}).items()
            if not key.startswith(NOT_COMPARED)
        }
        return {
            "username": user["username"],
            "uid": user.get("uid", ""),
            "groups": user.get("groups", []),
            "extra": extra,
        }


@pytest.fixture(scope="module")
def readers(
    control_plane: ControlPlane,
    upstream_kubeconfig: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Readers]:
    directory = tmp_path_factory.mktemp("readers")
    authority = Authority.root()
    rights = json.dumps({"apiVersion": "v1", "kind": "List", "items": EXTRA_RIGHTS})
    Kubectl.of(control_plane).out("apply", "-f", "-", stdin=rights.encode())
    with many_issuers(directory, authority) as issuers:
        file = directory / "authentication.yaml"
        file.write_text(yaml.safe_dump(configuration(issuers, [case.entry for case in CASES])))
        (directory / "ca.crt").write_bytes(authority.pem)
        (directory / "policy.yaml").write_text(yaml.safe_dump(POLICY))
        authority.server("localhost", "127.0.0.1").write_to(directory, "tls")
        port = free_ports(1)[0]
        api_server = Component(
            "kube-apiserver-of-tokens",
            api_server_command(control_plane, port, file),
            directory=directory,
            clock=SystemClock(),
        )
        launcher = Launcher()
        api_server.start(launcher)
        try:
            url, trust = f"https://127.0.0.1:{port}", control_plane.certificate_authority
            api_server.wait_until(lambda: _is_ready(url, trust))
            serving = {
                "apiVersion": "kzproxy.dev/v1",
                "kind": "ProxyConfiguration",
                "listen": {"certificateFile": "tls.crt", "privateKeyFile": "tls.key"},
                "upstream": {"kubeconfig": {"file": str(upstream_kubeconfig)}},
                "authenticationFile": "authentication.yaml",
                "policyFiles": ["policy.yaml"],
                "decisionLog": {"file": "decisions.jsonl"},
                "drainTimeoutSeconds": 5,
            }
            with running_proxy(directory, serving) as proxy:
                through = _client(f"https://127.0.0.1:{proxy.port}", directory / "ca.crt")
                with _client(url, trust) as direct, through:
                    readers = Readers(issuers, direct, through)
                    readers.await_issuers()
                    yield readers
        finally:
            api_server.stop()
            launcher.close()


def _client(url: str, authority: Path) -> httpx.Client:
    context = ssl.create_default_context(cafile=authority)
    return httpx.Client(base_url=url, verify=context, timeout=10, trust_env=False)


def _is_ready(url: str, authority: Path) -> bool:
    with _client(url, authority) as client:
        try:
            return client.get("/readyz").status_code in (200, 401)
        except httpx.TransportError:
            return False


@pytest.mark.parametrize("number", range(len(CASES)), ids=[case.name for case in CASES])
def test_a_token_names_the_same_user(readers: Readers, number: int) -> None:
    case: Case = CASES[number]
    for claims in case.tokens:
        token = readers.issuers.token(number, claims)
        assert readers.by_proxy(token) == readers.by_api_server(token), claims


@pytest.mark.parametrize("number", range(len(CASES)), ids=[case.name for case in CASES])
def test_what_kzproxy_refuses_beyond_is_refused(readers: Readers, number: int) -> None:
    for claims in CASES[number].stricter:
        token = readers.issuers.token(number, claims)
        assert readers.by_api_server(token) is not None, claims
        assert readers.by_proxy(token) is None, claims


_TEXTS = st.sampled_from(["", "x", "bad", "a/b", "x,y", "éX", "10.1.2.3", "s-1"])
_SCALARS = (
    st.none() | st.booleans() | _TEXTS | st.integers(-3, 3) | st.floats(-2, 2, allow_nan=False)
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2)
    ),
    max_leaves=4,
)
_CLAIMS = st.dictionaries(
    st.sampled_from(["a", "b", "c", "groups", "roles", "more", "org", "name", "level", "hd"]),
    _VALUES,
    max_size=6,
)


_AGREED = [number for number, case in enumerate(CASES) if case.any_claims]


@given(claims=_CLAIMS, number=st.sampled_from(_AGREED))
@settings(max_examples=300, deadline=None)
def test_any_claims_name_the_same_user(
    readers: Readers, claims: dict[str, Any], number: int
) -> None:
    token = readers.issuers.token(number, claims)
    assert readers.by_proxy(token) == readers.by_api_server(token)
