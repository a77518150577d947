"""Who a client is behind load balancers, told by a real ``kzproxy serve``: policy, log, limits."""

import re
import socket
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
from tests.servers.proxy_header import SIGNATURE, UNIX, header, local, proxied
from tests.servers.scripted_api_server import scripted_api_server

PODS = "/api/v1/namespaces/a/pods"
SECRETS = "/api/v1/namespaces/a/secrets"
PROXY, HOP, CLIENT = "127.0.0.2", "127.0.0.3", "127.0.0.4"
OFFICE, ELSEWHERE, CROWD = "192.0.2.7", "198.51.100.7", "198.51.100.99"


def policy() -> dict:
    from_office = {
        "id": "office-secrets",
        "effect": "allow",
        "subjects": {"groups": ["t:office"]},
        "match": [{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["secrets"]}],
        "conditions": {"networks": ["office"]},
    }
    return {
        **POLICY,
        "networks": {"office": ["192.0.2.0/24"]},
        "rules": [*POLICY["rules"], from_office],
    }


def scene(tmp_path_factory: pytest.TempPathFactory, mode: dict) -> Iterator[Scripted]:
    directory = tmp_path_factory.mktemp("client-address")
    authority = Authority.root()
    with (
        issuer_in_thread(directory, authority) as issuer,
        scripted_api_server(directory, authority) as api_server,
    ):
        settings = configuration(directory, authority, issuer, api_server.upstream())
        (directory / "policy.yaml").write_text(yaml.safe_dump(policy()))
        settings["listen"]["clientAddress"] = mode
        settings["limits"] = {"connectionsPerAddress": 4, "handshakeTimeoutSeconds": 6}
        with running_proxy(directory, settings) as proxy:
            yield Scripted(World(directory, authority, issuer, proxy), api_server)


@pytest.fixture(scope="module")
def behind_balancer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripted]:
    yield from scene(tmp_path_factory, {"proxyProtocol": {"from": [f"{PROXY}/32"]}})


@pytest.fixture(scope="module")
def behind_hops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripted]:
    hops = {"forwardedFor": {"from": [f"{HOP}/32", "10.0.0.0/8"]}}
    yield from scene(tmp_path_factory, hops)


def ask(
    scripted: Scripted, target: str, *headers: str, source: str, preamble: bytes = b""
) -> Answer:
    token = scripted.world.token("ann", "office", "readers")
    with scripted.world.client(source=source, preamble=preamble) as client:
        return client.ask(request("GET", target, token, *headers))


def source_of(scripted: Scripted, answer: Answer) -> dict:
    return scripted.world.proxy.records_of(answer.audit_id)[0]["source"]


def hung_up_on(scripted: Scripted, *pieces: bytes, pause: float = 0, source: str = PROXY) -> float:
    """Send bytes instead of a header, each piece after a pause; return when kzproxy closed."""
    begun = time.monotonic()
    address = ("127.0.0.1", scripted.world.proxy.port)
    try:
        with socket.create_connection(address, timeout=20, source_address=(source, 0)) as sock:
            for piece in pieces:
                time.sleep(pause)
                sock.sendall(piece)
            received = sock.recv(1)
    except (ConnectionResetError, BrokenPipeError):
        received = b""
    assert received == b""
    return time.monotonic() - begun


def test_policy_log_and_kube_apiserver_are_told_whom_the_balancer_connects_for(
    behind_balancer: Scripted,
) -> None:
    behind_balancer.api_server.heads.clear()
    answer = ask(behind_balancer, SECRETS, source=PROXY, preamble=proxied(OFFICE, 4711))

    assert answer.status == 200
    assert source_of(behind_balancer, answer) == {"address": OFFICE, "port": 4711, "via": PROXY}
    (head,) = behind_balancer.api_server.heads
    assert f"\r\nx-forwarded-for: {OFFICE}\r\n".encode() in head.lower()
    elsewhere = ask(behind_balancer, SECRETS, source=PROXY, preamble=proxied(ELSEWHERE))
    assert elsewhere.status == 403
    assert f"you come from {ELSEWHERE}" in elsewhere.message


def test_a_header_of_the_client_counts_for_nothing_behind_a_balancer(
    behind_balancer: Scripted,
) -> None:
    answer = ask(
        behind_balancer,
        SECRETS,
        f"X-Forwarded-For: {OFFICE}",
        source=PROXY,
        preamble=proxied(ELSEWHERE),
    )

    assert answer.status == 403


def test_a_balancer_that_checks_our_health_is_itself(behind_balancer: Scripted) -> None:
    answer = ask(behind_balancer, PODS, source=PROXY, preamble=local())

    assert answer.status == 200
    assert source_of(behind_balancer, answer)["address"] == PROXY
    assert "via" not in source_of(behind_balancer, answer)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"PROXY TCP4 192.0.2.7 127.0.0.1 40000 443\r\n" + b"\x16\x03\x01", id="v1"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 40, id="tls"),
        pytest.param(header(1, UNIX, b"\0" * 216), id="unix"),
        pytest.param(SIGNATURE + b"\x21\x11\xff\xff", id="oversized"),
        pytest.param(proxied(OFFICE) + proxied(OFFICE), id="two-headers"),
    ],
)
def test_a_connection_without_a_header_that_serves_is_closed(
    behind_balancer: Scripted, data: bytes
) -> None:
    proxy = behind_balancer.world.proxy
    before = counted(proxy, "kzproxy_handshake_failures_total")

    assert hung_up_on(behind_balancer, data) < 5
    assert counted(proxy, "kzproxy_handshake_failures_total") == before + 1


@pytest.mark.parametrize("data", [b"", proxied(OFFICE)[:20]], ids=["nothing", "half"])
def test_a_header_that_never_ends_is_hung_up_on(behind_balancer: Scripted, data: bytes) -> None:
    assert 5 < hung_up_on(behind_balancer, data) < 12


def test_header_and_handshake_have_one_deadline(behind_balancer: Scripted) -> None:
    """A peer that uses up most of it on its header does not get it anew for TLS."""
    data = proxied(OFFICE)
    pieces = [data[place : place + 7] for place in range(0, len(data), 7)]

    # Its header takes 5 s of the 6: anew for TLS would make 11.
    assert 5 < hung_up_on(behind_balancer, *pieces, pause=1.25) < 10.5


def test_nobody_else_connects_with_a_header_or_without(behind_balancer: Scripted) -> None:
    proxy = behind_balancer.world.proxy
    refused = 'kzproxy_connections_refused_total{limit="unlisted"}'
    before = counted(proxy, refused)

    hung_up_on(behind_balancer, proxied(OFFICE), source=CLIENT)
    hung_up_on(behind_balancer, b"\x16\x03\x01\x02\x00\x01", source=CLIENT)
    assert counted(proxy, refused) == before + 2
    assert "not in listen.clientAddress.proxyProtocol.from" in proxy.diagnostics


def test_each_client_behind_the_balancer_has_its_own_share(behind_balancer: Scripted) -> None:
    world = behind_balancer.world
    refused = 'kzproxy_connections_refused_total{limit="address"}'
    before = counted(world.proxy, refused)
    held = [world.client(source=PROXY, preamble=proxied(CROWD, n)) for n in range(4)]
    try:
        hung_up_on(behind_balancer, proxied(CROWD, 9))
        assert counted(world.proxy, refused) == before + 1
        assert ask(behind_balancer, PODS, source=PROXY, preamble=proxied(ELSEWHERE)).status == 200
    finally:
        for client in held:
            client.tls.close()
    deadline = time.monotonic() + 10
    while counted(world.proxy, "kzproxy_connections") > 0:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert ask(behind_balancer, PODS, source=PROXY, preamble=proxied(CROWD)).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([f"X-Forwarded-For: {OFFICE}"], id="one"),
        pytest.param([f"X-Forwarded-For: {ELSEWHERE}, {OFFICE}, 10.1.2.3"], id="forged-and-chain"),
        pytest.param([f"X-Forwarded-For: {ELSEWHERE}", f"X-Forwarded-For: {OFFICE}"], id="two"),
        pytest.param([f"X-Forwarded-For: ::ffff:{OFFICE}"], id="mapped"),
    ],
)
def test_a_listed_proxy_says_whom_a_request_comes_from(
    behind_hops: Scripted, headers: list[str]
) -> None:
    behind_hops.api_server.heads.clear()
    answer = ask(behind_hops, SECRETS, *headers, source=HOP)

    assert answer.status == 200
    assert source_of(behind_hops, answer) == {"address": OFFICE, "port": 0, "via": HOP}
    (head,) = behind_hops.api_server.heads
    assert re.findall(rb"\r\nx-forwarded-for: (.*)\r\n", head.lower()) == [OFFICE.encode()]


def test_a_spoofed_header_of_somebody_else_is_ignored_and_stripped(behind_hops: Scripted) -> None:
    behind_hops.api_server.heads.clear()
    answer = ask(behind_hops, SECRETS, f"X-Forwarded-For: {OFFICE}", source=CLIENT)
    assert answer.status == 403
    assert source_of(behind_hops, answer)["address"] == CLIENT

    read = ask(behind_hops, PODS, f"X-Forwarded-For: {OFFICE}", source=CLIENT)
    (head,) = behind_hops.api_server.heads
    assert read.status == 200
    assert OFFICE.encode() not in head


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([], id="none"),
        pytest.param([f"X-Forwarded-For: {OFFICE}:4711"], id="port"),
        pytest.param([f"X-Forwarded-For: {OFFICE}", "X-Forwarded-For: unknown"], id="garbage-last"),
        pytest.param(["X-Forwarded-For: fe80::1%25eth0"], id="zone"),
        pytest.param([f"X-Real-IP: {OFFICE}"], id="another-header"),
        pytest.param([f"Forwarded: for={OFFICE}"], id="forwarded"),
    ],
)
def test_a_listed_proxy_that_does_not_say_it_in_one_way_is_refused(
    behind_hops: Scripted, headers: list[str]
) -> None:
    answer = ask(behind_hops, SECRETS, *headers, source=HOP)

    assert answer.status == 400
    assert "X-Forwarded-For" in answer.message
    (record,) = behind_hops.world.proxy.records_of(answer.audit_id)
    assert (record["cause"], record["source"]["address"]) == ("bad-request", HOP)


def test_requests_of_several_clients_on_one_connection_are_told_apart(
    behind_hops: Scripted,
) -> None:
    token = behind_hops.world.token("ann", "office", "readers")

    def secrets(address: str) -> bytes:
        return request("GET", SECRETS, token, f"X-Forwarded-For: {address}")

    with behind_hops.world.client(source=HOP) as client:
        asked = [OFFICE, ELSEWHERE, OFFICE, ELSEWHERE]
        assert [client.ask(secrets(each)).status for each in asked] == [200, 403, 200, 403]


def test_the_certificate_of_a_proxy_is_not_its_clients(behind_hops: Scripted) -> None:
    """Such a proxy ends TLS: the device that it shows is itself."""
    world = behind_hops.world
    token = world.token("dev", "enrolled")
    asked = request("GET", "/api/v1/namespaces/a/configmaps", token, f"X-Forwarded-For: {OFFICE}")
    certificate = world.device("a-proxy")
    with world.client(source=CLIENT, certificate=certificate) as client:
        assert client.ask(asked).status == 200
    with world.client(source=HOP, certificate=certificate) as client:
        assert client.ask(asked).status == 403
