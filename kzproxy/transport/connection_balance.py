"""Have connections spread evenly over workers.

The kernel draws each connection's worker by a hash of its addresses (SO_REUSEPORT): of ten that two
workers share, one has six or more as often as not, and one that was started in another's place has
none of those that are left. So a worker hands what has connected to it to one that has fewer
connections, before anything is read of it (SCM_RIGHTS, unix(7)). How many each has stands where all
of them see it.
"""

import errno
import mmap
import socket
from array import array
from pathlib import Path
from typing import Final

_BOARD = "connections"
_INT: Final = "i"
_TAKES_NONE = -1
# The least that the kernel grants, room for six connections that are not taken yet: a worker that
# is stuck shall not swallow more of each other one's.
_OUTBOX_BYTES = 1
_ANY = b"c"
# Beyond it, as when a worker was started in another's place, one hands over so much only that
# whoever has fewest gets half as many again as its share: what others have more may be idle watches
# alone, and all the work would be that one's.
_SMALL_DIFFERENCE = 16
_RIGHTS_BYTES = socket.CMSG_LEN(array(_INT).itemsize)  # of one descriptor


def make_board(directory: Path, workers: int) -> None:
    """Make what ``workers`` see each other's connections on.

    Args:
        directory: Nobody else's.
        workers: How many there are.

    Raises:
        OSError: It cannot be written.
    """
    (directory / _BOARD).write_bytes(array(_INT, [_TAKES_NONE] * workers).tobytes())


class ConnectionBalance:
    """One worker's part in it.

    Args:
        directory: Whose board was made.
        number: This worker's, from 1.

    Attributes:
        inbox: Can be read where another worker has handed one over.

    Raises:
        OSError: There is no board, or no room for the socket's name.
    """

    def __init__(self, directory: Path, number: int) -> None:
        with (directory / _BOARD).open("r+b") as file:
            self._counts = memoryview(mmap.mmap(file.fileno(), 0)).cast(_INT)
        self._own = number - 1
        self._kept = 0
        self._names = [str(directory / f"{each}.in") for each in range(1, len(self._counts) + 1)]
        self._outboxes = [_outbox() for _ in self._names]
        self.inbox = _inbox(self._names[self._own])

    def tell(self, count: int) -> None:
        """Have the others know how many connections are open here; the first time, take part."""
        self._counts[self._own] = count

    def hand_over(self, sock: socket.socket) -> bool:
        """Hand a connection to a worker that has fewer, if one takes it; it is closed here then."""
        counts = self._counts
        own = counts[self._own]
        fewer = sorted((count, other) for other, count in enumerate(counts) if 0 <= count < own)
        if not fewer or not self._is_due(own - fewer[0][0]):
            return False
        for _, other in fewer:
            if self._is_sent(sock, other):
                sock.close()
                return True
        return False

    def accept(self) -> tuple[socket.socket, tuple[str, int]]:
        """Do as ``socket.accept`` does, with what others hand over.

        Raises:
            BlockingIOError: There is none.
            OSError: One was lost for want of a descriptor.
        """
        while True:
            sock = self._received()
            try:
                host, port = sock.getpeername()[:2]
            except OSError:  # The client has gone.
                sock.close()
                continue
            return sock, (host, port)

    def leave(self) -> None:
        """Have nothing handed here any more; what was handed over can still be accepted."""
        self.inbox.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        """Leave at once."""
        for sock in (self.inbox, *self._outboxes):
            sock.close()

    def _is_due(self, difference: int) -> bool:
        """Whether to even out so great a difference with what has come in now."""
        if difference <= _SMALL_DIFFERENCE:
            return True
        self._kept += 1
        if self._kept < 2 * (len(self._counts) - 1):
            return False
        self._kept = 0
        return True

    def _received(self) -> socket.socket:
        # Not by socket.recv_fds, which heeds no flags: what kzproxy runs would inherit it.
        _, rights, _, _ = self.inbox.recvmsg(1, _RIGHTS_BYTES, socket.MSG_CMSG_CLOEXEC)
        descriptors = array(_INT)
        for _, _, data in rights:
            descriptors.frombytes(data)
        if not descriptors:
            raise OSError(errno.EMFILE, "a connection that was handed over is lost")
        return socket.socket(fileno=descriptors[0])

    def _is_sent(self, sock: socket.socket, other: int) -> bool:
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array(_INT, [sock.fileno()]))
        try:
            self._outboxes[other].sendmsg([_ANY], [rights], 0, self._names[other])
        except OSError:  # It has left or was killed, or has not taken those before.
            return False
        return True


def _inbox(name: str) -> socket.socket:
    Path(name).unlink(missing_ok=True)  # of a worker that was killed
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        sock.bind(name)
        sock.setblocking(False)  # noqa: FBT003 - the socket's own signature
    except OSError:
        sock.close()
        raise
    return sock


def _outbox() -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _OUTBOX_BYTES)
    sock.setblocking(False)  # noqa: FBT003 - the socket's own signature
    return sock
