"""A challenge in a session: refused, told at the renewal, signed in again as wanted, served."""

from collections.abc import Iterator

import pytest
import yaml

from kzproxy.demo.idp_grants import PLAIN_CLASS, STRONG_CLASS
from tests.proxy.sign_in_world import POLICY, Machine, SignInWorld, running_sign_in_world
from tests.servers.authority import Authority
from tests.servers.scripted_api_server import scripted_api_server

STRONG, OTHERS = "/api/v1/namespaces/strong/pods", "/api/v1/namespaces/default/pods"
RULES = [
    {
        "id": "strong-sign-ins",
        "effect": "allow",
        "subjects": {"groups": ["idp:operators"]},
        "match": [
            {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["strong"]}
        ],
        "obligations": {"mfa": {"classes": [STRONG_CLASS], "maxAge": "1h"}},
    },
    {
        "id": "others",
        "effect": "allow",
        "subjects": {"groups": ["idp:operators"]},
        "match": [
            {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["default"]}
        ],
    },
]
COMMAND = f"kzproxy login --acr {STRONG_CLASS} --max-age 1h"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignInWorld]:
    directory, authority = tmp_path_factory.mktemp("step-up"), Authority.root()
    (directory / "strong.yaml").write_text(yaml.safe_dump(POLICY | {"rules": RULES}))
    with (
        scripted_api_server(directory, authority) as server,
        running_sign_in_world(
            directory, authority, server.upstream(), policyFiles=["strong.yaml"]
        ) as world,
    ):
        yield world


def challenged(machine: Machine) -> None:
    answer = machine.ask(STRONG)
    assert answer.status == 401
    assert f"`{COMMAND}`" in answer.message
    (header,) = answer.headers["www-authenticate"]
    assert header.endswith(f', acr_values="{STRONG_CLASS}", max_age="3600"')
    (record,) = machine.world.proxy.records_of(answer.audit_id)
    assert (record["decision"], record["user"]["method"]) == ("challenge", "session")
    assert record["user"]["authentication_class"] == PLAIN_CLASS


def test_the_next_renewal_says_what_sign_in_is_wanted(world: SignInWorld) -> None:
    machine = world.machine().signed_in()
    assert machine.ask(OTHERS).status == 200
    challenged(machine)

    # It is written within a second; until then renewals go on as they do.
    response = machine.renew()
    while response.status_code == 200:
        machine.take(response)
        challenged(machine)
        response = machine.renew()
    said = response.json()
    assert said["error"] == "invalid_grant"
    assert (said["acr_values"], said["max_age"]) == (STRONG_CLASS, 3600)
    assert f"`{COMMAND}`" in said["error_description"]

    # Who does not sign in again goes on with all that needs no more.
    machine.take(machine.renew())
    assert machine.ask(OTHERS).status == 200


def test_whoever_signs_in_so_is_served(world: SignInWorld) -> None:
    machine = world.machine().signed_in(acr_values=STRONG_CLASS, max_age="3600")
    answer = machine.ask(STRONG)
    assert answer.status == 200, answer.body
    record, _ = world.proxy.finished(answer.audit_id)
    assert (record["rule"], record["user"]["authentication_class"]) == (
        "strong-sign-ins",
        STRONG_CLASS,
    )
