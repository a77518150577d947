"""Countries and autonomous systems of a real ``kzproxy serve``, whose databases change."""

import re
import time
from collections.abc import Iterator

import pytest
import yaml

from tests.limits.told import counted
from tests.proxy.fixtures import Scripted
from tests.proxy.issuer_thread import issuer_in_thread
from tests.proxy.process import running_proxy
from tests.proxy.raw_client import Answer
from tests.proxy.world import POLICY, World, configuration, request
from tests.servers.authority import Authority
from tests.servers.mmdb import countries, replace, systems
from tests.servers.proxy_header import proxied
from tests.servers.scripted_api_server import Connection, scripted_api_server

SECRETS, SERVICES = "/api/v1/namespaces/a/secrets", "/api/v1/namespaces/a/services"
HERE, THERE, UNKNOWN = "192.0.2.7", "198.51.100.7", "203.0.113.7"
GEO = countries({"192.0.2.0/24": "DE", "198.51.100.0/24": "AT"})
RULES = [
    {
        "id": "german-secrets",
        "effect": "allow",
        "subjects": {"groups": ["t:located"]},
        "match": [{"verbs": ["get", "list", "watch"], "apiGroups": [""], "resources": ["secrets"]}],
        "conditions": {"countries": ["DE"]},
    },
    {
        "id": "services",
        "effect": "allow",
        "subjects": {"groups": ["t:located"]},
        "match": [{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["services"]}],
    },
    {
        "id": "not-from-there",
        "effect": "deny",
        "subjects": {"groups": ["t:located"]},
        "match": [{"verbs": ["*"], "apiGroups": [""], "resources": ["services"]}],
        "conditions": {"asns": [64500]},
    },
]


@pytest.fixture(scope="module")
def located(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripted]:
    directory = tmp_path_factory.mktemp("location")
    authority = Authority.root()
    with (
        issuer_in_thread(directory, authority) as issuer,
        scripted_api_server(directory, authority) as api_server,
    ):
        settings = configuration(directory, authority, issuer, api_server.upstream())
        policy = {**POLICY, "rules": [*POLICY["rules"], *RULES]}
        (directory / "policy.yaml").write_text(yaml.safe_dump(policy))
        (directory / "geo.mmdb").write_bytes(GEO)
        (directory / "asn.mmdb").write_bytes(systems({"192.0.2.0/24": 64500, "198.51.100.0/24": 1}))
        settings["listen"]["clientAddress"] = {"proxyProtocol": {"from": ["127.0.0.1/32"]}}
        settings["location"] = {"database": "geo.mmdb", "asnDatabase": "asn.mmdb"}
        with running_proxy(directory, settings) as proxy:
            yield Scripted(World(directory, authority, issuer, proxy), api_server)


def ask(located: Scripted, target: str, source: str) -> Answer:
    token = located.world.token("ann", "located")
    with located.world.client(preamble=proxied(source)) as client:
        return client.ask(request("GET", target, token))


def put(located: Scripted, content: bytes, outcome: str) -> None:
    """Put another database in place, and wait until kzproxy has looked at it."""
    proxy = located.world.proxy
    name = f'kzproxy_config_reloads_total{{outcome="{outcome}"}}'
    before = counted(proxy, name)
    replace(located.world.directory / "geo.mmdb", content)
    deadline = time.monotonic() + 15
    while counted(proxy, name) == before:
        assert time.monotonic() < deadline, proxy.diagnostics
        time.sleep(0.05)


@pytest.mark.parametrize(("source", "status"), [(HERE, 200), (THERE, 403), (UNKNOWN, 403)])
def test_a_country_lets_in(located: Scripted, source: str, status: int) -> None:
    assert ask(located, SECRETS, source).status == status


@pytest.mark.parametrize(("source", "status"), [(HERE, 403), (THERE, 200), (UNKNOWN, 403)])
def test_an_autonomous_system_keeps_out_and_so_does_one_that_is_not_known(
    located: Scripted, source: str, status: int
) -> None:
    assert ask(located, SERVICES, source).status == status


def test_the_log_says_where_and_the_user_is_told(located: Scripted) -> None:
    answer = ask(located, SECRETS, THERE)
    (record,) = located.world.proxy.records_of(answer.audit_id)

    assert (record["source"]["country"], record["source"]["asn"]) == ("AT", 1)
    assert "location" in record["depends_on"]
    assert f"wants country DE (you come from AT, by your address {THERE})" in answer.message
    refused = ask(located, "//", THERE)
    assert refused.status == 400
    assert located.world.proxy.records_of(refused.audit_id)[0]["source"]["country"] == "AT"


def test_another_database_judges_requests_and_live_streams_at_once(located: Scripted) -> None:
    def stream(connection: Connection, _: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        connection.send(head + b"Transfer-Encoding: chunked\r\n\r\n")
        time.sleep(20)

    script, located.api_server.script = located.api_server.script, stream
    token = located.world.token("ann", "located")
    try:
        with located.world.client(preamble=proxied(HERE)) as client:
            client.send(request("GET", f"{SECRETS}?watch=1", token))
            received = b""
            while b"\r\n\r\n" not in received:
                received += client.tls.recv(65536)
            put(located, countries({"192.0.2.0/24": "CH"}), "success")
            begun = time.monotonic()
            while more := client.tls.recv(65536):
                received += more
            assert time.monotonic() - begun < 10, "kube-apiserver ended it"
    finally:
        located.api_server.script = script
    assert b'"code":403' in received
    assert re.search(rb"wants country DE \(you come from CH", received)
    assert ask(located, SECRETS, HERE).status == 403
    put(located, GEO, "success")
    assert ask(located, SECRETS, HERE).status == 200


@pytest.mark.parametrize(
    "content", [b"", b"x" * 4000, GEO[:-80], systems({"192.0.2.0/24": 1})], ids=range(4)
)
def test_a_bad_database_leaves_the_good_one_in_force(located: Scripted, content: bytes) -> None:
    put(located, content, "failure")
    try:
        assert ask(located, SECRETS, HERE).status == 200
        notice = located.world.proxy.ops("/readyz")[1]
        assert "geo.mmdb" in notice
    finally:
        put(located, GEO, "success")


def test_a_database_that_is_written_in_place_ends_nothing(located: Scripted) -> None:
    """A mapped file that is cut short would have the kernel end the process."""
    file = located.world.directory / "geo.mmdb"
    pid = located.world.proxy.pid
    for _ in range(3):
        file.write_bytes(b"")
        assert ask(located, SECRETS, HERE).status == 200
        assert ask(located, SECRETS, f"192.0.2.{pid % 250 + 1}").status == 200
    put(located, GEO, "success")
