"""Free ports on the loopback interface."""

import secrets
import socket
from pathlib import Path

LOOPBACK = "127.0.0.1"

# Above the ports that browsers refuse, below those of NodePorts.
_LOWEST, _END = 16_384, 30_000
_ENOUGH = 1_000
_KERNELS = Path("/proc/sys/net/ipv4/ip_local_port_range")

_given: set[int] = set()
_share: tuple[int, int] = (0, 1)


def choose_of(share: int, shares: int) -> None:
    """Choose from now on from one of so many shares, where others choose from theirs.

    For processes that start much at the same time: what one has been given and does not use yet
    looks free to the others.
    """
    global _share  # noqa: PLW0603 - as what was given: it is the machine's ports that are shared
    _share = (share, shares)


def free_ports(count: int) -> list[int]:
    """Return ``count`` ports that were free a moment ago, none of which is ever given again.

    Nor does the kernel give one to a connection that is opened before it is used, where it leaves
    enough. Another process may still take one: whoever listens on it then says so.
    """
    share, shares = _share
    candidates = range(_LOWEST + share, _end(), shares)
    found: list[int] = []
    while len(found) < count:
        port = secrets.choice(candidates)
        if port not in _given and _is_free(port):
            _given.add(port)
            found.append(port)
    return found


def _end() -> int:
    """Return the end of what to choose from: below what the kernel gives, if that is enough."""
    try:
        kernels = int(_KERNELS.read_text().split()[0])
    except OSError:  # not Linux, whose range begins higher
        return _END
    return min(kernels, _END) if kernels >= _LOWEST + _ENOUGH else _END


def _is_free(port: int) -> bool:
    with socket.socket() as sock:
        try:
            sock.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
