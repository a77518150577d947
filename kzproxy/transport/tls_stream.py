"""A TLS connection as a stream of bytes on the event loop.

A non-blocking ``SSLSocket`` that is told when it is ready (``readiness``): asyncio's own TLS
transport costs twice the CPU and ten times the memory of an idle watch.

One object in layers: ``tls_waiting``, ``tls_sending``, ``tls_receiving``, ``tls_gathering``,
``tls_resting`` and here how it begins and ends. A layer inherits from the one below where it could
hold it, because every small request would pay for the calls from one to the next. What OpenSSL asks
of a layer stands at its head.
"""

import asyncio
import contextlib
import fcntl
import math
import socket
import ssl
import termios
from array import array
from typing import cast

from kzproxy.transport.alongside import alongside
from kzproxy.transport.broken import StreamBroken, forget_left, tls_words
from kzproxy.transport.keepalive import unheard_seconds
from kzproxy.transport.resetting import reset_on_close
from kzproxy.transport.stall import Stall
from kzproxy.transport.tls_resting import TlsResting
from kzproxy.transport.tls_waiting import Records

# More than the kernels on both sides hold of an upload, which must be gone before the close.
_LINGER_BYTES = 16 * 1024 * 1024
LINGER_SECONDS = 1.0


class TlsStream(TlsResting):
    """One TLS connection; at most one caller receives and one sends at a time.

    Attributes:
        sending: How long a send may wait for a peer that takes nothing.
        receiving: How long ``receive_into`` and ``receive_gathered`` may wait for a peer that sends
            nothing.
    """

    __slots__ = ("receiving", "sending")

    def __init__(self, sock: ssl.SSLSocket, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(sock, loop)
        self.sending = Stall()
        self.receiving = Stall()

    @property
    def tls(self) -> ssl.SSLSocket:
        """The socket, to ask what was negotiated."""
        return self._sock

    async def handshake(self) -> None:
        """Shake hands; bound by ``deadline``.

        Raises:
            StreamBroken: The peer is not who it must be, or does not speak TLS.
        """
        while True:
            try:
                self._sock.do_handshake()
            except ssl.SSLWantReadError:
                await self._until_readable()
            except ssl.SSLWantWriteError:
                await self._until_writable()
            except OSError as error:
                forget_left(error)
                raise StreamBroken(f"TLS handshake: {tls_words(error)}") from error
            else:
                return

    def overdue(self, now: float) -> bool:
        """Whether ``deadline`` has passed, or the peer has stood still for too long.

        To be asked again and again: what the peer took is told from one time to the next, by what
        the kernel holds for it. That it holds less is progress; the socket is writable only when it
        holds much less, which takes a slow peer minutes.
        """
        if not self._writable:  # As nearly always: this is asked of thousands, often.
            self.sending.since = math.inf
        elif self._sends_in_vain(now):
            return True
        if self._taken is None:
            self.receiving.since = math.inf
        elif self._waits_in_vain(now):
            return True
        return self.deadline <= now

    @property
    def unhurried(self) -> bool:
        """Whether no time bounds its present wait, for input or for the end of a ``watch``."""
        if self._closed or self._writable or self.deadline != math.inf:
            return False
        if self._taken is not None:
            return self.receiving.seconds == math.inf
        return self._gone is not None

    def unheard_for(self, seconds: float) -> bool:
        """Whether what was sent is sent again for so long without a word of the peer's kernel."""
        if self._closed:
            return False
        with contextlib.suppress(OSError):
            return unheard_seconds(self._sock) >= seconds
        return False

    @property
    def number(self) -> int:
        """Of its descriptor; once it is closed somebody else's."""
        return self._fd

    def _sends_in_vain(self, now: float) -> bool:
        if self._closed or self.sending.seconds == math.inf:
            self.sending.forget()
            return False
        return self.sending.lasts((self.bytes_sent, self._unacknowledged_bytes()), now)

    def _waits_in_vain(self, now: float) -> bool:
        if self.receiving.seconds == math.inf:
            self.receiving.forget()
            return False
        return self.receiving.lasts((self.bytes_received,), now)

    def _unacknowledged_bytes(self) -> int:
        held = array("i", [0])
        fcntl.ioctl(self._fd, termios.TIOCOUTQ, held)  # tcp(7): SIOCOUTQ
        return held[0]

    def close(self) -> None:
        """Say goodbye in TLS where that does not have to wait, and close."""
        if self._closed:
            return
        if self._offered is None:
            self._said_goodbye()
        self._release()

    async def linger(self) -> None:
        """Close after the peer had a moment to read the last answer.

        Closing a socket with unread input sends a reset, which can destroy an answer that the peer
        has not read yet: so end our side, then read and drop for at most a second and 16 MiB. Where
        there is no room yet to end our side, 16 MiB more are dropped within that second.
        """
        if self._closed:
            return
        self._receive_failure = None  # What ended the exchange does not end the peer's reading.
        with contextlib.suppress(OSError, TimeoutError, StreamBroken):
            async with asyncio.timeout(LINGER_SECONDS):
                if not self._said_goodbye():
                    # Beside what it sends: a peer may read only once it has sent all.
                    async with alongside(self._drop_input()):
                        await self._until_said_goodbye()
                # The socket's own shutdown, below TLS, whose close_notify has just been sent. That
                # of ``SSLSocket`` drops TLS: what is sent after it goes out in plain text. Never
                # called.
                socket.socket.shutdown(self._sock, socket.SHUT_WR)
                await self._drop_input()
        self._release()

    def _said_goodbye(self) -> bool:
        """Send close_notify; false where there is no room for it yet."""
        try:
            self._sock.unwrap()
        except ssl.SSLWantWriteError:
            return False
        except ssl.SSLWantReadError:  # It has gone out; the peer's is not waited for.
            return True
        except (OSError, ValueError) as error:  # TLS is broken, or has ended: none can go out.
            forget_left(error)
        return True

    async def _until_said_goodbye(self) -> None:
        while not self._said_goodbye():
            await self._until_writable()

    async def _drop_input(self) -> None:
        left = _LINGER_BYTES
        with contextlib.suppress(OSError, StreamBroken):
            while left > 0:
                try:
                    data = socket.socket.recv(self._sock, 65536)
                except BlockingIOError:
                    await self._until_readable()
                    continue
                if not data:
                    return
                left -= len(data)
                await self._take_turns(len(data))

    def abort(self) -> None:
        """Reset the connection: the peer cannot mistake it for a clean end."""
        if self._closed:
            return
        reset_on_close(self._sock)
        self._release()

    def _release(self) -> None:
        if self._closed:  # Its descriptor may be somebody else's by now.
            return
        self._closed = True
        self._gone = None
        self.deadline = math.inf
        if self._reader_on:
            self._readiness.remove_reader(self._fd)
        if self._writable:
            self._readiness.remove_writer(self._fd)
        error = StreamBroken("the connection was closed on this side")
        self.fail(error)
        self._end_rest()
        self._records = cast("Records", self._sock)
        self._sock.close()
