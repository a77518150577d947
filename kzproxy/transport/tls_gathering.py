"""The receiving half of a ``TlsStream`` where much comes in many small records.

kube-apiserver writes a list of 7 MB in some 1,700 records. Woken for each, reading, scanning and
sending it on by itself costs three times what the bytes do. So all that are there are put together
in one buffer, and once much has come in small ones, the socket is left alone for a moment, as a
network card holds its interrupts back: a hundred then cost one waking.
"""

import asyncio
import ssl
from collections.abc import Callable

from kzproxy.transport.broken import StreamBroken, hand_on, not_handed_on
from kzproxy.transport.tls_receiving import TlsReceiving
from kzproxy.transport.tls_sending import NOTHING, RECORD_BYTES

# As much as nginx's proxy_buffers hold by default where a page has 16 KiB.
GATHER_BYTES = 128 * 1024
# Whoever gets a short answer does not wait for it.
_AT_ONCE_BYTES = 64 * 1024
# A sender of full records is not helped by waiting for more of them.
_SMALL_RECORD_BYTES = 8 * 1024
# The slower it comes, the longer the lull: each should bring a few full records.
_SHORTEST_LULL_SECONDS = 0.001
_LONGEST_LULL_SECONDS = 0.004
_WORTH_BYTES = 32 * 1024
# What stops a read that is no failure. Never raised.
_NO_MORE = BlockingIOError()
_END = EOFError()

# As ``Take``; what it is given is overwritten once it returns.
TakeGathered = Callable[[memoryview], bool]


class TlsGathering(TlsReceiving):
    """Receives many records at a time."""

    __slots__ = ("_buffer", "_flowed_bytes", "_lull_seconds", "_take_gathered")

    def __init__(self, sock: ssl.SSLSocket, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(sock, loop)
        self._take_gathered: TakeGathered | None = None
        self._buffer = NOTHING
        self._flowed_bytes = 0
        self._lull_seconds = _SHORTEST_LULL_SECONDS

    async def receive_gathered(self, take: TakeGathered) -> bool:
        """Do as ``receive_into`` does, for a body of which nobody waits for the single record.

        What comes first is handed on at once; later the socket may be left alone for one to four
        milliseconds.

        Raises:
            StreamBroken: The connection ended in another way.
            OtherSideBroken: The one did that ``take`` passes things on to.
            Exception: What ``fail`` or ``interrupt`` was given, or ``take`` raised.
        """
        stash, self._stash = self._stash, b""
        if stash and not hand_on(take, memoryview(stash)):
            return True
        self._buffer = memoryview(bytearray(GATHER_BYTES))
        self._flowed_bytes = 0
        self._lull_seconds = _SHORTEST_LULL_SECONDS
        try:
            return await self._until_gathered(take)
        finally:
            self._buffer = NOTHING

    async def _until_gathered(self, take: TakeGathered) -> bool:
        while True:
            self._raise_if_receiving_failed()
            self._take_gathered, self._taken = take, self._loop.create_future()
            self._gather(take, self._taken)
            try:
                return await self._taken
            except ssl.SSLWantWriteError:
                await self._until_writable()
            finally:
                self._take_gathered = self._taken = None
                self._end_rest()

    def _gather(self, take: TakeGathered, taken: asyncio.Future[bool]) -> None:
        """Hand over what is there, up to a buffer full; set ``taken`` where that is the end."""
        if taken.done():
            return
        try:
            size, records, stopped = self._fill()
            self._flowed_bytes += size
            if size and not take(self._buffer[:size]):
                taken.set_result(True)  # What stopped us will do so again.
            elif stopped is None:
                self._listen()
            elif stopped is _NO_MORE:
                self._wait(size, is_small=size < records * _SMALL_RECORD_BYTES)
            elif stopped is _END:
                taken.set_result(False)
            else:
                taken.set_exception(stopped)
        except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
            taken.set_exception(not_handed_on(error))

    def _fill(self) -> tuple[int, int, Exception | None]:
        """Read into the buffer; return bytes, records, and what stopped it before it was full.

        That is none that was raised: see ``errors.anew``; the buffer would live on with it.
        """
        read: Callable[[int, memoryview], int] = self._records.read
        buffer = self._buffer
        size = records = 0
        stopped: Exception | None = None
        try:
            while size <= GATHER_BYTES - RECORD_BYTES:
                got = read(RECORD_BYTES, buffer[size:])
                if not got:
                    stopped = _END
                    break
                size += got
                records += 1
        except ssl.SSLWantReadError:
            stopped = _NO_MORE
        except ssl.SSLWantWriteError:
            stopped = ssl.SSLWantWriteError()
        except OSError as error:
            stopped = StreamBroken.by(error)
        self.bytes_received += size
        return size, records, stopped

    def _wait(self, size: int, *, is_small: bool) -> None:
        """Wait for more: by the selector, or for a moment where much has come in small records."""
        if not is_small or self._flowed_bytes <= _AT_ONCE_BYTES:
            self._listen()
            return
        if self._reader_on:
            self._stop_listening()
        elif size < _WORTH_BYTES:
            self._lull_seconds = min(2 * self._lull_seconds, _LONGEST_LULL_SECONDS)
        else:
            self._lull_seconds = _SHORTEST_LULL_SECONDS
        self._loop.call_later(self._lull_seconds, self._end_lull)

    def _end_lull(self) -> None:
        """Read again, where it is still the same body that is waited for."""
        take, taken = self._take_gathered, self._taken
        if take is not None and taken is not None and not self._reader_on and not self._closed:
            self._gather(take, taken)
