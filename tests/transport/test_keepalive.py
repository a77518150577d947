import socket

from kzproxy.transport.keepalive import keep_probing
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
