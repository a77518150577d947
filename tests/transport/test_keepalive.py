import contextlib
import socket
import time

from kzproxy.transport.keepalive import keep_probing, unheard_seconds
from tests.proxy.eventually import eventually
from tests.servers.vanished import vanish
from tests.transport.conftest import connected


def test_a_silent_peer_that_went_is_noticed_within_two_minutes() -> None:
    ours, theirs = connected()
    with ours, theirs:
        keep_probing(ours)
        idle, interval, probes = (
            ours.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )

        assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert idle + interval * probes <= 120


def test_a_path_that_forgets_who_says_nothing_for_a_minute_is_kept_open() -> None:
    """A watch is silent for longer, and whoever speaks first afterwards is not heard."""
    ours, theirs = connected()
    with ours, theirs:
        keep_probing(ours)

        assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) <= 30


def test_connections_inherit_it_from_the_socket_that_accepts_them() -> None:
    """The listener sets it once: Linux clones its socket for each connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        keep_probing(listening)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with socket.create_connection(listening.getsockname()):
            accepted, _ = listening.accept()
            with accepted:
                for level, option in (
                    (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
                    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
                    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
                    (socket.IPPROTO_TCP, socket.TCP_NODELAY),
                ):
                    wanted = listening.getsockopt(level, option)
                    assert accepted.getsockopt(level, option) == wanted != 0


def test_a_peer_that_went_while_something_is_on_its_way_is_not_heard_of() -> None:
    """Which keep-alive does not find out: the kernel sends again instead, for 15 minutes."""
    ours, theirs = connected()
    with ours, theirs:
        keep_probing(ours)
        assert not unheard_seconds(ours)
        vanish(theirs)
        ours.send(b"an event")

        eventually(lambda: unheard_seconds(ours) > 1)


def test_a_peer_that_lives_and_reads_nothing_is_heard_of() -> None:
    ours, theirs = connected()
    with ours, theirs:
        ours.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                ours.send(b"x" * 65536)
        for _ in range(20):
            time.sleep(0.1)
            assert not unheard_seconds(ours)
