"""The sending half of a ``TlsStream``.

OpenSSL asks that a write that would block is offered again with the same bytes, so a piece that it
has seen is kept until it is taken; at most one record (16 KiB) is offered at a time.
"""

import asyncio
import ssl

from kzproxy.transport.broken import StreamBroken, tls_words
from kzproxy.transport.tls_waiting import TlsWaiting

RECORD_BYTES = 16 * 1024  # TLS 1.3 record payload, RFC 8446 section 5.1

_NOTHING = memoryview(b"")  # One for all connections: each weighs 300 bytes.


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
        self._unsent = _NOTHING
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
            raise StreamBroken(tls_words(error)) from error
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
            raise StreamBroken(tls_words(error)) from error
        else:
            self.bytes_sent += sent
            self._offered = offered[sent:]
            if not self._offered:
                self._offer_next()
            await self._take_turns(sent)
