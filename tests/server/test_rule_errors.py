"""A rule that cannot be judged lets nobody in, keeps out whom it may mean, and is counted."""

import time
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
# The tokens of the test issuer do not say when their users signed in.
FRESH = 'authentication.age < duration("1h")'


def rule(name: str, effect: str, group: str) -> dict[str, Any]:
    return {
        "id": name,
        "effect": effect,
        "subjects": {"groups": [f"t:{group}"]},
        "match": [{"verbs": ["list"], "apiGroups": [""], "resources": ["pods"]}],
        "when": FRESH,
    }


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory, authority = tmp_path_factory.mktemp("errors"), Authority.root()
    rules = [rule("fresh", "allow", "fresh"), rule("stale", "deny", "stale"), *POLICY["rules"]]
    with (
        issuer_in_thread(directory, authority) as issuer,
        scripted_api_server(directory, authority) as api_server,
    ):
        settings = configuration(directory, authority, issuer, api_server.upstream())
        (directory / "policy.yaml").write_text(yaml.safe_dump(POLICY | {"rules": rules}))
        with running_proxy(directory, settings) as proxy:
            yield World(directory, authority, issuer, proxy)


def asked(world: World, *groups: str, **claims: object) -> tuple[int, dict[str, Any]]:
    with world.client() as client:
        client.tls.sendall(request("GET", PODS, world.token("ann", *groups, **claims)))
        answer = client.answer()
    return answer.status, world.proxy.records_of(answer.audit_id)[0]


def counted(world: World, name: str) -> float:
    wanted = f'kzproxy_policy_rule_errors_total{{rule="{name}"}}'
    lines = world.proxy.ops("/metrics")[1].splitlines()
    return next((float(line.split()[-1]) for line in lines if line.startswith(wanted)), 0.0)


def test_an_allow_rule_does_not_match_and_others_may(world: World) -> None:
    status, record = asked(world, "fresh")
    assert (status, record["cause"]) == (403, "no-rule")
    assert [each["rule"] for each in record["errors"]] == ["fresh"]
    assert counted(world, "fresh") == 1

    for number in (2, 3):
        status, record = asked(world, "fresh", "testers")
        assert (status, record["rule"]) == (200, "testers-everything")
        assert counted(world, "fresh") == number


def test_a_deny_rule_denies(world: World) -> None:
    status, record = asked(world, "stale", "testers")
    assert (status, record["cause"], record["rule"]) == (403, "rule-error", "stale")
    assert counted(world, "stale") == 1


def test_where_it_can_be_judged_nothing_is_counted(world: World) -> None:
    before = counted(world, "fresh")
    status, record = asked(world, "fresh", auth_time=int(time.time()))
    assert (status, record["rule"]) == (200, "fresh")
    assert counted(world, "fresh") == before
