"""A session that moves, at a real kzproxy: its streams end at once, and it may come back."""

import time
from pathlib import Path

import yaml

from tests.limits.told import counted
from tests.proxy.raw_client import Answer, RawClient
from tests.proxy.sign_in_world import Machine, SignInWorld, running_sign_in_world
from tests.proxy.world import request
from tests.servers.authority import Authority
from tests.servers.scripted_api_server import Connection, scripted_api_server

SECRETS = "/api/v1/namespaces/a/secrets"
HOME, AWAY = "127.0.0.1", "127.0.0.5"
STAYS = {
    "id": "stays",
    "effect": "allow",
    "subjects": {"groups": ["system:authenticated"]},
    "match": [{"verbs": ["list", "watch"], "apiGroups": [""], "resources": ["secrets"]}],
    "conditions": {"session": {"sameAddress": True}},
}
POLICY = {
    "apiVersion": "kzproxy.dev/v1",
    "kind": "AccessPolicy",
    "metadata": {"name": "moves"},
    "rules": [STAYS],
}


def put_policy(world: SignInWorld) -> None:
    reloads = 'kzproxy_config_reloads_total{outcome="success"}'
    before = counted(world.proxy, reloads)
    new = world.directory / "policy.new"
    new.write_text(yaml.safe_dump(POLICY))
    new.rename(world.directory / "policy.yaml")
    deadline = time.monotonic() + 15
    while counted(world.proxy, reloads) == before:
        assert time.monotonic() < deadline, world.proxy.diagnostics
        time.sleep(0.05)


def client(machine: Machine, source: str) -> RawClient:
    world = machine.world
    return RawClient(world.proxy.port, world.ca_file, certificate=machine.files(), source=source)


def listed(machine: Machine, source: str) -> Answer:
    with client(machine, source) as connection:
        return connection.ask(request("GET", SECRETS, machine.token))


def stay_open(connection: Connection, head: bytes) -> None:
    if b"watch=1" in head.partition(b"\r\n")[0]:
        answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        connection.send(answer + b"Transfer-Encoding: chunked\r\n\r\n")
        time.sleep(20)
    else:
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")


def test_the_streams_of_a_session_that_turns_up_elsewhere_end(tmp_path: Path) -> None:
    authority = Authority.root()
    with (
        scripted_api_server(tmp_path, authority) as api_server,
        running_sign_in_world(tmp_path, authority, api_server.upstream()) as world,
    ):
        api_server.script = stay_open
        put_policy(world)
        machine, other = (world.machine(HOME).signed_in(user) for user in ("operator", "developer"))
        assert listed(machine, HOME).status == 200
        with client(machine, HOME) as stream, client(other, HOME) as bystander:
            for one, who in ((stream, machine), (bystander, other)):
                one.send(request("GET", f"{SECRETS}?watch=1", who.token))
                assert one.tls.recv(65536).startswith(b"HTTP/1.1 200 ")

            begun = time.monotonic()
            refused = listed(machine, AWAY)
            received = b""
            while more := stream.tls.recv(65536):
                received += more
            assert time.monotonic() - begun < 10, "kube-apiserver ended it"
            assert bystander.is_quiet()

        words = f"signed in from {HOME}, and is at {AWAY}"
        assert (refused.status, words in refused.message) == (403, True)
        assert words.encode() in received
        record = world.proxy.records_of(refused.audit_id)[0]
        assert record["user"]["signed_in_from"] == HOME
        assert record["user"]["seen_from"] == AWAY
        assert "moved" in record["depends_on"]
        assert listed(machine, HOME).status == 200, "it has come back"
