"""kzproxy's account can act as those it is meant to act as, and can do nothing by itself."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from kzproxy.demo.control_plane import ControlPlane
from tests.cluster.audit_log import AuditLog
from tests.cluster.kubectl import Kubectl
from tests.cluster.namespaces import fresh_namespace
from tests.deploy.rights import SELF_REVIEW, SELF_REVIEWS, Rights, granted

pytestmark = pytest.mark.cluster

OWN_EXTRAS = {
    "Extra-kzproxy.dev%2Fsession-id": "s-1",
    "Extra-kzproxy.dev%2Fdevice-id": "d-1",
    "Extra-kzproxy.dev%2Fdecision-id": "e-1",
}


@pytest.fixture(scope="module")
def forms(
    control_plane: ControlPlane,
    administrator: httpx.Client,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Rights]]:
    """An account of each form, with a namespace of its own."""
    with ExitStack() as stack:
        rights: dict[str, Rights] = {}
        for form in ("constrained", "legacy"):
            namespace = stack.enter_context(fresh_namespace(administrator, prefix=form))
            kubectl = Kubectl.of(control_plane).using(namespace=namespace)
            directory = tmp_path_factory.mktemp(form)
            rights[form] = stack.enter_context(granted(form, control_plane, kubectl, directory))
        yield rights


@pytest.fixture(params=["constrained", "legacy"])
def rights(request: pytest.FixtureRequest, forms: dict[str, Rights]) -> Rights:
    return forms[request.param]


def message(answer: httpx.Response) -> str:
    return str(answer.json()["message"])


def test_without_impersonation_it_can_read_nothing(rights: Rights) -> None:
    namespaced = f"/api/v1/namespaces/{rights.namespace}"
    for path in (
        f"{namespaced}/pods",
        f"{namespaced}/secrets",
        f"{namespaced}/configmaps",
        f"{namespaced}/serviceaccounts/kzproxy",
        "/api/v1/secrets",
        "/api/v1/nodes",
        "/api/v1/namespaces",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles",
        "/metrics",
        "/logs/",
    ):
        assert rights.account.get(path).status_code == 403, path


def test_without_impersonation_it_can_write_nothing(rights: Rights) -> None:
    namespaced = f"/api/v1/namespaces/{rights.namespace}"
    for path in (
        f"{namespaced}/configmaps",
        f"{namespaced}/pods",
        f"{namespaced}/serviceaccounts/kzproxy/token",
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
        "/apis/authentication.k8s.io/v1/tokenreviews",
        "/apis/authorization.k8s.io/v1/subjectaccessreviews",
    ):
        assert rights.account.post(path, json={}).status_code == 403, path


def test_a_blank_user_is_no_impersonation_and_reads_nothing(rights: Rights) -> None:
    """The one way in which impersonation fails open leads to an account with no rights."""
    answer = rights.read_pods(httpx.Headers({"Impersonate-User": ""}))
    assert answer.status_code == 403
    assert f'User "system:serviceaccount:{rights.namespace}:kzproxy" cannot list' in message(answer)


def test_its_rules_are_discovery_reviews_of_itself_and_impersonation(rights: Rights) -> None:
    """What ``kubectl auth can-i --list`` shows."""
    review = rights.account.post(
        "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
        json={
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectRulesReview",
            "spec": {"namespace": rights.namespace},
        },
    )
    status: dict[str, Any] = review.json()["status"]
    assert not status["incomplete"]
    assert len(status["resourceRules"]) > 2
    for rule in status["resourceRules"]:
        if not all(verb.startswith("impersonate") for verb in rule["verbs"]):
            assert rule["verbs"] == ["create"]
            assert set(rule["resources"]) <= {
                "selfsubjectreviews",
                "selfsubjectaccessreviews",
                "selfsubjectrulesreviews",
            }
    for rule in status["nonResourceRules"]:
        if not all(verb.startswith("impersonate") for verb in rule["verbs"]):
            assert rule["verbs"] == ["get"]
            assert "*" not in rule["nonResourceURLs"]
            assert "/metrics" not in rule["nonResourceURLs"]


def test_it_is_whom_the_headers_name(rights: Rights) -> None:
    headers = rights.acting_as(
        "alice", "oidc:developers", "system:authenticated", Uid="u-1", **OWN_EXTRAS
    )
    answer = rights.account.post(SELF_REVIEWS, json=SELF_REVIEW, headers=headers)
    assert answer.status_code == 201
    assert answer.json()["status"]["userInfo"] == {
        "username": "alice",
        "uid": "u-1",
        "groups": ["oidc:developers", "system:authenticated"],
        "extra": {
            "kzproxy.dev/session-id": ["s-1"],
            "kzproxy.dev/device-id": ["d-1"],
            "kzproxy.dev/decision-id": ["e-1"],
        },
    }


def test_it_can_do_what_that_user_can_and_no_more(rights: Rights) -> None:
    alice = rights.acting_as("alice", **OWN_EXTRAS)
    configmaps = f"/api/v1/namespaces/{rights.namespace}/configmaps"
    made = rights.account.post(configmaps, json={"metadata": {"name": "c"}}, headers=alice)
    assert made.status_code == 201
    patched = rights.account.patch(
        f"{configmaps}/c",
        content=b'{"data":{"a":"b"}}',
        headers=[*alice.items(), ("Content-Type", "application/merge-patch+json")],
    )
    assert patched.status_code == 200
    changed = rights.account.put(f"{configmaps}/c", json=patched.json(), headers=alice)
    assert changed.status_code == 200
    assert rights.account.delete(f"{configmaps}/c", headers=alice).status_code == 200
    assert rights.account.delete(configmaps, headers=alice).status_code == 200
    assert rights.account.get("/version", headers=alice).status_code == 200
    refused = rights.account.get("/api/v1/nodes", headers=alice)
    assert refused.status_code == 403
    assert 'User "alice" cannot list' in message(refused)


def test_a_group_counts(rights: Rights) -> None:
    assert rights.read_pods(rights.acting_as("bob", "oidc:developers")).status_code == 200
    assert rights.read_pods(rights.acting_as("bob")).status_code == 403


@pytest.mark.parametrize("groups", [("system:masters",), ("oidc:developers", "system:masters")])
def test_it_cannot_become_an_administrator(rights: Rights, groups: tuple[str, ...]) -> None:
    answer = rights.read_pods(rights.acting_as("alice", *groups))
    assert answer.status_code == 403
    assert "cannot impersonate" in message(answer)


def test_it_cannot_become_a_service_account(rights: Rights) -> None:
    answer = rights.read_pods(rights.acting_as("system:serviceaccount:kube-system:default"))
    assert answer.status_code == 403
    assert "impersonate" in message(answer)


def test_it_cannot_become_a_node(rights: Rights) -> None:
    answer = rights.read_pods(rights.acting_as("system:node:node-a", "system:nodes"))
    assert answer.status_code == 403
    assert "impersonate" in message(answer)


def test_it_cannot_send_an_extra_that_is_not_named(rights: Rights) -> None:
    headers = rights.acting_as(
        "alice", **{"Extra-authentication.kubernetes.io%2Fnode-name": "node-a"}
    )
    answer = rights.read_pods(headers)
    assert answer.status_code == 403
    assert "cannot impersonate" in message(answer)


def test_in_the_legacy_form_it_cannot_join_a_group_that_is_not_named(
    forms: dict[str, Rights],
) -> None:
    rights = forms["legacy"]
    answer = rights.read_pods(rights.acting_as("alice", "system:nodes"))
    assert answer.status_code == 403
    assert "cannot impersonate" in message(answer)


def test_in_the_constrained_form_the_api_server_says_so_in_its_audit_log(
    forms: dict[str, Rights], audit_log: AuditLog
) -> None:
    rights = forms["constrained"]
    audit_id = f"constrained-{rights.namespace}"
    headers = [*rights.acting_as("alice").multi_items(), ("Audit-ID", audit_id)]
    assert rights.account.get("/version", headers=headers).status_code == 200
    metadata = audit_log.find(audit_id)["authenticationMetadata"]
    assert metadata["impersonationConstraint"] == "impersonate:user-info"
