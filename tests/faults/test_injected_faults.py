"""Whichever call to the operating system fails: nothing unlogged goes upstream, nothing is left."""

import contextlib
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.proxy.issuer_thread import issuer_in_thread
from tests.proxy.process import ProxyProcess
from tests.proxy.world import World, configuration, request
from tests.servers.authority import Authority
from tests.servers.scripted_api_server import (
    Connection,
    ScriptedApiServer,
    json_answer,
    scripted_api_server,
)

PODS = "/api/v1/namespaces/default/pods"
# A request needs a dozen of each kind; beyond, none fails any more.
MOST_CALLS = 60
_AUDIT_ID = re.compile(rb"\r\naudit-id: ([^\r]+)\r\n")


@dataclass
class Faulty:
    """A kzproxy whose calls fail as planned."""

    world: World
    api_server: ScriptedApiServer
    plan: Path

    def fails(self, number: int) -> None:
        """Have the call of that number fail."""
        self.plan.with_suffix(".new").write_text(str(number))
        self.plan.with_suffix(".new").rename(self.plan)

    def has_failed(self) -> bool:
        return not self.plan.exists()

    def ask(self, data: bytes) -> None:
        """Send it on a connection of its own and take what comes, if anything does."""
        with contextlib.suppress(OSError, ValueError), self.world.client(seconds=5) as client:
            client.tls.sendall(data)
            while client.tls.recv(65536):
                pass

    def unlogged(self) -> set[str]:
        """Return the audit ids that went upstream without a permit in the log."""
        permitted = {
            record["audit_id"]
            for record in self.world.proxy.records()
            if record["kind"] == "decision" and record["decision"] == "permit"
        }
        found = [_AUDIT_ID.search(head) for head in self.api_server.heads]
        return {each[1].decode() for each in found if each} - permitted

    def gauge(self, name: str) -> float:
        text = self.world.proxy.ops("/metrics")[1]
        found = [line for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
        assert found, text
        return sum(float(line.rsplit(" ", 1)[1]) for line in found)

    def sockets(self) -> int:
        """Return how many sockets kzproxy holds."""
        names = []
        for descriptor in Path(f"/proc/{self.world.proxy.pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                names.append(str(descriptor.readlink()))
        return sum(name.startswith("socket:") for name in names)


@contextlib.contextmanager
def faulty(directory: Path, calls: str) -> Iterator[Faulty]:
    authority = Authority.root()
    plan = directory / "plan"

    class Injected(ProxyProcess):
        program = (sys.executable, "-m", "tests.faults.injected", str(plan), calls)

    with (
        issuer_in_thread(directory, authority) as issuer,
        scripted_api_server(directory, authority) as api_server,
    ):
        settings = configuration(directory, authority, issuer, api_server.upstream())
        proxy = Injected(directory, settings)
        proxy.start()
        try:
            yield Faulty(World(directory, authority, issuer, proxy), api_server, plan)
        finally:
            proxy.stop()


def in_pieces(connection: Connection, _: bytes) -> None:
    """Answer in chunks, some of which come later."""
    connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    time.sleep(0.02)
    connection.send(b"5\r\nworld\r\n0\r\n\r\n")


def taking_a_body(connection: Connection, _: bytes) -> None:
    connection.body(100_000)
    connection.send(json_answer(201, {"ok": True}))


def settled(faulty: Faulty, sockets: int) -> bool:
    """Wait until nothing is under way; tell whether no more is held than before."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        quiet = not faulty.gauge("kzproxy_requests_in_flight")
        # One connection to kube-apiserver may be kept.
        if quiet and faulty.sockets() <= sockets + 1:
            return True
        time.sleep(0.05)
    return False


# What only reads is not waited for until it is on the disk.
@pytest.mark.parametrize(
    ("kind", "calls"),
    [
        (kind, calls)
        for kind in ("get", "post")
        for calls in ("read", "write", "handshake", "log", "sync", "accept")
        if (kind, calls) != ("get", "sync")
    ],
)
def test_a_call_that_fails_lets_nothing_through_and_leaves_nothing(
    tmp_path: Path, kind: str, calls: str
) -> None:
    with faulty(tmp_path, calls) as scene:
        token = scene.world.token("ann", "testers")
        body = b"x" * 100_000 if kind == "post" else b""
        scene.api_server.script = taking_a_body if kind == "post" else in_pieces
        method = "POST" if kind == "post" else "GET"
        data = request(method, PODS, token, "Connection: close", body=body)
        scene.ask(data)
        sockets = scene.sockets()
        failed = 0
        for number in range(1, MOST_CALLS):
            scene.fails(number)
            scene.ask(data)
            if not scene.has_failed():
                break
            failed += 1
            assert settled(scene, sockets), f"call {number} left something behind"
            assert scene.unlogged() == set(), f"call {number} let a request through"
        scene.plan.unlink(missing_ok=True)

        assert failed, "no call failed: the test tests nothing"
        assert scene.world.proxy.ops("/livez")[0] == 200
