"""The browser's way back."""

import select
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kzproxy.client.callback_listener import (
    MAX_CONNECTIONS,
    MAX_HEAD_BYTES,
    Arrival,
    CallbackListener,
)
from kzproxy.client.failure import ClientFailure
from kzproxy.clock.system import SystemClock

# Only so that what hangs fails.
WAIT_SECONDS = 30.0


@pytest.fixture
def listener() -> Iterator[CallbackListener]:
    with CallbackListener((), SystemClock()) as opened:
        yield opened


def port(listener: CallbackListener) -> int:
    return int(listener.redirect_uri.partition("127.0.0.1:")[2].partition("/")[0])


def wait(listener: CallbackListener, seconds: float = WAIT_SECONDS) -> Arrival | None:
    return listener.wait(SystemClock().monotonic() + seconds)


def works_until(listener: CallbackListener, holds: Callable[[], bool]) -> None:
    """Have it work, while no callback comes, until something has come of what it was sent."""
    while not holds():
        assert wait(listener, 0.02) is None


def has_heard(client: socket.socket) -> bool:
    """Return whether the other side has answered, or closed."""
    return bool(select.select([client], [], [], 0)[0])


def connection(listener: CallbackListener) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port(listener)), timeout=WAIT_SECONDS)


def head(listener: CallbackListener, target: str, method: str = "GET", host: str = "") -> bytes:
    host = host or f"127.0.0.1:{port(listener)}"
    return f"{method} {target} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n\r\n".encode()


def ended(client: socket.socket) -> bool:
    """Return whether the other side has closed without a word."""
    try:
        return client.recv(1) == b""
    except ConnectionError:
        return True


def answer_to(listener: CallbackListener, request: bytes) -> bytes:
    """Send ``request``, which is not the callback; return the whole answer."""
    with connection(listener) as client:
        client.sendall(request)
        works_until(listener, lambda: has_heard(client))
        return client.makefile("rb").read()


def test_it_listens_on_the_loopback_address_only(listener: CallbackListener) -> None:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing; tells this machine's own address
        address = probe.getsockname()[0]
    assert address != "127.0.0.1"
    for other in (address, "127.0.0.2"):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((other, port(listener)), timeout=WAIT_SECONDS)
    assert listener.redirect_uri == f"http://127.0.0.1:{port(listener)}/callback"


def test_the_callback_arrives_and_is_answered(listener: CallbackListener) -> None:
    with connection(listener) as client:
        client.sendall(head(listener, "/callback?code=a%2Fb&state=s"))
        arrival = wait(listener)
        assert arrival is not None
        assert arrival.parameters == {"code": "a/b", "state": "s"}
        arrival.answer("200 OK", "<p>page</p>")
        answer = client.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nCache-Control: no-store\r\n" in answer
    assert b"\r\nReferrer-Policy: no-referrer\r\n" in answer
    assert b"default-src 'none'" in answer
    assert answer.endswith(b"<p>page</p>")


def test_a_request_in_single_bytes_arrives(listener: CallbackListener) -> None:
    with connection(listener) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in head(listener, "/callback?state=s"):
            client.sendall(bytes([byte]))
        arrival = wait(listener)
        assert arrival is not None
        assert arrival.parameters == {"state": "s"}
        arrival.answer("200 OK", "")


def test_silent_connections_do_not_stand_in_the_way(listener: CallbackListener) -> None:
    with ExitStack() as silent:
        for number in range(MAX_CONNECTIONS + 5):
            silent.enter_context(connection(listener))
            if number % 8 == 0:  # the backlog is no longer than that many
                assert wait(listener, 0.1) is None
        test_the_callback_arrives_and_is_answered(listener)


def test_one_that_speaks_as_it_is_dropped_for_another_is_passed_over(
    listener: CallbackListener,
) -> None:
    with ExitStack() as held:
        oldest, *_ = (held.enter_context(connection(listener)) for _ in range(MAX_CONNECTIONS))
        works_until(listener, lambda: len(listener._heads) == MAX_CONNECTIONS)
        held.enter_context(connection(listener))  # is readable before the oldest is
        oldest.sendall(b"GET ")
        works_until(listener, lambda: has_heard(oldest))
        assert ended(oldest)
        test_the_callback_arrives_and_is_answered(listener)


@pytest.mark.parametrize(
    ("target", "method", "status"),
    [
        ("/", "GET", b"404"),
        ("/favicon.ico", "GET", b"404"),
        ("/callback/", "GET", b"404"),
        ("/%63allback", "GET", b"404"),
        ("http://127.0.0.1/callback", "GET", b"404"),
        ("/callback", "POST", b"405"),
        ("/callback", "HEAD", b"405"),
    ],
)
def test_what_is_not_the_callback_is_answered_and_waited_past(
    listener: CallbackListener, target: str, method: str, status: bytes
) -> None:
    answer = answer_to(listener, head(listener, target, method))
    assert answer.startswith(b"HTTP/1.1 " + status)
    test_the_callback_arrives_and_is_answered(listener)


@pytest.mark.parametrize("host", ["evil.test", "localhost:1", "127.0.0.1", "127.0.0.1:1"])
def test_another_name_for_this_address_is_refused(listener: CallbackListener, host: str) -> None:
    """A page whose name resolves to 127.0.0.1 is not let in (DNS rebinding)."""
    answer = answer_to(listener, head(listener, "/callback?state=s", host=host))
    assert answer.startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("hosts", ["", "Host: 127.0.0.1:{port}\r\nHost: 127.0.0.1:{port}\r\n"])
def test_no_host_and_two_hosts_are_refused(listener: CallbackListener, hosts: str) -> None:
    lines = hosts.format(port=port(listener))
    request = f"GET /callback?state=s HTTP/1.1\r\n{lines}\r\n".encode()
    assert answer_to(listener, request).startswith(b"HTTP/1.1 400")


def test_a_parameter_that_comes_twice_does_not_count(listener: CallbackListener) -> None:
    with connection(listener) as client:
        client.sendall(head(listener, "/callback?code=a&state=s&code=b&empty="))
        arrival = wait(listener)
        assert arrival is not None
        assert arrival.parameters == {"state": "s", "empty": ""}
        arrival.answer("200 OK", "")


def test_an_endless_head_is_dropped(listener: CallbackListener) -> None:
    with connection(listener) as client:
        client.sendall(b"GET /callback?state=" + b"x" * MAX_HEAD_BYTES)
        works_until(listener, lambda: has_heard(client))
        assert ended(client)


@given(st.binary(max_size=200))
@settings(max_examples=50, deadline=None)
def test_any_bytes_are_dropped_answered_or_waited_for(data: bytes) -> None:
    with CallbackListener((), SystemClock()) as listener:
        with connection(listener) as client:
            client.sendall(data + b"\r\n\r\n")
            client.shutdown(socket.SHUT_WR)
            assert wait(listener, 0.01) is None
        test_the_callback_arrives_and_is_answered(listener)


def test_a_browser_that_has_gone_is_no_error(listener: CallbackListener) -> None:
    client = connection(listener)
    client.sendall(head(listener, "/callback?state=s"))
    arrival = wait(listener)
    client.close()
    assert arrival is not None
    arrival.answer("200 OK", "x" * 10_000_000)


def test_nothing_comes_in_time(listener: CallbackListener) -> None:
    assert wait(listener, 0.05) is None


def test_the_ports_are_tried_in_their_order(listener: CallbackListener) -> None:
    taken = port(listener)
    with CallbackListener((), SystemClock()) as other:
        free = port(other)
    with CallbackListener((taken, free), SystemClock()) as third:
        assert port(third) == free
        with pytest.raises(ClientFailure, match=f"none of the ports {taken}, {free} of 127.0.0.1"):
            CallbackListener((taken, free), SystemClock())


def test_nothing_listens_afterwards() -> None:
    with CallbackListener((), SystemClock()) as listener:
        with connection(listener):
            """Accepted or not, it is closed as well."""
        left = port(listener)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", left), timeout=WAIT_SECONDS)
