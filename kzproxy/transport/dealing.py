"""Deal connections out to all workers in turn.

The kernel draws each connection's worker by a hash of its addresses (SO_REUSEPORT): of ten that two
workers share, one has six or more as often as not. So each worker deals what has connected to it:
the first it keeps, the second goes to the next worker, and so on, before anything is read of them
(SCM_RIGHTS, unix(7)). That takes nothing that workers would have to know of each other, and each
has an even share of what comes. By how many each has open, all would go to one that fails them at
once, and all work to one while the others have idle watches.
"""

import errno
import socket
from array import array
from pathlib import Path

_INT = "i"
_ANY = b"c"
_RIGHTS_BYTES = socket.CMSG_LEN(array(_INT).itemsize)  # of one descriptor
# The least that the kernel grants, room for some six connections that are not taken yet: a worker
# that is stuck shall not swallow more of each other one's.
_OUTBOX_BYTES = 1


class Dealing:
    """One worker's part in it.

    Args:
        directory: Nobody else's but the workers'.
        number: This worker's, from 1.
        workers: How many there are.
    """

    def __init__(self, directory: Path, number: int, workers: int) -> None:
        self._names = [directory / f"{each}.in" for each in range(1, workers + 1)]
        self._own = number - 1
        self._next = self._own
        self._outbox = [_datagrams() for _ in self._names]
        for sock in self._outbox:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _OUTBOX_BYTES)
        self.inbox = _datagrams()

    def begin(self) -> None:
        """Have connections handed here from now on.

        Raises:
            OSError: There is no room for the socket's name.
        """
        name = self._names[self._own]
        name.unlink(missing_ok=True)  # of a worker that was killed
        self.inbox.bind(str(name))

    def hand_over(self, sock: socket.socket) -> bool:
        """Hand a connection to whose turn it is; it is closed here then.

        Where it is this worker's own, or the other one does not take it, it stays here.
        """
        whose, self._next = self._next, (self._next + 1) % len(self._names)
        if whose == self._own:
            return False
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array(_INT, [sock.fileno()]))
        try:
            self._outbox[whose].sendmsg([_ANY], [rights], 0, str(self._names[whose]))
        except OSError:  # It has ended, or has not taken those before.
            return False
        sock.close()
        return True

    def accept(self) -> tuple[socket.socket, tuple[str, int]]:
        """Do as ``socket.accept`` does, with what others hand over.

        Raises:
            BlockingIOError: There is none.
            OSError: There is no descriptor for it; it waits.
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
        socket.socket.shutdown(self.inbox, socket.SHUT_RD)

    def close(self) -> None:
        """Leave at once."""
        for sock in (self.inbox, *self._outbox):
            sock.close()

    def _received(self) -> socket.socket:
        # Looked at first: to receive what there is no descriptor for would be its end. Not by
        # socket.recv_fds, which heeds no flags: what kzproxy runs would inherit the connection.
        flags = socket.MSG_PEEK | socket.MSG_CMSG_CLOEXEC
        _, rights, _, _ = self.inbox.recvmsg(1, _RIGHTS_BYTES, flags)
        descriptors = array(_INT)
        for _, _, data in rights:
            descriptors.frombytes(data)
        if not descriptors:
            raise OSError(errno.EMFILE, "no descriptor for a connection that was handed over")
        sock = socket.socket(fileno=descriptors[0])
        self.inbox.recv(1)
        return sock


def _datagrams() -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.setblocking(False)  # noqa: FBT003 - the socket's own signature
    return sock
