"""How many connections are taken, and what becomes of those that say nothing."""

import contextlib
import resource
import socket
import ssl
import time
from collections.abc import Iterator

import pytest

from tests.limits.conftest import LIMITS
from tests.limits.told import counted
from tests.proxy.eventually import eventually
from tests.proxy.fixtures import Scripted
from tests.proxy.world import request

PODS = "/api/v1/namespaces/a/pods"


@pytest.fixture
def sockets() -> Iterator[contextlib.ExitStack]:
    """Closes what a test opens in numbers."""
    with contextlib.ExitStack() as stack:
        yield stack


def dial(scripted: Scripted, source: str) -> socket.socket:
    port = scripted.world.proxy.port
    return socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(source, 0))


def turned_away(sock: socket.socket) -> bool:
    try:
        return not sock.recv(1)
    except ConnectionResetError:
        return True


def one_more_is_turned_away(scripted: Scripted, source: str) -> bool:
    """Try; kzproxy may have reset the connection before the kernel here says that there is one."""
    try:
        with dial(scripted, source) as one_more:
            return turned_away(one_more)
    except ConnectionResetError:
        return True


def is_served(scripted: Scripted, source: str = "127.0.0.1") -> float:
    """Have one request answered on a connection of its own; return how long it took."""
    begun = time.monotonic()
    with scripted.world.client(source=source) as client:
        asked = request("GET", PODS, scripted.world.token("healthy", "testers"))
        assert client.ask(asked).status == 200
    return time.monotonic() - begun


def when_served(scripted: Scripted) -> None:
    """Wait until kzproxy has noticed that connections were closed."""
    deadline = time.monotonic() + 10
    while True:
        try:
            is_served(scripted)
        except (ConnectionError, ssl.SSLError):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


def test_one_address_cannot_take_more_than_its_share(
    limited: Scripted, sockets: contextlib.ExitStack
) -> None:
    refusals = 'kzproxy_connections_refused_total{limit="address"}'
    before = counted(limited.world.proxy, refusals)
    for _ in range(LIMITS["connectionsPerAddress"]):
        sockets.enter_context(dial(limited, "127.0.0.2"))

    assert one_more_is_turned_away(limited, "127.0.0.2")
    assert counted(limited.world.proxy, refusals) == before + 1
    assert is_served(limited, "127.0.0.3") < 5
    sockets.close()
    when_served(limited)
    assert is_served(limited, "127.0.0.2") < 5


def test_in_all_no_more_are_taken_than_there_is_room_for(
    limited: Scripted, sockets: contextlib.ExitStack
) -> None:
    refusals = 'kzproxy_connections_refused_total{limit="total"}'
    before = counted(limited.world.proxy, refusals)
    for number in range(LIMITS["connections"]):
        sockets.enter_context(dial(limited, f"127.0.1.{number % 2 + 1}"))

    assert one_more_is_turned_away(limited, "127.0.1.3")
    assert counted(limited.world.proxy, refusals) == before + 1
    sockets.close()
    when_served(limited)


def test_E4_2_a_handshake_that_never_ends_is_hung_up_on(limited: Scripted) -> None:
    failures = counted(limited.world.proxy, "kzproxy_handshake_failures_total")
    begun = time.monotonic()
    with dial(limited, "127.0.0.4") as silent, dial(limited, "127.0.0.4") as partial:
        partial.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")  # half a ClientHello
        assert turned_away(silent)
        assert turned_away(partial)

    assert 1.5 < time.monotonic() - begun < 6
    assert counted(limited.world.proxy, "kzproxy_handshake_failures_total") == failures + 2


def test_E4_2_a_healthy_client_is_served_beside_2000_idle_ones(
    scripted: Scripted, sockets: contextlib.ExitStack
) -> None:
    """Half of them have shaken hands and say nothing, half never finish their handshake."""
    made = ssl.create_default_context(cafile=scripted.world.authority_file)
    before = sorted(is_served(scripted) for _ in range(50))
    for number in range(2000):
        sock = dial(scripted, f"127.0.2.{number % 4 + 1}")
        if number % 2:
            sock = made.wrap_socket(sock, server_hostname="localhost")
        sockets.enter_context(sock)

    assert counted(scripted.world.proxy, "kzproxy_connections") >= 1000
    waits = sorted(is_served(scripted) for _ in range(50))
    assert waits[-1] < 5, "an idle one is held for ten seconds"
    assert waits[25] < 0.25 + 3 * before[25], "more than a busy machine takes"


def test_each_connection_is_a_task_that_ends_with_it(
    scripted: Scripted, sockets: contextlib.ExitStack
) -> None:
    def tasks() -> float:
        return counted(scripted.world.proxy, "kzproxy_tasks")

    eventually(lambda: counted(scripted.world.proxy, "kzproxy_connections") == 0)
    before = tasks()
    made = ssl.create_default_context(cafile=scripted.world.authority_file)
    for _ in range(5):
        sock = made.wrap_socket(dial(scripted, "127.0.0.1"), server_hostname="localhost")
        sockets.enter_context(sock)
    assert tasks() >= before + 5

    sockets.close()
    deadline = time.monotonic() + 10
    while tasks() > before:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_without_descriptors_it_rests_and_then_goes_on(
    limited: Scripted, sockets: contextlib.ExitStack
) -> None:
    proxy = limited.world.proxy
    rests = counted(proxy, "kzproxy_accept_failures_total")
    before = resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE)
    token = limited.world.token("al", "testers")
    begun = time.monotonic()
    with limited.world.client() as early:
        assert early.ask(request("GET", PODS, token)).status == 200
        resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE, (1, before[1]))
        try:
            waiting = sockets.enter_context(dial(limited, "127.0.0.5"))
            time.sleep(0.5)
            assert early.ask(request("GET", PODS, token)).status == 200, "the old one is served"
        finally:
            resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE, before)
        assert is_served(limited) < 15
        made = ssl.create_default_context(cafile=limited.world.authority_file)
        sockets.enter_context(made.wrap_socket(waiting, server_hostname="localhost"))

    rested = counted(proxy, "kzproxy_accept_failures_total") - rests
    assert 1 <= rested <= 2 + 10 * (time.monotonic() - begun), "for a tenth of a second each"
    assert proxy.diagnostics.count("cannot accept: EMFILE; resting") == 1, "once a minute at most"
