"""The receiving half of a ``TlsStream``.

A read is always tried before it is waited for, and has room for a whole record: of what OpenSSL has
decrypted nothing stays with it, where the selector would not know of it. While it is waited for,
the selector's callback reads: if the waiting task did, the selector would find the socket readable
once more before that ran.
"""

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from kzproxy.errors.anew import anew
from kzproxy.transport.broken import StreamBroken, hand_on, not_handed_on
from kzproxy.transport.tls_sending import RECORD_BYTES, TlsSending
from kzproxy.transport.tls_waiting import TURN_BYTES, break_wait

_SMALL_BYTES = 4 * 1024

# Is given what has come, and says whether it may be given more at once. ``StreamBroken`` and
# ``TimeoutError`` that it raises are of the connection that it passes this on to: whoever receives
# learns of them as ``OtherSideBroken``.
Take = Callable[[bytes], bool]


class Receiver(Protocol):
    """Is handed what comes next, without a task. Its functions raise nothing."""

    def received(self, data: bytes) -> None:
        """Take it: at most one record; empty at the peer's clean end."""

    def broken(self, error: Exception) -> None:
        """Learn that nothing can be received."""


class TlsReceiving(TlsSending):
    """Receives; at most one caller at a time.

    Attributes:
        bytes_received: Application bytes so far.
    """

    __slots__ = ("_incoming", "_receiver", "_stash", "_take", "_taken", "bytes_received")

    def __init__(self, sock: ssl.SSLSocket, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(sock, loop)
        self._incoming: asyncio.Future[bytes | None] | None = None
        self._receiver: Receiver | None = None
        self._take: Take | None = None
        self._taken: asyncio.Future[bool] | None = None
        self._stash = b""
        self.bytes_received = 0

    @property
    def bytes_taken(self) -> int:
        """Return how much of what was received somebody has been given."""
        return self.bytes_received - len(self._stash)

    def receive_next(self) -> Coroutine[Any, Any, bytes]:
        """Do as ``receive`` does, where nothing is expected to be there yet.

        ``receive`` would first try in vain, which costs as much as reading. OpenSSL never holds a
        rest that the selector does not know of: each read takes a whole record.
        """
        if self._stash:
            return self.receive()
        return self._until_received()

    def receive_by(self, receiver: Receiver, *, soon: bool = False) -> None:
        """Hand what comes next to ``receiver``, in the moment in which the selector says so.

        Once, and until ``receive_by_nobody``. What ``fail`` or ``interrupt`` is given goes to it
        too. May hand something over before it returns.

        ``soon`` says that it may come within some ten microseconds.
        """
        if self._receive_failure is not None:
            receiver.broken(self._receive_failure)
            return
        if self._stash:
            stash, self._stash = self._stash, b""
            receiver.received(stash)
            return
        self._receiver = receiver
        if soon:
            self._expect()
        if not self._reader_on:
            self._listen()

    def receive_by_nobody(self) -> None:
        """Hand nothing to whom ``receive_by`` named, if that has not been done."""
        self._receiver = None

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
                return await self._until_received()
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
            take: Called with what has come, at most one record, until it returns False.

        Returns:
            Whether the peer may have more to say: False after its clean end.

        Raises:
            StreamBroken: The connection ended in another way.
            OtherSideBroken: The one did that ``take`` passes things on to.
            Exception: What ``fail`` or ``interrupt`` was given, or ``take`` raised.
        """
        stash, self._stash = self._stash, b""
        if stash and not hand_on(take, stash):
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
                self._end_rest()

    def interrupt(self, error: Exception) -> None:
        """Make every present and future receive raise ``error``; sending goes on."""
        super().interrupt(error)
        break_wait(self._incoming, error)
        break_wait(self._taken, error)
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.broken(error)

    def _hand_over(self, take: Take, taken: asyncio.Future[bool]) -> None:
        """Hand over what is there, up to a turn's share; set ``taken`` where that is the end."""
        if taken.done():
            return
        size = 0
        try:
            while size < TURN_BYTES:
                try:  # As ``_read``, but for a call.
                    data = self._records.read(RECORD_BYTES)
                except OSError as error:
                    _tell(taken, error)
                    return
                got = len(data)
                self.bytes_received += got
                if not got or not take(data):
                    taken.set_result(got > 0)
                    return
                if got < _SMALL_BYTES:  # An event. To read on would nearly always be in vain.
                    return
                size += got
        except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
            taken.set_exception(not_handed_on(error))

    def _read(self) -> bytes:
        try:
            data: bytes = self._records.read(RECORD_BYTES)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except OSError as error:
            raise StreamBroken.by(error) from error
        self.bytes_received += len(data)
        return data

    async def _until_received(self) -> bytes:
        """Return what comes."""
        if self._receive_failure is not None:
            raise anew(self._receive_failure)
        self._turn = 0
        incoming: asyncio.Future[bytes | None] = asyncio.Future(loop=self._loop)
        self._incoming = incoming
        if not self._reader_on:
            self._listen()
        try:
            data = await incoming
        except asyncio.CancelledError:
            if incoming.done() and not incoming.cancelled() and incoming.exception() is None:
                self._stash = (incoming.result() or b"") + self._stash
            raise
        finally:
            self._incoming = None
            del incoming  # What it raises holds this frame: see ``errors.anew``.
        # None where TLS must write before it can be read.
        return await self.receive() if data is None else data

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
            incoming.set_exception(anew(broken))

    def _receive_for(self, receiver: Receiver) -> None:
        try:
            data = self._read()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLWantWriteError:
            # Its peer asks for new keys and takes nothing: whoever has just been answered, or is
            # being asked, has no reason to.
            error = StreamBroken("the peer asks for new keys and reads nothing")
        except StreamBroken as broken:
            error = anew(broken)
        else:
            self._receiver = None
            receiver.received(data)
            return
        self._receiver = None
        receiver.broken(error)


def _tell(taken: asyncio.Future[bool], error: OSError) -> None:
    """Set ``taken`` to what a read came to, where there is not just nothing more."""
    if isinstance(error, ssl.SSLWantReadError):
        return
    if not isinstance(error, ssl.SSLWantWriteError):
        taken.set_exception(StreamBroken.by(error))
    else:
        taken.set_exception(error.with_traceback(None))
