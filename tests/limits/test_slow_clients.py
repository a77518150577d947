"""Clients that send slowly, read slowly, or not at all."""

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.limits.told import ended_of, is_broken_off, told
from tests.proxy.eventually import eventually
from tests.proxy.fixtures import Scripted
from tests.proxy.raw_client import RawClient
from tests.proxy.world import request
from tests.servers.scripted_api_server import Connection, answer

PODS = "/api/v1/namespaces/a/pods"
LOG = f"{PODS}/p/log"
MEBIBYTE = 1 << 20
CHUNK = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"


def without_end(amount: int, sent: list[int]) -> Callable[[Connection, bytes], None]:
    """Answer with ``amount`` bytes as fast as they are taken; note how much was."""

    def send(connection: Connection, _: bytes) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        with contextlib.suppress(OSError):
            for _ in range(amount // 0x10000):
                connection.send(CHUNK)
                sent.append(0x10000)
            connection.send(b"0\r\n\r\n")

    return send


def resident_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


def test_E4_4_a_gibibyte_read_at_1_kb_a_second_is_not_gathered(scripted: Scripted) -> None:
    sent: list[int] = []
    scripted.api_server.script = without_end(1 << 30, sent)
    proxy = scripted.world.proxy
    token = scripted.world.token("slow", "testers")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(scripted.world.client()) for _ in range(4)]
        for client in clients:
            client.send(request("GET", PODS, token))
            assert client.head()[0] == 200
        time.sleep(1)
        before = resident_bytes(proxy.pid)
        for _ in range(15):
            for client in clients:
                client.tls.recv(100)
            time.sleep(0.1)
        grown = resident_bytes(proxy.pid) - before

    assert grown < 2 * MEBIBYTE
    assert sum(sent) < 4 * 32 * MEBIBYTE, "it was read though nobody took it"


def test_a_large_list_read_at_full_speed_is_not_gathered(scripted: Scripted) -> None:
    scripted.api_server.script = without_end(256 * MEBIBYTE, [])
    proxy = scripted.world.proxy
    token = scripted.world.token("quick", "testers")
    with scripted.world.client() as client:
        client.send(request("GET", PODS, token))
        assert client.head()[0] == 200
        before, taken = resident_bytes(proxy.pid), 0
        while taken < 256 * MEBIBYTE:
            taken += len(client.receive())
        grown = resident_bytes(proxy.pid) - before

    assert grown < 4 * MEBIBYTE


def slow_reader(scripted: Scripted) -> RawClient:
    """Connect with a small window, so that what is not read is soon felt."""
    client = scripted.world.client(seconds=30)
    client.tls.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    return client


def kzproxys_end(client: RawClient) -> str:
    """Return how proc_net_tcp(5) names it."""
    ends = (client.tls.getpeername()[1], client.tls.getsockname()[1])
    return " ".join(f"0100007F:{port:04X}" for port in ends)


def test_a_client_that_reads_nothing_of_an_ordinary_answer_is_cut(limited: Scripted) -> None:
    limited.api_server.script = without_end(1 << 30, [])
    with slow_reader(limited) as client:
        client.send(request("GET", PODS, limited.world.token("stuck", "testers")))
        connection = kzproxys_end(client)
        assert connection in Path("/proc/net/tcp").read_text()
        end = ended_of(limited.world.proxy, "t:stuck")
        # The kernel would hold what is not taken for minutes.
        eventually(lambda: connection not in Path("/proc/net/tcp").read_text())
        assert is_broken_off(client), "what came of it must not look whole"

    assert end["termination"] == "client-gone"
    assert end["message"] == "the client reads nothing of its answer"
    assert end["duration_ms"] > 1900


def test_a_client_that_asks_on_and_on_and_never_reads_is_cut(limited: Scripted) -> None:
    """Each answer is small: it is their number that fills the buffers."""
    limited.api_server.script = lambda c, _: c.send(answer(200, b"x" * 60_000))
    asked = request("GET", PODS, limited.world.token("al", "testers"))
    with slow_reader(limited) as client:
        connection = kzproxys_end(client)
        client.tls.settimeout(10)  # a busy machine stands still for a second
        with contextlib.suppress(OSError):
            for _ in range(3000):
                client.send(asked)
        client.tls.settimeout(20)
        eventually(lambda: connection not in Path("/proc/net/tcp").read_text())
        assert is_broken_off(client)
    assert len(limited.api_server.heads) < 3000


def test_a_client_that_reads_slowly_but_steadily_is_served(limited: Scripted) -> None:
    """It takes some within the time, though less than makes its socket writable again."""
    whole = 16 * MEBIBYTE
    limited.api_server.script = lambda c, _: c.send(answer(200, b"x" * whole))
    with slow_reader(limited) as client:
        client.send(request("GET", PODS, limited.world.token("steady", "testers")))
        begun, taken = time.monotonic(), 0
        assert client.head()[0] == 200
        while time.monotonic() < begun + 3.2:
            taken += len(client.receive())
            time.sleep(0.05)
        while taken < whole:
            more = client.receive()
            assert more
            taken += len(more)


def test_a_log_or_a_watch_may_be_read_as_slowly_as_its_user_likes(limited: Scripted) -> None:
    """``kubectl logs | less`` reads no further while its user reads."""
    limited.api_server.script = without_end(32 * MEBIBYTE, [])
    token = limited.world.token("reader", "testers")
    targets = [LOG, f"{LOG}?follow=true", f"{PODS}?watch=true"]
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(slow_reader(limited)) for _ in targets]
        for client, target in zip(clients, targets, strict=True):
            client.send(request("GET", target, token))
            assert client.head()[0] == 200
        time.sleep(2.8)
        for client in clients:
            taken = 0
            while taken < 32 * MEBIBYTE:
                more = client.receive()
                assert more
                taken += len(more)


def test_E4_2_a_body_that_stops_coming_is_hung_up_on(limited: Scripted) -> None:
    answered = threading.Event()

    def wait_for_all(connection: Connection, _: bytes) -> None:
        with contextlib.suppress(OSError):
            connection.body(1000)
            answered.set()

    limited.api_server.script = wait_for_all
    token = limited.world.token("stalled", "testers")
    with limited.world.client() as client:
        begun = time.monotonic()
        client.send(request("POST", PODS, token, "Content-Length: 1000") + b"{")
        assert client.ended()
    end = ended_of(limited.world.proxy, "t:stalled")

    assert 5 < time.monotonic() - begun < 12
    assert (end["termination"], end.get("status_code")) == ("client-gone", None)
    assert not answered.is_set()


def test_E4_2_a_body_that_comes_slowly_but_steadily_is_taken(limited: Scripted) -> None:
    """kube-apiserver has nothing to answer while it waits for the body."""
    limited.api_server.script = lambda c, _: c.send(answer(201, c.body(10)))
    token = limited.world.token("al", "testers")
    with limited.world.client() as client:
        client.send(request("POST", PODS, token, "Content-Length: 10"))
        client.send(b"01234")
        time.sleep(2.5)
        client.send(b"56789")
        got = client.answer()

    assert (got.status, got.body) == (201, b"0123456789")


def test_E4_2_a_head_that_comes_byte_by_byte_has_one_time_out_in_all(limited: Scripted) -> None:
    begun = time.monotonic()
    with limited.world.client() as client:
        with contextlib.suppress(OSError):
            for byte in request("GET", PODS, "x" * 400):
                client.send(bytes([byte]))
                time.sleep(0.05)
        assert client.ended()

    assert time.monotonic() - begun < 8


@pytest.mark.parametrize("extra", [("X-A: b",) * 257, ("X-A: " + "b" * MEBIBYTE,)])
def test_E4_7_too_many_headers_or_too_long_a_head_are_told(
    limited: Scripted, extra: tuple[str, ...]
) -> None:
    with limited.world.client() as client:
        client.send(request("GET", PODS, limited.world.token("al", "testers"), *extra))
        got = client.answer()

    assert told(got) == (431, "RequestEntityTooLarge", "")
