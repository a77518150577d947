"""Find out that a silent peer is gone.

A watch may say nothing for an hour, and so may a client whose lid is closed. Linux probes after two
hours by default; meanwhile both connections, the lease and a share of the user's limit are held.
"""

import socket

_IDLE_SECONDS = 60
_INTERVAL_SECONDS = 15
_PROBES = 4


def keep_probing(sock: socket.socket) -> None:
    """Have the kernel end the connection two minutes after its peer went without a word."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _IDLE_SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _INTERVAL_SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES)
