"""``kubectl --as``: refused whoever asks, and the decision log says who that was."""

import pytest

from tests.proxy.fixtures import Scripted
from tests.proxy.world import request

PODS = "/api/v1/namespaces/a/pods"


def test_who_asked_to_impersonate_what_is_in_the_log(scripted: Scripted) -> None:
    world = scripted.world
    with world.client() as client:
        asked = request("GET", PODS, world.token("mallory", "testers"), "Impersonate-User: bob")
        got = client.ask(asked)

    assert got.status == 403
    assert "impersonate-user" in got.message
    assert scripted.api_server.heads == []
    (record,) = world.proxy.records_of(got.audit_id)
    assert (record["decision"], record["cause"]) == ("refused", "forbidden")
    assert (record["user"]["name"], record["request"]["verb"]) == ("t:mallory", "list")
    assert record["request"]["target"] == PODS
    assert record["user"]["session"]


def test_who_is_not_known_is_told_nothing_of_it(scripted: Scripted) -> None:
    world = scripted.world
    with world.client() as client:
        got = client.ask(request("GET", PODS, "", "Impersonate-User: bob"))

    assert got.status == 401
    assert scripted.api_server.heads == []
    (record,) = world.proxy.records_of(got.audit_id)
    assert (record["decision"], record["cause"]) == ("refused", "unauthenticated")


@pytest.mark.parametrize("repeats", [3])
def test_it_is_refused_each_time_and_never_remembered(scripted: Scripted, repeats: int) -> None:
    world = scripted.world
    token = world.token("mallory", "testers")
    for _ in range(repeats):
        with world.client() as client:
            assert client.ask(request("GET", PODS, token, "Impersonate-User: bob")).status == 403
        with world.client() as client:
            assert client.ask(request("GET", PODS, token)).status == 200
    assert len(scripted.api_server.heads) == repeats
