"""The sending half of a ``TlsStream``.

OpenSSL asks that a write that would block is offered again with the same bytes, so a piece that it
has seen is kept until it is taken; at most one record (16 KiB) is offered at a time.
"""

import asyncio
import ssl

from kzproxy.errors.anew import anew
from kzproxy.transport.broken import StreamBroken
from kzproxy.transport.tls_waiting import TURN_BYTES, TlsWaiting

RECORD_BYTES = 16 * 1024  # TLS 1.3 record payload, RFC 8446 section 5.1

NOTHING = memoryview(b"")  # One for all connections: each weighs 300 bytes.


class TlsSending(TlsWaiting):
    """Sends; at most one caller at a time.

    Attributes:
        bytes_sent: Application bytes so far.
    """

    __slots__ = ("_offered", "_unsent", "bytes_sent")

    def __init__(self, sock: ssl.SSLSocket, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(sock, loop)
        # What OpenSSL has been offered and must be offered again, and what comes after it.
        self._offered: memoryview | None = None
        self._unsent = NOTHING
        self.bytes_sent = 0

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

        Only where ``flush`` has sent what there was before. What a memoryview shows may change
        afterwards: what is left is kept as a copy.

        Returns:
            Whether all of it has gone.

        Raises:
            StreamBroken: The connection is gone.
            Exception: What ``fail`` was given.
        """
        if self._send_failure is not None:
            raise anew(self._send_failure)
        if len(data) > RECORD_BYTES:
            return self._send_pieces(memoryview(data)) == len(data)
        try:
            sent = self._records.write(data)
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            self._offered = _kept(memoryview(data))
            return False
        except OSError as error:
            raise StreamBroken.by(error) from error
        self.bytes_sent += sent
        if sent == len(data):
            return True
        self._offered = _kept(memoryview(data)[sent:])
        return False

    def _send_pieces(self, data: memoryview) -> int:
        """Send a record after the other, a turn's share at most; owe the rest.

        ``data`` takes the place of all that was owed: it is that, where anything was.

        Returns:
            How many bytes have gone.
        """
        self._unsent = NOTHING  # Or what has gone would go again after the next piece that waits.
        write, size = self._records.write, 0
        try:
            for size in range(0, min(len(data), TURN_BYTES), RECORD_BYTES):
                write(data[size : size + RECORD_BYTES])
            size = min(len(data), TURN_BYTES)
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            pass
        except OSError as error:
            raise StreamBroken.by(error) from error
        self.bytes_sent += size
        if size < len(data):
            self._unsent = _kept(data[size:])
            self._offer_next()
        return size

    def _offer_next(self) -> None:
        piece, self._unsent = self._unsent[:RECORD_BYTES], self._unsent[RECORD_BYTES:]
        self._offered = piece or None

    def forget_unsent(self) -> bool:
        """Never send what OpenSSL has not been offered yet; whether there was any."""
        forgotten, self._unsent = bool(self._unsent), NOTHING
        return forgotten

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
            self.forget_unsent()  # But what was offered must be finished.
            raise

    async def _send_offered(self, offered: memoryview) -> None:
        if self._send_failure is not None:
            raise anew(self._send_failure)
        try:
            sent = self._records.write(offered)
        except ssl.SSLWantWriteError:
            await self._until_writable()
        except ssl.SSLWantReadError:
            await self._until_readable()
        except OSError as error:
            raise StreamBroken.by(error) from error
        else:
            self.bytes_sent += sent
            self._offered = None
            if sent < len(offered):
                self._offered = offered[sent:]
            elif self._unsent:
                sent += self._send_pieces(self._unsent)
            await self._take_turns(sent)


def _kept(data: memoryview) -> memoryview:
    """Return what will be the same later, whatever becomes of the memory that it is in now."""
    return data if data.readonly else memoryview(bytes(data))
