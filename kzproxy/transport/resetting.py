"""Have a connection end as what was cut, not as what is complete."""

import contextlib
import socket
import struct

_NO_LINGERING = struct.pack("ii", 1, 0)


def reset(sock: socket.socket) -> None:
    """Close ``sock`` with a reset: what was not sent yet is dropped, and its peer knows."""
    reset_on_close(sock)
    sock.close()


def reset_on_close(sock: socket.socket) -> None:
    """Have ``sock`` be reset when it is closed; one that has no connection any more is left."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGERING)
