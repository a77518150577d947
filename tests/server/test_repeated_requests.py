"""The same small request, again and again, from many at once, while everything else changes."""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.enforcement.served import audit_id_of, user_of
from tests.limits.told import counted
from tests.proxy.eventually import eventually
from tests.proxy.fixtures import Scripted, not_started
from tests.proxy.raw_client import RawClient
from tests.proxy.world import POLICY, PREFIX, request
from tests.servers.scripted_api_server import Connection, answer

PODS = "/api/v1/namespaces/a/pods"
WATCH = f"{PODS}?watch=1"
USERS = 6
SECONDS = 6.0
OK = answer(200, b'{"kind":"PodList"}', "content-type: application/json")


@pytest.fixture
def scripted(tmp_path: Path) -> Iterator[Scripted]:
    with not_started(tmp_path, decisionLog={"file": "decisions.jsonl"}) as made:
        made.world.proxy.start()
        yield made


class Caller:
    """One user who lists pods on one connection after another, and notes what was answered."""

    def __init__(self, scripted: Scripted, name: str, seed: int) -> None:
        self.name = name
        self.answers: list[tuple[int, str]] = []
        self.broken = 0
        self._scripted = scripted
        self._head = request("GET", PODS, scripted.world.token(name, "readers"))
        self._random = random.Random(seed)

    def call_until(self, ended: threading.Event) -> None:
        while not ended.is_set():
            with self._scripted.world.client() as client:
                self._call(client, ended)

    def _call(self, client: RawClient, ended: threading.Event) -> None:
        for _ in range(self._random.randrange(1, 60)):
            if ended.is_set():
                return
            chance = self._random.random()
            if chance < 0.02:
                client.send(self._head)  # And leaves.
                return
            count = 2 if chance < 0.1 else 1
            client.send(self._head * count)
            try:
                got = [client.answer() for _ in range(count)]
            except OSError:
                self.broken += 1
                return
            self.answers += [(each.status, each.audit_id) for each in got]
            if any(each.headers.get("connection") == ["close"] for each in got):
                return


def moody(connection: Connection, head: bytes) -> None:
    """Answer as kube-apiserver does, and now and then as one that is in trouble."""
    mood = random.random()
    if b"watch=1" in head:
        connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        connection.send(b"2\r\n{}\r\n")
        connection.tls.settimeout(1)
        connection.tls.recv(1)
    elif mood < 0.9:
        connection.send(OK)
    elif mood < 0.94:
        connection.send(OK[:40])
        connection.send(OK[40:])
    elif mood < 0.96:
        connection.tls.close()
    elif mood < 0.98:
        connection.send(answer(200, b"last", "connection: close"))
    else:
        time.sleep(0.02)
        connection.send(OK)


def replace_policy(scripted: Scripted, number: int) -> None:
    """Have another policy in force soon, which permits user 0 and user 1 in turn."""
    denied = {
        "id": "not-now",
        "effect": "deny",
        "subjects": {"users": [f"{PREFIX}user-{number % 2}"]},
        "match": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
    }
    file = scripted.world.directory / "policy.yaml"
    new = file.with_name("policy.new")
    new.write_text(yaml.safe_dump(POLICY | {"rules": [*POLICY["rules"], denied]}))
    new.rename(file)


def watch(scripted: Scripted, number: int, ended: threading.Event) -> None:
    """Watch again and again, as user 0 and user 1, whom the policy cuts."""
    token = scripted.world.token(f"user-{number}", "readers")
    head = request("GET", WATCH, token, "Connection: close")
    while not ended.is_set():
        with scripted.world.client() as client:
            client.send(head)
            try:
                while not ended.is_set() and client.receive():
                    pass
            except OSError:
                pass
        time.sleep(0.05)


def by_request(records: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        if "audit_id" in record:
            found.setdefault(record["audit_id"], []).append(record)
    return found


def test_every_request_has_one_decision_and_every_permit_one_outcome(scripted: Scripted) -> None:
    scripted.api_server.script = moody
    proxy, ended = scripted.world.proxy, threading.Event()
    callers = [Caller(scripted, f"user-{n % USERS}", seed=n) for n in range(2 * USERS)]
    with ThreadPoolExecutor(len(callers) + 2) as threads:
        working = [threads.submit(caller.call_until, ended) for caller in callers]
        working += [threads.submit(watch, scripted, number, ended) for number in range(2)]
        begun, number = time.monotonic(), 0
        # A busy machine may take longer until a policy meets a watch that it ends.
        while time.monotonic() < begun + SECONDS or (
            '"policy-cut"' not in proxy.decision_log.read_text()
            and time.monotonic() < begun + 10 * SECONDS
        ):
            replace_policy(scripted, number)
            number += 1
            time.sleep(0.7)
        ended.set()
        for each in working:
            each.result(30)
    eventually(lambda: counted(proxy, "kzproxy_requests_in_flight") == 0)
    proxy.stop()
    check_what_is_in_the_log(scripted, callers)
    assert "Traceback" not in proxy.diagnostics


def check_what_is_in_the_log(scripted: Scripted, callers: list[Caller]) -> None:
    requests = by_request(scripted.world.proxy.records())
    for same in requests.values():
        decision, *ends = same
        assert decision["kind"] == "decision", same
        assert [each["kind"] for each in ends] == ["completed"] * (
            decision["decision"] == "permit"
        ), same
    # What a client was told stands in the log, as its own.
    for caller in callers:
        for status, audit_id in caller.answers:
            decision, *ends = requests[audit_id]
            assert decision["user"]["name"] == PREFIX + caller.name
            assert (ends or [decision])[-1]["status_code"] == status
    # What kube-apiserver was asked was permitted to whom it was asked for.
    for head in scripted.api_server.heads:
        decision = requests[audit_id_of(head)][0]
        assert (decision["decision"], decision["user"]["name"]) == ("permit", user_of(head))
    statuses = Counter(status for caller in callers for status, _ in caller.answers)
    assert statuses[200] > 100
    assert statuses[403] > 0
    terminations = Counter(end["termination"] for same in requests.values() for end in same[1:])
    assert {"normal", "policy-cut", "client-gone"} <= terminations.keys()
