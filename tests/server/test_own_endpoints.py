"""What lies below kzproxy's own path is answered here and never sent to kube-apiserver."""

import pytest

from tests.proxy.fixtures import Scripted
from tests.proxy.world import request

UNKNOWN = [
    "/kzproxy.dev",
    "/kzproxy.dev/v1",
    "/kzproxy.dev/v1/nothing",
    "/kzproxy.dev/v1/nothing/more",
    "/kzproxy%2Edev/v1/nothing",
    "/kzproxy.dev/v2/reason",
]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD"])
@pytest.mark.parametrize("target", UNKNOWN)
def test_what_is_not_there_is_not_found_and_not_forwarded(
    scripted: Scripted, method: str, target: str
) -> None:
    world = scripted.world
    with world.client() as client:
        asked = request(method, target, world.token("owner", "testers"))
        answer = client.ask(asked, to_head=method == "HEAD")

    assert answer.status == 404
    assert scripted.api_server.heads == []
    (record,) = world.proxy.records_of(answer.audit_id)
    assert (record["decision"], record["cause"]) == ("refused", "not-served")
    assert record["user"]["name"] == "t:owner"


def test_who_is_not_known_is_told_nothing(scripted: Scripted) -> None:
    with scripted.world.client() as client:
        assert client.ask(request("GET", "/kzproxy.dev/v1/nothing")).status == 401


def test_a_token_bound_to_another_certificate_is_refused(scripted: Scripted) -> None:
    world = scripted.world
    token = world.token("owner", cnf={"x5t#S256": "A" * 43})
    with world.client() as client:
        assert client.ask(request("GET", "/kzproxy.dev/v1/nothing", token)).status == 401


def test_an_upgrade_is_refused(scripted: Scripted) -> None:
    world = scripted.world
    lines = ("Connection: Upgrade", "Upgrade: SPDY/3.1")
    with world.client() as client:
        asked = request("POST", "/kzproxy.dev/v1/nothing", world.token("owner"), *lines)
        assert client.ask(asked).status == 400
    assert scripted.api_server.heads == []
