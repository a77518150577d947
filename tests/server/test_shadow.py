"""A policy that is asked too, and changes nothing."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.proxy.issuer_thread import issuer_in_thread
from tests.proxy.process import running_proxy
from tests.proxy.world import POLICY, World, configuration, request
from tests.servers.authority import Authority
from tests.servers.scripted_api_server import scripted_api_server

PODS = "/api/v1/namespaces/default/pods"
NOBODY: dict[str, Any] = POLICY | {
    "metadata": {"name": "shadow"},
    "rules": [
        POLICY["rules"][2],
        {
            "id": "no-testers",
            "effect": "deny",
            "subjects": {"groups": ["t:testers"]},
            "match": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
        },
        {
            "id": "anyone",
            "effect": "allow",
            "subjects": {"groups": ["system:authenticated"]},
            "match": [{"verbs": ["get"], "apiGroups": [""], "resources": ["services"]}],
        },
    ],
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory, authority = tmp_path_factory.mktemp("shadow"), Authority.root()
    with (
        issuer_in_thread(directory, authority) as issuer,
        scripted_api_server(directory, authority) as api_server,
    ):
        settings = configuration(directory, authority, issuer, api_server.upstream())
        (directory / "shadow.yaml").write_text(yaml.safe_dump(NOBODY))
        settings["shadowPolicyFiles"] = ["shadow.yaml"]
        with running_proxy(directory, settings) as proxy:
            yield World(directory, authority, issuer, proxy)


def asked(world: World, user: str, group: str, target: str) -> tuple[int, dict[str, Any]]:
    with world.client() as client:
        client.tls.sendall(request("GET", target, world.token(user, group)))
        answer = client.answer()
    return answer.status, world.proxy.records_of(answer.audit_id)[0]


def counted(world: World, decision: str, shadow: str) -> float:
    wanted = f'kzproxy_shadow_disagreements_total{{decision="{decision}",shadow="{shadow}"}}'
    lines = world.proxy.ops("/metrics")[1].splitlines()
    return next((float(line.split()[-1]) for line in lines if line.startswith(wanted)), 0.0)


def test_what_it_would_refuse_is_served_logged_and_counted_each_time(world: World) -> None:
    for number in (1, 2):
        status, record = asked(world, "ann", "testers", PODS)

        assert (status, record["decision"], record["rule"]) == (
            200,
            "permit",
            "testers-everything",
        )
        assert record["shadow"]["decision"] == "deny"
        assert record["shadow"]["rule"] == "no-testers"
        assert record["shadow"]["policy_revision"] != record["policy_revision"]
        assert counted(world, "permit", "deny") == number


def test_what_it_would_permit_is_refused(world: World) -> None:
    status, record = asked(world, "bob", "readers", "/api/v1/namespaces/default/services/s")

    assert (status, record["decision"]) == (403, "deny")
    assert record["shadow"]["decision"] == "permit"
    assert counted(world, "deny", "permit") == 1


def test_where_both_agree_nothing_is_said(world: World) -> None:
    status, record = asked(world, "cleo", "readers", PODS)

    assert status == 200
    assert "shadow" not in record


def test_operators_see_both_revisions(world: World) -> None:
    _, record = asked(world, "ann", "testers", PODS)
    shown = json.loads(world.proxy.ops("/readyz")[1])["in_force"]
    assert shown["policy"] == record["policy_revision"]
    assert shown["shadow"] == record["shadow"]["policy_revision"]
