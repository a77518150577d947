"""Every request that was read is accounted for: refused in the log, or permitted and completed."""

import resource
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.limits.told import counted, told
from tests.proxy.eventually import eventually
from tests.proxy.fixtures import Scripted, not_started
from tests.proxy.log_pipe import Pipe, logging_to
from tests.proxy.process import ProxyProcess
from tests.proxy.world import POLICY, PREFIX, request
from tests.servers.scripted_api_server import Connection, answer

PODS = "/api/v1/namespaces/a/pods"
POD = f"{PODS}/p"
REVIEWS = "/apis/authorization.k8s.io/v1"
JSON = "Content-Type: application/json"
GUARDED = {
    "id": "nothing-privileged",
    "effect": "deny",
    "subjects": {"groups": [f"{PREFIX}guarded"]},
    "match": [
        {"verbs": ["create"], "apiGroups": [""], "resources": ["pods"]},
        {"verbs": ["connect"], "apiGroups": [""], "resources": ["pods/exec"]},
    ],
    "needs": ["object"],
    "conditions": {"object": {"privileged": True}},
}
DRAIN_SECONDS = 2


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Scripted]:
    """A kzproxy whose policy looks at what is created and entered."""
    with not_started(tmp_path, drainTimeoutSeconds=DRAIN_SECONDS) as made:
        policy = POLICY | {"rules": [*POLICY["rules"], GUARDED]}
        (tmp_path / "policy.yaml").write_text(yaml.safe_dump(policy))
        made.world.proxy.start()
        yield made


def of_user(proxy: ProxyProcess, user: str) -> list[dict[str, Any]]:
    """Return the decisions on a user's requests, each with its end where it has one."""
    records = proxy.records()
    decisions = [
        record
        for record in records
        if record["kind"] == "decision" and record.get("user", {}).get("name") == PREFIX + user
    ]
    for decision in decisions:
        same = [each for each in records if each.get("audit_id") == decision["audit_id"]]
        ends = [each for each in same if each["kind"] == "completed"]
        assert len(same) == 1 + len(ends), same
        decision["ends"] = ends
    return decisions


def check_it_ends_in_time(proxy: ProxyProcess) -> None:
    begun = time.monotonic()
    proxy.signal(signal.SIGTERM)
    assert proxy.wait(20) == 0, proxy.diagnostics
    assert time.monotonic() - begun < DRAIN_SECONDS + 6, "an interpreter takes a moment to end"


def test_a_client_that_leaves_within_a_body_that_is_judged_is_in_the_log(
    guarded: Scripted,
) -> None:
    world = guarded.world
    token = world.token("gwen", "testers", "guarded")
    with world.client() as client:
        client.send(request("POST", PODS, token, JSON, "Content-Length: 1000") + b'{"kind"')
        eventually(lambda: counted(world.proxy, "kzproxy_requests_in_flight") == 1)
    eventually(lambda: of_user(world.proxy, "gwen"))

    (decision,) = of_user(world.proxy, "gwen")
    assert (decision["decision"], decision["cause"]) == ("refused", "client-gone")
    assert decision["request"]["verb"] == "create"
    assert "status_code" not in decision
    assert decision["ends"] == []
    assert guarded.api_server.heads == []


def test_a_request_whose_body_is_still_read_when_kzproxy_stops_is_told_and_logged(
    guarded: Scripted,
) -> None:
    world = guarded.world
    token = world.token("hal", "testers", "guarded")
    with world.client() as client:
        client.send(request("POST", PODS, token, JSON, "Content-Length: 1000") + b'{"kind"')
        eventually(lambda: counted(world.proxy, "kzproxy_requests_in_flight") == 1)
        check_it_ends_in_time(world.proxy)
        got = client.answer()

    assert told(got) == (503, "ServiceUnavailable", "1")
    assert "nothing was done" in got.message
    (decision,) = of_user(world.proxy, "hal")
    assert (decision["cause"], decision["status_code"]) == ("service-unavailable", 503)
    assert decision["audit_id"] == got.audit_id
    assert decision["ends"] == []


def test_a_request_whose_pod_is_still_looked_up_when_kzproxy_stops_is_told_and_logged(
    guarded: Scripted,
) -> None:
    world = guarded.world
    token = world.token("ivy", "testers", "guarded")
    guarded.api_server.script = lambda connection, _: connection.tls.recv(1) and None
    with world.client() as client:
        client.send(request("POST", f"{POD}/exec?command=id", token))
        eventually(lambda: guarded.api_server.heads)
        check_it_ends_in_time(world.proxy)
        got = client.answer()

    assert told(got) == (503, "ServiceUnavailable", "1")
    (decision,) = of_user(world.proxy, "ivy")
    assert decision["cause"] == "service-unavailable"


def review(kind: str, spec: str) -> bytes:
    version = "authorization.k8s.io/v1"
    return f'{{"kind":"{kind}","apiVersion":"{version}","spec":{spec}}}'.encode()


@pytest.mark.parametrize(
    ("resource", "body"),
    [
        # The stand-in answers this one, and not what else kzproxy asks of it to judge.
        (
            "selfsubjectaccessreviews",
            review("SelfSubjectAccessReview", '{"resourceAttributes":{"verb":"get"}}'),
        ),
        ("selfsubjectrulesreviews", review("SelfSubjectRulesReview", '{"namespace":"a"}')),
    ],
    ids=["after", "before"],
)
def test_an_answer_that_is_gathered_when_kzproxy_stops_is_told_and_logged_as_drained(
    guarded: Scripted, resource: str, body: bytes
) -> None:
    world = guarded.world
    guarded.api_server.script = lambda connection, _: connection.tls.recv(1) and None
    with world.client() as client:
        token = world.token("kim", "testers")
        client.send(request("POST", f"{REVIEWS}/{resource}", token, JSON, body=body))
        eventually(lambda: guarded.api_server.heads)
        check_it_ends_in_time(world.proxy)
        got = client.answer()

    assert got.status == 503
    (decision,) = of_user(world.proxy, "kim")
    (end,) = decision["ends"]
    assert decision["decision"] == "permit"
    assert (end["termination"], end["status_code"]) == ("drained", 503)
    assert end["cut"]["cause"] == "drain"


def test_a_write_that_kube_apiserver_may_have_done_is_not_to_be_repeated_blindly(
    guarded: Scripted,
) -> None:
    """client-go sends again whatever comes with Retry-After."""
    world = guarded.world
    guarded.api_server.script = lambda connection, _: connection.tls.recv(1) and None
    with world.client() as client:
        client.send(request("DELETE", POD, world.token("lou", "testers")))
        eventually(lambda: guarded.api_server.heads)
        check_it_ends_in_time(world.proxy)
        got = client.answer()

    assert told(got) == (503, "ServiceUnavailable", "")
    assert "outcome unknown" in got.message
    (decision,) = of_user(world.proxy, "lou")
    assert decision["ends"][0]["termination"] == "drained"


def test_a_request_that_is_under_way_when_kzproxy_is_told_to_stop_is_its_connections_last(
    guarded: Scripted,
) -> None:
    world, go_on = guarded.world, threading.Event()

    def late(connection: Connection, _: bytes) -> None:
        go_on.wait(10)
        connection.send(answer(200, b"{}"))

    guarded.api_server.script = late
    with world.client() as client:
        client.send(request("GET", POD, world.token("mo", "testers")))
        eventually(lambda: guarded.api_server.heads)
        world.proxy.signal(signal.SIGTERM)
        eventually(lambda: "draining" in world.proxy.diagnostics)
        go_on.set()
        got = client.answer()

    assert (got.status, got.headers["connection"]) == (200, ["close"])
    assert world.proxy.wait() == 0


def test_the_log_says_of_how_many_requests_it_has_nothing(guarded: Scripted) -> None:
    """Each is refused once, however often it was tried to write something down of it."""
    world = guarded.world
    token = world.token("oda", "testers")
    asked = [request("GET", PODS, token), request("DELETE", POD, token)]
    with world.client() as client:
        assert client.ask(asked[0]).status == 200
        full = world.proxy.decision_log.stat().st_size
        resource.prlimit(world.proxy.pid, resource.RLIMIT_FSIZE, (full, resource.RLIM_INFINITY))
        answers = [client.ask(each).status for each in asked * 2]
        answers.append(client.ask(request("GET", PODS)).status)  # refused before it was judged
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(world.proxy.pid, resource.RLIMIT_FSIZE, unlimited)
    eventually(lambda: [each for each in world.proxy.records() if each["kind"] == "gap"])

    assert answers == [503] * 5
    (gap,) = [each for each in world.proxy.records() if each["kind"] == "gap"]
    assert gap["refused"] == 5


BODY = b'{"kind":"Pod"}'
CHUNKED = b"e\r\n" + BODY + b"\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("framing", "body"),
    [(f"Content-Length: {len(BODY)}", BODY), ("Transfer-Encoding: chunked", CHUNKED)],
    ids=["length", "chunked"],
)
@pytest.mark.parametrize("split", ["together", "apart", "within"])
def test_all_bytes_of_a_body_are_counted_however_it_comes_and_nothing_else_is(
    scripted: Scripted, framing: str, body: bytes, split: str
) -> None:
    """Most clients send a small body in one piece with the head; what is pipelined is not its."""
    proxy = scripted.world.proxy
    head = request("POST", PODS, scripted.world.token("ned", "testers"), JSON, framing)
    following = request("GET", POD, scripted.world.token("ned", "testers"))

    def take(connection: Connection, received: bytes) -> None:
        came = b"" if received.startswith(b"POST") else body
        while not came.endswith(body[-5:]):  # Its framing may be another by now.
            came += connection.body(1)
        connection.send(answer(200, b"{}"))

    scripted.api_server.script = take
    with scripted.world.client() as client:
        cut = {"together": 0, "apart": len(head), "within": len(head) + 3}[split]
        whole = head + body + following
        if cut:
            client.send(whole[:cut])
            time.sleep(0.2)
        client.send(whole[cut:])
        posted, got = client.answer(), client.answer()

    assert (posted.status, got.status) == (200, 200)
    assert proxy.finished(posted.audit_id)[1].get("bytes_in", 0) == len(body)
    assert proxy.finished(got.audit_id)[1].get("bytes_in", 0) == 0


def test_a_permit_that_the_disk_did_not_take_in_time_has_an_end(tmp_path: Path) -> None:
    """Its line is in the log all the same, and must not look as if it were still under way."""
    pipe = Pipe()
    with logging_to(pipe, tmp_path) as made:
        world = made.world
        pipe.fill()
        with world.client() as client:
            got = client.ask(request("GET", PODS, world.token("nan", "testers")))
        outcome = pipe.outcome()
    (decision,) = [each for each in pipe.records() if each.get("audit_id") == got.audit_id][:1]
    records = [each for each in pipe.records() if each.get("audit_id") == got.audit_id]
    pipe.close()

    assert got.status == 503
    assert decision["decision"] == "permit"
    assert [each["kind"] for each in records] == ["decision", "completed"]
    assert (outcome["termination"], outcome["status_code"]) == ("refused", 503)
    assert made.api_server.heads == []
