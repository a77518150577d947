"""kubectl 1.36 through kzproxy to the real API server."""

import pytest

from tests.proxy.fixtures import Real

pytestmark = pytest.mark.cluster


def test_kubectl_gets_what_its_user_may(real: Real, namespace: str) -> None:
    kubectl = real.kubectl("tess", "testers", namespace=namespace)

    kubectl.out("create", "configmap", "c1", "--from-literal=a=b")
    assert "c1" in kubectl.out("get", "configmaps")
    who = kubectl.out("auth", "whoami")
    assert "t:tess" in who
    assert "t:testers" in who
    assert "kzproxy.dev/session-id" in who


def test_the_api_servers_audit_log_and_ours_join_one_to_one(real: Real, namespace: str) -> None:
    mark = real.audit_log.mark()
    real.kubectl("joan", "testers", namespace=namespace).out("get", "secrets")
    mine = {record["audit_id"]: record for record in real.world.proxy.decisions_of("t:joan")}
    for audit_id in mine:
        real.audit_log.find(audit_id, mark=mark)  # The last one may trail its answer.
    account = "system:serviceaccount:kzproxy:kzproxy"
    theirs = {
        event["auditID"]: event
        for event in real.audit_log.by_user(account, mark=mark)
        if event.get("impersonatedUser", {}).get("username") == "t:joan"
    }

    assert mine
    assert mine.keys() == theirs.keys()
    for audit_id, event in theirs.items():
        extra = event["impersonatedUser"]["extra"]
        assert extra["kzproxy.dev/session-id"] == [mine[audit_id]["user"]["session"]]
        assert event["sourceIPs"][0] == "127.0.0.1"


def test_kubectl_is_told_why_not(real: Real, namespace: str) -> None:
    done = real.kubectl("rita", "readers", namespace=namespace)("get", "secrets")

    assert done.returncode == 1
    text = done.stderr.decode()
    assert text.startswith("Error from server (Forbidden): ")
    assert 'User "t:rita" cannot list resource "secrets"' in text
    assert "no kzproxy rule allows it" in text
    assert "audit id" in text
