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
