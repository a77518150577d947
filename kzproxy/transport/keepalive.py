"""Find out that a silent peer is gone.

A watch may say nothing for an hour, and so may a client whose lid is closed. Linux probes after two
hours by default; meanwhile both connections, the lease and a share of the user's limit are held.

It probes nobody to whom something is on its way: that it sends again and again, for a quarter of an
hour by default (tcp(7), tcp_retries2). TCP_USER_TIMEOUT would be shorter, but ends what a peer that
lives does not read, too: so the kernel is asked.
"""

import socket
import sys

UNHEARD_SECONDS = 120.0
"""How long what was sent may be sent again without a word of the peer's kernel."""

# Firewalls and load balancers forget a connection that says nothing, some of them after a minute.
_IDLE_SECONDS = 30
_INTERVAL_SECONDS = 15
_PROBES = 6
# struct tcp_info (linux/tcp.h), up to and with tcpi_last_ack_recv.
_INFO_BYTES = 60
_RETRANSMITS_AT = 2
_LAST_ACK_AT = 56


def keep_probing(sock: socket.socket) -> None:
    """Have the kernel end the connection two minutes after its peer went without a word."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _IDLE_SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _INTERVAL_SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES)


def unheard_seconds(sock: socket.socket) -> float:
    """Return for how long the peer's kernel has said nothing to what is being sent again.

    0 where nothing is. One that lives says that it has no room where its program does not read.

    Raises:
        OSError: The socket is closed.
    """
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
    if not info[_RETRANSMITS_AT]:
        return 0.0
    return int.from_bytes(info[_LAST_ACK_AT:_INFO_BYTES], sys.byteorder) / 1000
