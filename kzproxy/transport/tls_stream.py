"""A TLS connection as a stream of bytes on the event loop.

A non-blocking ``SSLSocket`` driven by ``add_reader`` and ``add_writer``: asyncio's own TLS
transport costs twice the CPU and ten times the memory of an idle watch. What OpenSSL asks:

* A write that would block must be offered again with the same bytes, so a piece that OpenSSL has
  seen is kept until it is taken; at most one record (16 KiB) is offered at a time.
* Bytes that OpenSSL has already decrypted do not wake the selector, so a read is always tried
  before it is waited for. While it is waited for, the selector's callback reads: if the waiting
  task did, the selector would find the socket readable once more before that ran.
* ``SSLSocket.shutdown`` drops TLS: what is sent after it goes out in plain text. Never called.
"""

import asyncio
import contextlib
import fcntl
import math
import socket
import ssl
import struct
import termios
from array import array
from collections.abc import Callable

from kzproxy.transport.stall import Stall

RECORD_BYTES = 16 * 1024  # TLS 1.3 record payload, RFC 8446 section 5.1
_STASH_BYTES = 64 * 1024
# After so much without having to wait, others get their turn.
_TURN_BYTES = 256 * 1024
_SMALL_BYTES = 4 * 1024
# More than the kernels on both sides hold of an upload, which must be gone before the close.
_LINGER_BYTES = 16 * 1024 * 1024
_LINGER_SECONDS = 1.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


# Is given what has come, and says whether it may be given more at once.
Take = Callable[[bytes], bool]


class StreamBroken(Exception):
    """The connection ended without TLS's own end: reset, truncated or against the protocol."""


class TlsStream:
    """One TLS connection; at most one caller receives and one sends at a time.

    Attributes:
        deadline: Monotonic seconds after which ``Deadlines`` fails the stream; ``inf`` for none.
        sending: How long a send may wait for a peer that takes nothing.
        receiving: How long ``receive_into`` may wait for a peer that sends nothing.
        bytes_received: Application bytes so far.
        bytes_sent: Application bytes so far.
    """

    __slots__ = (
        "__weakref__",
        "_closed",
        "_fd",
        "_gone",
        "_incoming",
        "_loop",
        "_offered",
        "_readable",
        "_reader_on",
        "_receive_failure",
        "_send_failure",
        "_sock",
        "_stash",
        "_take",
        "_taken",
        "_turn",
        "_unsent",
        "_writable",
        "bytes_received",
        "bytes_sent",
        "deadline",
        "receiving",
        "sending",
    )

    def __init__(self, sock: ssl.SSLSocket, loop: asyncio.AbstractEventLoop) -> None:
        self._sock = sock
        self._fd = sock.fileno()
        self._loop = loop
        self._readable: asyncio.Future[None] | None = None
        self._incoming: asyncio.Future[bytes | None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._reader_on = False
        self._receive_failure: Exception | None = None
        self._send_failure: Exception | None = None
        self._take: Take | None = None
        self._taken: asyncio.Future[bool] | None = None
        # What OpenSSL has been offered and must be offered again, and what comes after it.
        self._offered: memoryview | None = None
        self._unsent = memoryview(b"")
        self._stash = b""
        self._gone: Callable[[], None] | None = None
        self._turn = 0
        self._closed = False
        self.deadline = math.inf
        self.sending = Stall()
        self.receiving = Stall()
        self.bytes_received = 0
        self.bytes_sent = 0

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
                raise StreamBroken(f"TLS handshake: {_tls_words(error)}") from error
            else:
                return

    async def receive_next(self) -> bytes:
        """Do as ``receive`` does, where nothing is expected to be there yet.

        ``receive`` would first try in vain, which costs as much as reading.
        """
        if self._stash or self._sock.pending():
            return await self.receive()
        data = await self._until_received()
        return await self.receive() if data is None else data

    async def receive(self) -> bytes:
        """Return what has come, at most one record; empty at the peer's clean end.

        Raises:
            StreamBroken: The connection ended in another way.
            Exception: What ``fail`` or ``interrupt`` was given.
        """
        if self._stash:
            stash, self._stash = self._stash, b""
            return stash
        while True:
            self._raise_if_receiving_failed()
            try:
                data = self._read()
            except ssl.SSLWantReadError:
                received = await self._until_received()
                if received is not None:
                    return received
            except ssl.SSLWantWriteError:
                await self._until_writable()
            else:
                await self._take_turns(len(data))
                return data

    async def receive_into(self, take: Take) -> bool:
        """Hand what comes to ``take``, in the moment in which the selector says that it is there.

        A task that waits for it would be woken a turn of the loop later, at the price of another
        small request. ``receiving.seconds`` bounds the wait for each piece.

        Args:
            take: Called with what has come, at most one record, until it returns False. What it
                raises is raised here.

        Returns:
            Whether the peer may have more to say: False after its clean end.

        Raises:
            StreamBroken: The connection ended in another way.
            Exception: What ``fail`` or ``interrupt`` was given.
        """
        stash, self._stash = self._stash, b""
        if stash and not take(stash):
            return True
        while True:
            self._raise_if_receiving_failed()
            self._take, self._taken = take, self._loop.create_future()
            self._hand_over(take, self._taken)
            self._listen()
            try:
                return await self._taken
            except ssl.SSLWantWriteError:
                await self._until_writable()
            finally:
                self._take = self._taken = None

    def _hand_over(self, take: Take, taken: asyncio.Future[bool]) -> None:
        """Hand over what is there, up to a turn's share; set ``taken`` where that is the end."""
        if taken.done():
            return
        size = 0
        try:
            while size < _TURN_BYTES:
                data = self._read()
                if not data or not take(data):
                    taken.set_result(bool(data))
                    return
                if len(data) < _SMALL_BYTES:  # An event. To read on would nearly always be in vain.
                    break
                size += len(data)
            if self._sock.pending():  # The selector does not know of it.
                self._loop.call_soon(self._look_again)
        except ssl.SSLWantReadError:
            return
        except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
            taken.set_exception(error)

    def _raise_if_receiving_failed(self) -> None:
        if self._receive_failure is not None:
            raise self._receive_failure

    def _read(self) -> bytes:
        try:
            data = self._sock.read(RECORD_BYTES)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except OSError as error:
            raise StreamBroken(_tls_words(error)) from error
        self.bytes_received += len(data)
        return data

    async def send(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of ``data``; waits while the peer does not read.

        Raises:
            StreamBroken: The connection is gone.
            Exception: What ``fail`` was given.
        """
        if self.owes:
            await self.flush()
        if not self.send_now(data):
            await self.flush()

    @property
    def owes(self) -> bool:
        """Whether ``flush`` has something to send."""
        return self._offered is not None

    def send_now(self, data: bytes | bytearray | memoryview) -> bool:
        """Send what goes without waiting; where that is not all, ``flush`` must follow.

        Only where ``flush`` has sent what there was before.

        Returns:
            Whether all of it has gone.

        Raises:
            StreamBroken: The connection is gone.
            Exception: What ``fail`` was given.
        """
        if self._send_failure is not None:
            raise self._send_failure
        if len(data) > RECORD_BYTES:
            self._unsent = memoryview(data)
            self._offer_next()
            return False
        try:
            sent = self._sock.write(data)
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            self._offered = memoryview(data)
            return False
        except OSError as error:
            raise StreamBroken(_tls_words(error)) from error
        self.bytes_sent += sent
        if sent == len(data):
            return True
        self._offered = memoryview(data)[sent:]
        return False

    def _offer_next(self) -> None:
        piece, self._unsent = self._unsent[:RECORD_BYTES], self._unsent[RECORD_BYTES:]
        self._offered = piece or None

    async def flush(self) -> None:
        """Send what ``send_now`` could not; waits while the peer does not read.

        Raises:
            StreamBroken: The connection is gone.
            Exception: What ``fail`` was given.
        """
        try:
            while self._offered is not None:
                await self._send_offered(self._offered)
        except asyncio.CancelledError:
            self._unsent = memoryview(b"")  # But what was offered must be finished.
            raise

    async def _send_offered(self, offered: memoryview) -> None:
        if self._send_failure is not None:
            raise self._send_failure
        try:
            sent = self._sock.write(offered)
        except ssl.SSLWantWriteError:
            await self._until_writable()
        except ssl.SSLWantReadError:
            await self._until_readable()
        except OSError as error:
            raise StreamBroken(_tls_words(error)) from error
        else:
            self.bytes_sent += sent
            self._offered = offered[sent:]
            if not self._offered:
                self._offer_next()
            await self._take_turns(sent)

    async def _take_turns(self, size: int) -> None:
        """Let others have their turn after much without having had to wait."""
        self._turn += size
        if self._turn >= _TURN_BYTES:
            self._turn = 0
            await asyncio.sleep(0)

    def overdue(self, now: float) -> bool:
        """Whether ``deadline`` has passed, or the peer has stood still for too long.

        To be asked again and again: what the peer took is told from one time to the next, by what
        the kernel holds for it. That it holds less is progress; the socket is writable only when it
        holds much less, which takes a slow peer minutes.
        """
        return self.deadline <= now or self._sends_in_vain(now) or self._waits_in_vain(now)

    def _sends_in_vain(self, now: float) -> bool:
        if self._writable is None or self._closed or self.sending.seconds == math.inf:
            self.sending.forget()
            return False
        return self.sending.lasts((self.bytes_sent, self._unacknowledged_bytes()), now)

    def _waits_in_vain(self, now: float) -> bool:
        if self._taken is None or self.receiving.seconds == math.inf:
            self.receiving.forget()
            return False
        return self.receiving.lasts((self.bytes_received,), now)

    def _unacknowledged_bytes(self) -> int:
        held = array("i", [0])
        fcntl.ioctl(self._fd, termios.TIOCOUTQ, held)  # tcp(7): SIOCOUTQ
        return held[0]

    def watch(self, gone: Callable[[], None]) -> None:
        """Call ``gone`` once if the connection ends, or fails, while nobody receives.

        Bytes that come meanwhile are kept for ``receive``, up to 64 KiB; a peer that sends more
        is no longer watched. ``unwatch`` ends the watch.
        """
        if self._closed:  # Its descriptor may be somebody else's by now.
            return
        self._gone = gone
        self._listen()

    def unwatch(self) -> None:
        """End a ``watch``."""
        self._gone = None

    def fail(self, error: Exception) -> None:
        """Make every present and future receive and send raise ``error``; ends a ``watch``."""
        self._send_failure = error
        _break(self._writable, error)
        self.interrupt(error)
        gone, self._gone = self._gone, None
        if gone is not None:
            gone()

    def interrupt(self, error: Exception) -> None:
        """Make every present and future receive raise ``error``; sending goes on."""
        self._receive_failure = error
        _break(self._readable, error)
        _break(self._incoming, error)
        _break(self._taken, error)

    def close(self) -> None:
        """Say goodbye in TLS where that does not have to wait, and close."""
        if self._closed:
            return
        if self._offered is None:
            with contextlib.suppress(OSError, ValueError):
                self._sock.unwrap()
        self._release()

    async def linger(self) -> None:
        """Close after the peer had a moment to read the last answer.

        Closing a socket with unread input sends a reset, which can destroy an answer that the peer
        has not read yet: so end our side, then read and drop for at most a second and 16 MiB.
        """
        if self._closed:
            return
        with contextlib.suppress(OSError, ValueError):
            self._sock.unwrap()
        with contextlib.suppress(OSError):
            # The socket's own shutdown, below TLS, whose close_notify has just been sent.
            socket.socket.shutdown(self._sock, socket.SHUT_WR)
        self._receive_failure = None  # What ended the exchange does not end the peer's reading.
        with contextlib.suppress(OSError, TimeoutError, StreamBroken):
            async with asyncio.timeout(_LINGER_SECONDS):
                await self._drop_input()
        self._release()

    async def _drop_input(self) -> None:
        left = _LINGER_BYTES
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
        with contextlib.suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._release()

    def _release(self) -> None:
        if self._closed:  # Its descriptor may be somebody else's by now.
            return
        self._closed = True
        self._gone = None
        self.deadline = math.inf
        if self._reader_on:
            self._loop.remove_reader(self._fd)
        if self._writable is not None:
            self._loop.remove_writer(self._fd)
        error = StreamBroken("the connection was closed on this side")
        self.fail(error)
        self._sock.close()

    @property
    def closed(self) -> bool:
        """Whether this side has closed it."""
        return self._closed

    @property
    def usable(self) -> bool:
        """Whether it is neither closed nor failed on this side, and owes no piece."""
        broken = self._closed or self._send_failure or self._receive_failure
        return not broken and self._offered is None

    def at_rest(self) -> bool:
        """Whether it is usable and the peer, as far as can be known, has said nothing.

        Reads: what the peer has said is lost. Not while somebody receives.
        """
        if not self.usable or self._stash:
            return False
        if not self._sock.pending() and self._nothing_came():
            return True
        try:
            self._sock.read(RECORD_BYTES)
        except ssl.SSLWantReadError:
            return True
        except OSError:
            return False
        return False

    def _nothing_came(self) -> bool:
        """Whether the kernel holds nothing; a tenth of what asking TLS costs."""
        try:
            socket.socket.recv(self._sock, 1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    async def _until_readable(self) -> None:
        self._raise_if_receiving_failed()
        self._turn = 0
        self._readable = self._loop.create_future()
        self._listen()
        try:
            await self._readable
        finally:
            self._readable = None

    async def _until_received(self) -> bytes | None:
        """Return what comes; None where TLS must write before it can be read."""
        self._raise_if_receiving_failed()
        self._turn = 0
        incoming: asyncio.Future[bytes | None] = self._loop.create_future()
        self._incoming = incoming
        self._listen()
        try:
            return await incoming
        except asyncio.CancelledError:
            if incoming.done() and not incoming.cancelled() and incoming.exception() is None:
                self._stash = (incoming.result() or b"") + self._stash
            raise
        finally:
            self._incoming = None

    def _listen(self) -> None:
        if not self._reader_on:
            self._reader_on = True
            self._loop.add_reader(self._fd, self._on_readable)

    def _look_again(self) -> None:
        if not self._closed:
            self._on_readable()

    def _on_readable(self) -> None:
        if self._take is not None and self._taken is not None:
            self._hand_over(self._take, self._taken)
        elif self._incoming is not None:
            self._receive_into(self._incoming)
        if self._readable is not None:
            _wake(self._readable)
        elif self._taken is not None or self._incoming is not None:
            return
        elif self._gone is not None:
            self._look_for_the_end()
        else:  # Nobody asks for it: stop listening, or the loop would spin.
            self._reader_on = False
            self._loop.remove_reader(self._fd)

    def _receive_into(self, incoming: asyncio.Future[bytes | None]) -> None:
        if incoming.done():
            return
        try:
            incoming.set_result(self._read())
        except ssl.SSLWantReadError:  # Half a record, or one without application data.
            return
        except ssl.SSLWantWriteError:
            incoming.set_result(None)
        except StreamBroken as broken:
            incoming.set_exception(broken)

    def _look_for_the_end(self) -> None:
        try:
            data = self._sock.read(RECORD_BYTES)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError:
            data = b""
        if not data:
            self._end_watch(gone=True)
            return
        self._stash += data
        self.bytes_received += len(data)
        if len(self._stash) > _STASH_BYTES:
            self._end_watch(gone=False)

    def _end_watch(self, *, gone: bool) -> None:
        callback, self._gone = self._gone, None
        self._reader_on = False
        self._loop.remove_reader(self._fd)
        if gone and callback is not None:
            callback()

    async def _until_writable(self) -> None:
        if self._send_failure is not None:
            raise self._send_failure
        self._turn = 0
        self._writable = self._loop.create_future()
        self._loop.add_writer(self._fd, _wake, self._writable)
        try:
            await self._writable
        finally:
            self._writable = None
            if not self._closed:
                self._loop.remove_writer(self._fd)


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


def _break(
    waiter: asyncio.Future[None] | asyncio.Future[bool] | asyncio.Future[bytes | None] | None,
    error: Exception,
) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_exception(error)


def _tls_words(error: OSError) -> str:
    """Return what went wrong without OpenSSL's file and line."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate: {error.verify_message}"
    if isinstance(error, ssl.SSLEOFError):
        return "the peer closed the connection in the middle"
    if isinstance(error, ssl.SSLError):
        return (error.reason or "TLS error").replace("_", " ").lower()
    return error.strerror or type(error).__name__
