"""What kzproxy does when kube-apiserver misbehaves on the wire (a stand-in plays it)."""

import json
import threading
from urllib.parse import quote

import pytest

from kzproxy.http.chunks import LAST_CHUNK, chunk
from tests.limits.told import counted
from tests.proxy.fixtures import Scripted
from tests.proxy.world import request
from tests.servers.scripted_api_server import ACCOUNT, Connection, answer, json_answer

PODS = "/api/v1/namespaces/a/pods"
PROXIED = "/api/v1/namespaces/a/services/s/proxy/report"
EXEC = "/api/v1/namespaces/a/pods/p/exec?command=id"
WEBSOCKET = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Protocol: v5.channel.k8s.io",
)


def test_an_answer_is_relayed_under_our_audit_id(scripted: Scripted) -> None:
    scripted.api_server.script = lambda c, _: c.send(
        answer(200, b"hello", "audit-id: theirs", "x-kept: yes", "connection: keep-alive")
    )
    with scripted.world.client() as client:
        got = client.ask(request("GET", PODS, scripted.world.token("al", "testers")))

    assert (got.status, got.body) == (200, b"hello")
    assert got.headers["x-kept"] == ["yes"]
    assert len(got.headers["audit-id"]) == 1
    sent = scripted.api_server.heads[-1]
    assert f"audit-id: {got.audit_id}\r\n".encode() in sent
    decided, completed = scripted.world.proxy.finished(got.audit_id)
    assert (decided["decision"], decided["rule"]) == ("permit", "testers-everything")
    assert (completed["status_code"], completed["termination"]) == (200, "normal")


def test_a_connection_carries_one_request_after_another(scripted: Scripted) -> None:
    asked = request("GET", PODS, scripted.world.token("al", "testers"))
    with scripted.world.client() as client:
        before = scripted.api_server.connections
        answers = [client.ask(asked).status for _ in range(5)]
        client.send(asked + asked)
        answers += [client.answer().status, client.answer().status]

    assert answers == [200] * 7
    assert scripted.api_server.connections - before <= 1


def test_E1_1_a_failed_upgrade_leaves_no_open_way(scripted: Scripted) -> None:
    """CVE-2018-1002105: what follows a refused upgrade is read by nobody."""
    scripted.api_server.script = lambda c, _: c.send(json_answer(403, {"kind": "Status"}))
    token = scripted.world.token("al", "testers")
    secrets = request("GET", "/api/v1/secrets")
    with scripted.world.client() as client:
        client.send(request("GET", EXEC, token, *WEBSOCKET) + secrets)
        assert client.answer().status == 403
        assert client.ended()
    before = scripted.api_server.connections
    scripted.api_server.script = lambda c, _: c.send(json_answer(200, {}))
    with scripted.world.client() as client:
        assert client.ask(request("GET", PODS, token)).status == 200

    assert [head.split(b" ")[1] for head in scripted.api_server.heads] == [
        EXEC.encode(),
        PODS.encode(),
    ]
    assert scripted.api_server.connections == before + 1, "its connection was used again"


@pytest.mark.parametrize("status", [301, 302, 307])
def test_E1_2_a_redirect_is_not_followed_and_not_relayed(scripted: Scripted, status: int) -> None:
    scripted.api_server.script = lambda c, _: c.send(
        answer(status, b"", "location: http://127.0.0.1:1/")
    )
    token = scripted.world.token("al", "testers")
    with scripted.world.client() as client:
        assert client.ask(request("GET", PODS, token)).status == 502
    with scripted.world.client() as client:
        assert client.ask(request("GET", EXEC, token, *WEBSOCKET)).status == 502


def test_E1_2_an_application_behind_a_proxy_may_redirect(scripted: Scripted) -> None:
    scripted.api_server.script = lambda c, _: c.send(answer(302, b"", "location: /elsewhere"))
    target = "/api/v1/namespaces/a/services/s/proxy/"
    with scripted.world.client() as client:
        got = client.ask(request("GET", target, scripted.world.token("al", "testers")))

    assert (got.status, got.headers["location"]) == (302, ["/elsewhere"])


def test_E1_6_an_early_answer_is_relayed_and_its_connection_is_not_used_again(
    scripted: Scripted,
) -> None:
    scripted.api_server.script = lambda c, _: c.send(json_answer(413, {"kind": "Status"}))
    token = scripted.world.token("al", "testers")
    head = request("POST", PODS, token, "Content-Length: 1000000")
    with scripted.world.client() as client:
        client.send(head)
        assert client.answer().status == 413
        assert client.ended()
    before = scripted.api_server.connections
    with scripted.world.client() as client:
        assert client.ask(request("GET", PODS, token)).status == 413
    assert scripted.api_server.connections == before + 1


def test_the_upstreams_401_is_not_relayed(scripted: Scripted) -> None:
    scripted.api_server.script = lambda c, _: c.send(json_answer(401, {"kind": "Status"}))
    with scripted.world.client() as client:
        got = client.ask(request("GET", PODS, scripted.world.token("al", "testers")))

    assert got.status == 502
    assert "not about your sign-in" in got.message


def test_a_403_to_our_own_account_is_not_relayed_and_counted(scripted: Scripted) -> None:
    text = f'users "al" is forbidden: User "{ACCOUNT}" cannot impersonate resource "users"'
    scripted.api_server.script = lambda c, _: c.send(json_answer(403, {"message": text}))
    with scripted.world.client() as client:
        got = client.ask(request("GET", PODS, scripted.world.token("al", "testers")))

    assert got.status == 502
    assert ACCOUNT not in got.message
    assert (
        'kzproxy_upstream_rejections_total{code="403"} ' in scripted.world.proxy.ops("/metrics")[1]
    )


def rejections(scripted: Scripted) -> float:
    return counted(scripted.world.proxy, 'kzproxy_upstream_rejections_total{code="403"}')


def chunked_answer(status: int, body: bytes) -> bytes:
    """Write an answer as Go's server does one of more than 2,048 bytes."""
    pieces = [body[at : at + 2048] for at in range(0, len(body), 2048)]
    head = b"HTTP/1.1 %d Forbidden\r\ncontent-type: application/json\r\n" % status
    framed = b"".join(chunk(piece) for piece in pieces) + LAST_CHUNK
    return head + b"transfer-encoding: chunked\r\n\r\n" + framed


def refusal(front: str, who: str, name: str) -> bytes:
    message = f'{front} is forbidden: User "{who}" cannot get resource "pods"'
    status = {"kind": "Status", "message": message, "details": {"name": name}, "code": 403}
    return json.dumps(status).encode()


def test_a_long_403_to_our_own_account_is_known_in_chunks(scripted: Scripted) -> None:
    body = refusal('users "al"', ACCOUNT, "x" * 2500)
    scripted.api_server.script = lambda c, _: c.send(chunked_answer(403, body))
    before = rejections(scripted)
    with scripted.world.client() as client:
        got = client.ask(request("GET", PODS, scripted.world.token("al", "testers")))

    assert (got.status, rejections(scripted)) == (502, before + 1)


@pytest.mark.parametrize("padding", [0, 1200], ids=["short", "in-chunks"])
@pytest.mark.parametrize("part", ["name", "resource", "log"])
def test_a_user_who_names_our_account_in_the_path_raises_no_alarm(
    scripted: Scripted, part: str, padding: int
) -> None:
    said = f'User "{ACCOUNT}"' + "x" * padding
    front = f"{said} {json.dumps('x')}" if part == "resource" else f"pods {json.dumps(said)}"
    body = refusal(front, "t:al", said)
    scripted.api_server.script = lambda c, _: c.send(
        chunked_answer(403, body) if padding else answer(403, body)
    )
    target = f"{PODS}/{quote(said, safe='')}"
    if part == "resource":
        target = f"/api/v1/namespaces/a/{quote(said, safe='')}/x"
    before = rejections(scripted)
    with scripted.world.client() as client:
        following = "/log?follow=true" if part == "log" else ""
        asked = request("GET", target + following, scripted.world.token("al", "testers"))
        got = client.ask(asked)

    assert (got.status, got.body) == (403, body)
    assert rejections(scripted) == before


def test_a_proxied_application_cannot_raise_the_alarm_about_our_account(scripted: Scripted) -> None:
    text = f'User "{ACCOUNT}" is what the application likes to say'
    scripted.api_server.script = lambda c, _: c.send(json_answer(403, {"message": text}))
    before = rejections(scripted)
    with scripted.world.client() as client:
        got = client.ask(request("GET", PROXIED, scripted.world.token("al", "testers")))

    assert (got.status, got.message) == (403, text)
    assert rejections(scripted) == before


def test_a_401_of_a_proxied_application_is_not_said_to_be_about_our_account(
    scripted: Scripted,
) -> None:
    scripted.api_server.script = lambda c, _: c.send(answer(401, b"log in first"))
    with scripted.world.client() as client:
        got = client.ask(request("GET", PROXIED, scripted.world.token("al", "testers")))

    assert got.status == 502
    assert "the application" in got.message


def test_a_403_to_the_user_is_relayed(scripted: Scripted) -> None:
    text = 'pods is forbidden: User "t:al" cannot list resource "pods"'
    scripted.api_server.script = lambda c, _: c.send(json_answer(403, {"message": text}))
    with scripted.world.client() as client:
        got = client.ask(request("GET", PODS, scripted.world.token("al", "testers")))

    assert (got.status, got.message) == (403, text)


def test_a_tunnel_nobody_asked_for_is_refused(scripted: Scripted) -> None:
    scripted.api_server.script = lambda c, _: c.send(
        b"HTTP/1.1 101 Switching\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n"
    )
    with scripted.world.client() as client:
        asked = request("GET", PODS, scripted.world.token("al", "testers"))
        assert client.ask(asked).status == 502


@pytest.mark.parametrize(
    ("framing", "told"),
    [
        ("content-length: 1234", {"content-length": ["1234"]}),
        ("transfer-encoding: chunked", {}),
        ("x-none: of-them", {}),
    ],
)
@pytest.mark.parametrize(("status", "method"), [(200, "HEAD"), (304, "GET")])
def test_the_length_of_what_is_not_sent_is_told_and_the_connections_go_on(
    scripted: Scripted, method: str, status: int, framing: str, told: dict[str, list[str]]
) -> None:
    head = f"HTTP/1.1 {status} Whatever\r\n{framing}\r\n\r\n".encode()
    scripted.api_server.script = lambda c, _: c.send(head)
    asked = request(method, PROXIED, scripted.world.token("al", "testers"))
    with scripted.world.client() as client:
        answers = [client.ask(asked, to_head=True) for _ in range(3)]
        scripted.api_server.script = lambda c, _: c.send(json_answer(200, {"a": "b"}))
        before = scripted.api_server.connections
        last = client.ask(request("GET", PODS, scripted.world.token("al", "testers")))

    for got in answers:
        framed = got.headers.keys() & {"content-length", "transfer-encoding", "connection"}
        assert (got.status, {name: got.headers[name] for name in framed}) == (status, told)
    assert (last.status, last.json, scripted.api_server.connections) == (200, {"a": "b"}, before)


def test_a_refusal_of_head_tells_the_length_that_get_has(scripted: Scripted) -> None:
    with scripted.world.client() as client:
        told = client.ask(request("HEAD", PODS), to_head=True)
        whole = client.ask(request("GET", PODS))

    assert told.status == whole.status == 401
    assert told.headers["content-length"] == whole.headers["content-length"]


def test_a_body_cut_short_does_not_look_complete(scripted: Scripted) -> None:
    def cut(connection: Connection, _: bytes) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
        connection.reset()

    scripted.api_server.script = cut
    with scripted.world.client() as client:
        client.send(request("GET", PODS, scripted.world.token("al", "testers")))
        with pytest.raises(ConnectionError):
            client.answer()


def test_a_stale_connection_is_replaced_for_a_read(scripted: Scripted) -> None:
    token = scripted.world.token("al", "testers")
    with scripted.world.client() as client:
        assert client.ask(request("GET", PODS, token)).status == 200
        answered = threading.Event()

        def die_once(connection: Connection, _: bytes) -> None:
            if not answered.is_set():
                answered.set()
                connection.tls.close()
                return
            connection.send(json_answer(200, {}))

        scripted.api_server.script = die_once
        assert client.ask(request("GET", PODS, token)).status == 200


def test_a_write_whose_answer_is_lost_is_never_repeated(scripted: Scripted) -> None:
    token = scripted.world.token("al", "testers")
    with scripted.world.client() as client:
        assert client.ask(request("GET", PODS, token)).status == 200
        scripted.api_server.heads.clear()
        scripted.api_server.script = lambda c, _: c.tls.close()
        got = client.ask(request("DELETE", f"{PODS}/p", token))

    assert got.status == 502
    assert "outcome unknown" in got.message
    assert "retry-after" not in got.headers
    assert len(scripted.api_server.heads) == 1


def test_the_client_is_told_to_continue_only_after_the_decision(scripted: Scripted) -> None:
    body = b'{"kind":"Pod"}'
    expecting = (f"Content-Length: {len(body)}", "Expect: 100-continue")

    def echo(connection: Connection, _: bytes) -> None:
        connection.send(answer(201, connection.body(len(body))))

    scripted.api_server.script = echo
    with scripted.world.client() as client:
        client.send(request("POST", PODS, scripted.world.token("al", "testers"), *expecting))
        assert client.head()[0] == 100
        client.send(body)
        got = client.answer()
    with scripted.world.client() as client:
        refused = client.ask(
            request("POST", PODS, scripted.world.token("bo", "readers"), *expecting)
        )

    assert (got.status, got.body) == (201, body)
    assert refused.status == 403
    assert b"expect" not in scripted.api_server.heads[-1].lower()


def test_a_client_that_goes_ends_the_request_upstream(scripted: Scripted) -> None:
    ended = threading.Event()

    def watch(connection: Connection, _: bytes) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        assert connection.tls.recv(1) == b""
        ended.set()

    scripted.api_server.script = watch
    with scripted.world.client() as client:
        client.send(request("GET", f"{PODS}?watch=1", scripted.world.token("al", "testers")))
        assert client.head()[0] == 200
    assert ended.wait(30)
