"""A request that repeats a permitted one: the same checks, records and ends as any other's."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from cryptography.x509 import UniformResourceIdentifier

from kzproxy.authentication.jwks import KeySet
from kzproxy.transport.broken import StreamBroken
from tests.audit.faults import no_file_grows_over
from tests.enforcement.served import PODS, Client, Served, audit_id_of, serving, user_of
from tests.proxy.fixtures import Scripted, not_started
from tests.proxy.world import POLICY, PREFIX, request
from tests.servers.proxy_header import proxied
from tests.servers.scripted_api_server import (
    Connection,
    answer,
    scripted_api_server,
)


async def test_each_repeated_request_has_its_own_decision_and_outcome(served: Served) -> None:
    clients = {user: await served.warmed(served.get(user)) for user in ("ann", "bob")}
    before = served.noted.counts
    answered = []
    for _ in range(3):
        for user, client in clients.items():
            status, headers, _ = await client.ask(served.get(user))
            assert status == 200
            answered.append((headers["audit-id"], PREFIX + user))

    assert served.noted.counts == (before[0], 6, 0)
    await served.check_accounts()
    assert [(audit_id_of(h), user_of(h)) for h in served.api_server.heads][2:] == answered
    for audit_id, user in answered:
        decision, completed = served.by_request()[audit_id]
        assert decision["user"]["name"] == user
        assert (completed["termination"], completed["status_code"]) == ("normal", 200)


# --- What comes between, before its decision is written down -------------------------------------


async def unwritten(served: Served, client: Client, head: bytes) -> None:
    """Send a request; return when it is begun, and its decision not in the log yet."""
    before = served.records()
    served.write_in_turns_of_their_own()
    await client.stream.send(head)
    await served.turn_until(lambda: served.in_flight)
    assert served.records() == before


async def test_what_a_new_policy_denies_before_it_is_written_is_not_sent(served: Served) -> None:
    client = await served.warmed(served.get("ann"))
    await unwritten(served, client, served.get("ann"))
    served.deny_all()
    status, _, _ = await client.answer()

    assert status == 403
    await served.check_accounts()
    assert len(served.api_server.heads) == 1
    assert served.last_outcome()["termination"] == "refused"


async def test_a_client_that_goes_before_its_decision_is_written_has_an_outcome(
    served: Served,
) -> None:
    client = await served.warmed(served.get("ann"))
    await client.stream.send(served.get("ann"))
    client.stream.close()
    await served.until(lambda: len(served.by_request()) == 2)

    await served.check_accounts()
    assert served.last_outcome()["termination"] == "client-gone"


async def test_what_a_connection_that_fails_before_it_is_written_asked_is_not_sent(
    served: Served,
) -> None:
    client = await served.warmed(served.get("ann"))
    await unwritten(served, client, served.get("ann"))
    (connection,) = served.listener._connections
    connection._stream.fail(StreamBroken("failed by the test"))

    await served.check_accounts()
    assert served.last_outcome()["termination"] == "client-gone"
    assert len(served.by_request()) == 2
    assert len(served.api_server.heads) == 1


async def test_a_request_begun_when_a_drain_begins_is_its_connections_last(served: Served) -> None:
    client = await served.warmed(served.get("ann"))
    await unwritten(served, client, served.get("ann"))
    served.listener.stop_accepting()
    status, headers, _ = await client.answer()

    assert (status, headers["connection"]) == (200, "close")
    assert await client.stream.receive() == b""
    await served.serving
    await served.check_accounts()
    assert served.last_outcome()["termination"] == "normal"


# --- What comes between, while kube-apiserver thinks ----------------------------------------------


@pytest.fixture
def thinking(served: Served) -> Iterator[threading.Event]:
    """Set when kube-apiserver has a request after the first; it is never answered."""
    asked, ended = threading.Event(), threading.Event()

    def think(connection: Connection, _: bytes) -> None:
        if len(served.api_server.heads) == 1:
            connection.send(answer(200, b"first"))
            return
        asked.set()
        ended.wait(20)

    served.api_server.script = think
    yield asked
    ended.set()


async def thought_of(served: Served, thinking: threading.Event) -> Client:
    """Return a client whose second request kube-apiserver has, and thinks of."""
    client = await served.warmed(served.get("ann"))
    await client.stream.send(served.get("ann"))
    await served.until(thinking.is_set)
    return client


async def test_a_request_that_is_cut_short_before_it_is_written_has_one_decision(
    served: Served, thinking: threading.Event
) -> None:
    client = await served.warmed(served.get("ann"))
    await unwritten(served, client, served.get("ann"))
    served.listener.cut_short()
    status, _, _ = await client.answer()

    assert status == 503
    await served.check_accounts()
    assert served.last_outcome()["termination"] == "drained"


async def test_a_new_policy_cuts_what_waits_for_its_answer(
    served: Served, thinking: threading.Event
) -> None:
    client = await thought_of(served, thinking)
    served.deny_all()
    status, headers, _ = await client.answer()

    assert (status, headers["connection"]) == (403, "close")
    await served.check_accounts()
    assert served.last_outcome()["termination"] == "policy-cut"
    assert served.last_outcome()["cut"]["cause"] == "no-longer-permitted"


@pytest.mark.parametrize("rudely", [False, True])
async def test_a_client_that_goes_ends_its_wait(
    served: Served, thinking: threading.Event, rudely: bool
) -> None:
    client = await thought_of(served, thinking)
    client.stream.abort() if rudely else client.stream.close()

    await served.check_accounts()
    assert served.last_outcome()["termination"] == "client-gone"


async def test_what_is_cut_short_while_it_waits_is_told(
    served: Served, thinking: threading.Event
) -> None:
    client = await thought_of(served, thinking)
    served.listener.cut_short()
    status, _, body = await client.answer()

    assert status == 503
    assert b"is being restarted and ended this request" in body
    assert await client.stream.receive() == b""
    await served.check_accounts()
    assert served.last_outcome()["termination"] == "drained"


async def test_an_answer_that_is_late_is_a_timeout(
    served: Served, thinking: threading.Event
) -> None:
    client = await thought_of(served, thinking)
    served.clock.ahead += timedelta(seconds=80)
    served.services.deadlines.sweep()
    status, _, _ = await client.answer()

    assert status == 504
    await served.check_accounts()
    assert served.last_outcome()["termination"] == "upstream-timeout"


async def test_an_answer_that_begins_late_has_no_longer_than_any_other(served: Served) -> None:
    begun, ended = threading.Event(), threading.Event()

    def begin_late(connection: Connection, _: bytes) -> None:
        if len(served.api_server.heads) == 1:
            connection.send(answer(200, b"first"))
            return
        begun.wait(5)
        connection.send(b"HTTP/1.1 200 OK\r\n")
        ended.wait(8)

    served.api_server.script = begin_late
    client = await served.warmed(served.get("ann"))
    await client.stream.send(served.get("ann"))
    await served.until(lambda: len(served.api_server.heads) == 2)
    seconds = served.services.limits.upstream.answer_seconds
    served.clock.ahead += timedelta(seconds=seconds - 5)
    begun.set()
    await served.until(lambda: served.noted.handed_over)
    await asyncio.sleep(0.05)
    served.clock.ahead += timedelta(seconds=10)
    served.services.deadlines.sweep()
    status, _, _ = await asyncio.wait_for(client.answer(), 5)
    ended.set()

    assert status == 504
    await served.check_accounts()


# --- What comes between, while its client lags ----------------------------------------------------

LARGE = 15_000


async def lagging(served: Served) -> Client:
    """Return a client whose second answer does not fit into what lies between."""
    served.api_server.script = lambda connection, _: connection.send(answer(200, b"x" * LARGE))
    served.listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
    client = await served.warmed(served.get("ann"), receive_bytes=2048)
    handled, alone, _ = served.noted.counts
    await client.stream.send(served.get("ann"))
    await served.until(lambda: served.noted.counts == (handled, alone, 1))
    await asyncio.sleep(0.05)
    assert served.in_flight == 1
    return client


async def test_a_client_that_lags_gets_all_of_its_answer(served: Served) -> None:
    client = await lagging(served)
    status, _, body = await client.answer()

    assert (status, body) == (200, b"x" * LARGE)
    await served.check_accounts()
    assert served.last_outcome()["termination"] == "normal"
    # The connection to kube-apiserver serves the next.
    assert (await client.ask(served.get("ann")))[0] == 200
    assert served.api_server.connections == 1


async def test_a_new_policy_cuts_an_answer_whose_client_lags(served: Served) -> None:
    client = await lagging(served)
    served.deny_all()
    await served.check_accounts()
    with pytest.raises((StreamBroken, ConnectionError)):
        await client.answer()

    await served.check_accounts()
    assert served.last_outcome()["termination"] == "policy-cut"


async def test_a_client_that_goes_while_it_lags_is_accounted_for(served: Served) -> None:
    client = await lagging(served)
    client.stream.abort()

    await served.check_accounts()
    assert served.last_outcome()["termination"] == "client-gone"


async def test_what_is_cut_short_while_its_client_lags_does_not_look_complete(
    served: Served,
) -> None:
    client = await lagging(served)
    served.listener.cut_short()
    with pytest.raises((StreamBroken, ConnectionError)):
        await client.answer()

    await served.check_accounts()
    assert served.last_outcome()["termination"] == "drained"


async def test_a_client_that_takes_nothing_is_given_up(served: Served) -> None:
    await lagging(served)
    served.services.deadlines.sweep()
    served.clock.ahead += timedelta(seconds=100)
    served.services.deadlines.sweep()

    await served.check_accounts()
    assert served.last_outcome()["termination"] == "client-gone"


# --- Whatever its client sends --------------------------------------------------------------------


async def test_requests_that_come_together_are_answered_in_their_order(served: Served) -> None:
    head = served.get("ann")
    client = await served.warmed(head)
    await client.stream.send(head + head + head[:40])
    answers = [await client.answer(), await client.answer()]
    await client.stream.send(head[40:] + served.get("bob") + head)
    answers += [await client.answer(), await client.answer(), await client.answer()]

    await served.check_accounts()
    assert [status for status, _, _ in answers] == [200] * 5
    sent = [(audit_id_of(head), user_of(head)) for head in served.api_server.heads[1:]]
    users = [PREFIX + user for user in ("ann", "ann", "ann", "bob", "ann")]
    assert sent == [
        (headers["audit-id"], user) for (_, headers, _), user in zip(answers, users, strict=True)
    ]


@pytest.mark.parametrize("size", [20, -1, None], ids=["a-part", "all-but-one", "whole"])
async def test_what_comes_before_the_answer_is_the_next_request(
    served: Served, size: int | None
) -> None:
    asked, go_on = threading.Event(), threading.Event()
    head = served.get("ann")
    client = await served.warmed(head)

    def wait(connection: Connection, _: bytes) -> None:
        asked.set()
        go_on.wait(5)
        connection.send(answer(200, b"%d" % len(served.api_server.heads)))

    served.api_server.script = wait
    await client.stream.send(head)
    await served.until(asked.is_set)
    await client.stream.send(head[:size])
    await asyncio.sleep(0.05)
    go_on.set()
    first = await client.answer()
    if size is not None:
        await client.stream.send(head[size:])
    second = await client.answer()
    third = await client.ask(head)

    assert [body for _, _, body in (first, second, third)] == [b"2", b"3", b"4"]
    await served.check_accounts()


async def test_identities_that_share_a_connection_keep_their_own(served: Served) -> None:
    """As behind a balancer that speaks HTTP."""
    users = ["ann", "bob"]
    client = await served.warmed(served.get("ann"))
    await client.ask(served.get("bob"))
    for user in users * 3:
        status, headers, _ = await client.ask(served.get(user))
        assert status == 200
        head = served.api_server.heads[-1]
        assert (audit_id_of(head), user_of(head)) == (headers["audit-id"], PREFIX + user)

    assert served.noted.alone == 6
    await served.check_accounts()


@pytest.mark.parametrize("size", [None, 30], ids=["whole", "a-part"])
async def test_a_client_that_ends_its_side_at_once_is_gone(
    served: Served, thinking: threading.Event, size: int | None
) -> None:
    """The next request, or a part of it, came with the end."""
    head = served.get("ann")
    client = await served.warmed(head)
    await client.stream.send(head)
    await client.stream.send(head[:size])
    client.stream.close()
    await served.until(lambda: len(served.by_request()) == 2)

    await served.check_accounts()
    assert served.last_outcome()["termination"] == "client-gone"


async def test_a_request_that_asks_for_the_end_of_its_connection_gets_it(served: Served) -> None:
    head = served.get("ann", PODS, "Connection: close")
    for _ in range(3):
        client = await served.connect()
        status, headers, _ = await client.ask(head)
        assert (status, headers["connection"]) == (200, "close")
        assert await client.stream.receive() == b""
    await served.check_accounts()


async def test_a_client_that_asks_nothing_more_is_idle_like_any_other(served: Served) -> None:
    client = await served.warmed(served.get("ann"))
    await client.ask(served.get("ann"))
    assert served.noted.alone == 1
    served.clock.ahead += timedelta(seconds=110)
    served.services.deadlines.sweep()
    assert (await client.ask(served.get("ann")))[0] == 200
    served.clock.ahead += timedelta(seconds=121)
    served.services.deadlines.sweep()

    assert await client.stream.receive() == b""
    await served.check_accounts()


async def test_a_client_that_is_idle_when_a_drain_begins_is_let_go(served: Served) -> None:
    client = await served.warmed(served.get("ann"))
    await client.ask(served.get("ann"))
    assert served.noted.alone == 1
    await served.at_rest()
    served.listener.stop_accepting()

    assert await client.stream.receive() == b""
    await served.serving


# --- What is found out anew each time -------------------------------------------------------------


async def test_what_a_new_policy_denies_is_denied_from_then_on(served: Served) -> None:
    client = await served.warmed(served.get("ann"))
    assert (await client.ask(served.get("ann")))[0] == 200
    heads = len(served.api_server.heads)
    served.deny_all()

    status, headers, _ = await client.ask(served.get("ann"))
    assert status == 403
    assert len(served.api_server.heads) == heads
    (decision,) = served.by_request()[headers["audit-id"]]
    assert decision["decision"] == "deny"
    await served.check_accounts()


async def test_what_is_permitted_for_a_time_is_judged_again_after_it(
    made: Scripted, served: Served
) -> None:
    rule = {
        "id": "for-five-minutes",
        "effect": "allow",
        "subjects": {"groups": [f"{PREFIX}testers"]},
        "match": [{"verbs": ["list"], "apiGroups": [""], "resources": ["pods"]}],
        "conditions": {"session": {"maxAge": "5m"}},
    }
    served.permit_only(rule)
    head = request("GET", PODS, made.world.token("ann", "testers", seconds=9000))
    client = await served.warmed(head)
    assert (await client.ask(head))[0] == 200
    assert served.noted.alone == 1
    served.clock.ahead += timedelta(minutes=6)
    status, headers, _ = await client.ask(head)

    assert status in (401, 403)
    (decision,) = served.by_request()[headers["audit-id"]]
    assert decision["decision"] in ("deny", "challenge")
    await served.check_accounts()


async def test_another_kube_apiserver_is_asked_from_the_next_request_on(
    made: Scripted, served: Served
) -> None:
    """What is under way ends where it began."""
    asked, go_on = threading.Event(), threading.Event()

    def wait(connection: Connection, _: bytes) -> None:
        asked.set()
        go_on.wait(5)
        connection.send(answer(200, b"first"))

    directory, file = made.world.directory, made.world.directory / "kzproxy.yaml"
    (directory / "second").mkdir()
    client = await served.warmed(served.get("ann"))
    served.api_server.script = wait
    await client.stream.send(served.get("ann"))
    await served.until(asked.is_set)
    with scripted_api_server(directory / "second", made.world.authority) as second:
        settings = yaml.safe_load(file.read_text())
        file.write_text(yaml.safe_dump(settings | {"upstream": second.upstream()}))
        second.script = lambda connection, _: connection.send(answer(200, b"second"))
        served.read_again()
        go_on.set()
        bodies = [(await client.answer())[2]]
        bodies += [(await client.ask(served.get("ann")))[2] for _ in range(3)]

        assert bodies == [b"first", b"second", b"second", b"second"]
        assert served.noted.counts == (2, 3, 0)
        await served.check_accounts()
        assert (len(served.api_server.heads), len(second.heads)) == (2, 3)
        client.stream.close()
        second.drop_connections()


async def test_a_token_that_has_ended_is_refused(served: Served) -> None:
    client = await served.warmed(served.get("ann"))
    assert (await client.ask(served.get("ann")))[0] == 200
    served.clock.ahead += timedelta(seconds=3700)

    assert (await client.ask(served.get("ann")))[0] == 401
    await served.check_accounts()
    assert served.noted.alone == 1


async def test_a_token_whose_key_was_withdrawn_is_judged_anew(
    made: Scripted, served: Served
) -> None:
    client = await served.warmed(served.get("ann"))
    assert (await client.ask(served.get("ann")))[0] == 200
    keys = served.authenticator.keys_of(made.world.issuer.url)
    assert keys is not None
    keys.published = KeySet(())

    await client.ask(served.get("ann"))
    await served.check_accounts()
    assert served.noted.counts == (2, 1, 0)


async def test_a_device_whose_certificate_has_ended_is_none(made: Scripted, served: Served) -> None:
    """Also where its connection was made while it held."""
    issued = made.world.authority.issue(
        common_names=["a laptop"],
        alternative_names=[UniformResourceIdentifier("urn:kzproxy:device:4f")],
        not_after=served.clock.now() + timedelta(hours=1),
    )
    certificate = issued.write_to(made.world.directory, "device")
    head = request(
        "GET", "/api/v1/namespaces/a/configmaps", made.world.token("dan", "enrolled", seconds=9000)
    )
    client = await served.connect(certificate=certificate)
    statuses = [(await client.ask(head))[0] for _ in range(3)]
    served.clock.ahead += timedelta(hours=2)
    statuses.append((await client.ask(head))[0])

    assert statuses == [200, 200, 200, 403]
    assert served.noted.alone == 2
    await served.check_accounts()


async def test_a_device_whose_certificate_has_ended_is_told_to_nobody_either(
    made: Scripted, served: Served
) -> None:
    """Where its user may go on without one."""
    issued = made.world.authority.issue(
        common_names=["a laptop"],
        alternative_names=[UniformResourceIdentifier("urn:kzproxy:device:4f")],
        not_after=served.clock.now() + timedelta(minutes=5),
    )
    certificate = issued.write_to(made.world.directory, "device")
    client = await served.connect(certificate=certificate)
    assert [(await client.ask(served.get("ann")))[0] for _ in range(2)] == [200, 200]
    assert b"device-id: 4f\r\n" in served.api_server.heads[-1]
    served.clock.ahead += timedelta(minutes=6)

    status, headers, _ = await client.ask(served.get("ann"))
    assert status == 200
    assert b"device-id" not in served.api_server.heads[-1]
    await served.check_accounts()
    (decision, _) = served.by_request()[headers["audit-id"]]
    assert decision["device"]["enrolled"] == "failed"


async def test_a_credential_that_is_rotated_is_used_from_then_on(
    made: Scripted, served: Served
) -> None:
    client = await served.warmed(served.get("ann"))
    assert (await client.ask(served.get("ann")))[0] == 200
    (made.world.directory / "upstream.token").write_text("rotated")
    served.clock.ahead += timedelta(seconds=11)

    await client.ask(served.get("ann"))
    assert b"authorization: Bearer rotated\r\n" in served.api_server.heads[-1]
    await served.check_accounts()


async def test_one_identity_has_no_more_under_way_than_its_share(tmp_path: Path) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def wait(connection: Connection, _: bytes) -> None:
        if len(api_server.heads) == 3:
            asked.set()
            go_on.wait(5)
        connection.send(answer(200, b'{"ok": true}'))

    with not_started(tmp_path, limits={"requestsPerIdentity": 1}) as made:
        api_server = made.api_server
        async with serving(made) as served:
            first, second = [await served.warmed(served.get("ann")) for _ in range(2)]
            api_server.script = wait
            await first.stream.send(served.get("ann"))
            await served.until(asked.is_set)
            over, _, _ = await second.ask(served.get("ann"))
            of_another, _, _ = await (await served.connect()).ask(served.get("bob"))
            go_on.set()
            statuses = [(await first.answer())[0], (await second.ask(served.get("ann")))[0]]
            await served.check_accounts()

    assert (over, of_another, statuses) == (429, 200, [200, 200])
    assert served.noted.alone == 3


async def test_a_caller_is_known_by_where_it_comes_from(tmp_path: Path) -> None:
    """Two who show the same token come over one connection of a balancer that speaks HTTP."""
    from_office = {
        "id": "office",
        "effect": "allow",
        "subjects": {"groups": [f"{PREFIX}office"]},
        "match": [{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["secrets"]}],
        "conditions": {"networks": ["office"]},
    }
    mode = {"forwardedFor": {"from": ["127.0.0.1/32"]}}
    tls = {"certificateFile": "tls.crt", "privateKeyFile": "tls.key"}
    with not_started(tmp_path, listen=tls | {"clientAddress": mode}) as made:
        policy = POLICY | {"networks": {"office": ["192.0.2.0/24"]}, "rules": [from_office]}
        (tmp_path / "policy.yaml").write_text(yaml.safe_dump(policy))
        token = made.world.token("ann", "office")
        inside, outside = [
            request("GET", "/api/v1/namespaces/a/secrets", token, f"X-Forwarded-For: {address}")
            for address in ("192.0.2.7", "198.51.100.7")
        ]
        async with serving(made) as served:
            client = await served.connect()
            statuses = [(await client.ask(head))[0] for head in [inside, outside] * 3]
            await served.check_accounts()
            decisions = [same[0] for same in served.by_request().values()]

    assert statuses == [200, 403] * 3
    assert served.noted.alone == 2
    assert [each["source"]["address"] for each in decisions] == ["192.0.2.7", "198.51.100.7"] * 3


async def test_a_caller_behind_a_balancer_is_recorded_as_itself(tmp_path: Path) -> None:
    mode = {"proxyProtocol": {"from": ["127.0.0.1/32"]}}
    tls = {"certificateFile": "tls.crt", "privateKeyFile": "tls.key"}
    addresses = ("192.0.2.7", "198.51.100.7")
    with not_started(tmp_path, listen=tls | {"clientAddress": mode}) as made:
        async with serving(made) as served:
            clients = [
                await served.connect(preamble=proxied(address, port))
                for port, address in enumerate(addresses, 4711)
            ]
            for _ in range(3):
                for client in clients:
                    assert (await client.ask(served.get("ann")))[0] == 200
            await served.check_accounts()
            sources = [same[0]["source"] for same in served.by_request().values()]

    assert served.noted.alone == 4
    assert [(each["address"], each["port"], each["via"]) for each in sources] == [
        (address, port, "127.0.0.1") for port, address in enumerate(addresses, 4711)
    ] * 3


# --- When the decision log refuses ----------------------------------------------------------------


async def test_what_cannot_be_written_down_is_not_sent(made: Scripted, served: Served) -> None:
    client = await served.warmed(served.get("ann"))
    size = (made.world.directory / "decisions.jsonl").stat().st_size
    with no_file_grows_over(size):
        status, headers, _ = await client.ask(served.get("ann"))
    assert (status, headers["retry-after"]) == (503, "1")
    assert len(served.api_server.heads) == 1
    assert served.noted.handed_over == 1
    status, _, _ = await client.ask(served.get("ann"))

    assert status == 200
    await served.check_accounts()


async def test_nothing_is_begun_that_a_closed_log_would_refuse(served: Served) -> None:
    client = await served.warmed(served.get("ann"))
    handled, *_ = served.noted.counts
    await served.services.decisions.close()

    assert (await client.ask(served.get("ann")))[0] == 503
    assert served.noted.counts == (handled + 1, 0, 0)
    assert len(served.api_server.heads) == 1


async def test_a_decision_is_written_with_whoever_writes_first(served: Served) -> None:
    """What another writes in the same turn is one write with it: all go on from there."""
    users = ("ann", "bob", "cid")
    clients = [await served.warmed(served.get(user)) for user in users]
    for client, user in zip(clients, users, strict=True):
        await client.stream.send(served.get(user))
    newcomer = await served.connect()
    first = await newcomer.ask(served.get("dan", "/api/v1/nodes"))
    answers = [first, *[await client.answer() for client in clients]]

    assert [status for status, _, _ in answers] == [200] * 4
    await served.check_accounts()
    of_user = {audit_id_of(head): user_of(head) for head in served.api_server.heads}
    assert [of_user[headers["audit-id"]] for _, headers, _ in answers] == [
        PREFIX + user for user in ("dan", *users)
    ]
