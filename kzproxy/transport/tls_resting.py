"""A ``TlsStream`` between two exchanges: whether its peer has gone, or has said anything."""

import asyncio
import select
import ssl
from collections.abc import Callable

from kzproxy.transport.broken import forget_left
from kzproxy.transport.tls_gathering import TlsGathering
from kzproxy.transport.tls_sending import RECORD_BYTES
from kzproxy.transport.tls_waiting import wake

STASH_BYTES = 64 * 1024


class TlsResting(TlsGathering):
    """Is watched, and looked at, while nobody receives."""

    __slots__ = ("_gone", "_heard")

    def __init__(self, sock: ssl.SSLSocket, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(sock, loop)
        self._gone: Callable[[], None] | None = None
        self._heard: select.poll | None = None

    def watch(self, gone: Callable[[], None]) -> None:
        """Call ``gone`` once if the connection ends, or fails, while nobody receives.

        Bytes that come meanwhile are kept for ``receive``, up to 64 KiB; a peer that sends more
        is no longer watched. ``unwatch`` ends the watch.
        """
        if self._closed:  # Its descriptor may be somebody else's by now.
            return
        self._gone = gone
        if not self._reader_on:
            self._listen()

    def unwatch(self) -> None:
        """End a ``watch``."""
        self._gone = None
        if self._resume is not None:
            self._end_rest()

    def fail(self, error: Exception) -> None:
        """Make every present and future receive and send raise ``error``; ends a ``watch``."""
        super().fail(error)
        gone, self._gone = self._gone, None
        if gone is not None:
            gone()

    @property
    def usable(self) -> bool:
        """Whether it is neither closed nor failed on this side, and owes no piece."""
        broken = self._closed or self._send_failure or self._receive_failure
        return not broken and self._offered is None

    def at_rest(self) -> bool:
        """Whether it is usable and the peer, as far as can be known, has said nothing.

        Reads: what the peer has said is lost. Not while somebody receives.
        """
        # As ``usable``, but for a call.
        broken = self._closed or self._send_failure or self._receive_failure
        if broken or self._stash or self._offered is not None:
            return False
        heard = self._heard
        if heard is None:
            self._heard = heard = select.poll()
            heard.register(self._fd, select.POLLIN)
        # Whether the kernel holds nothing, an end or an error neither: a third of what a look with
        # ``recv`` costs, which raises, and that is a tenth of asking TLS.
        if not heard.poll(0) and not self._records.pending():
            return True
        try:
            self._records.read(RECORD_BYTES)
        except ssl.SSLWantReadError:
            return True
        except OSError as error:
            forget_left(error)
            return False
        return False

    def _on_readable(self) -> None:
        if self._receiver is not None:
            self._receive_for(self._receiver)
            return  # It goes on listening: whoever was handed something nearly always watches next.
        take, taken = self._take, self._taken
        if take is not None and taken is not None:
            self._hand_over(take, taken)
        elif self._take_gathered is not None and self._taken is not None:
            self._gather(self._take_gathered, self._taken)
        elif self._incoming is not None:
            self._receive_into(self._incoming)
        if self._readable is not None:
            wake(self._readable)
        elif self._taken is not None or self._incoming is not None:
            return
        elif self._gone is not None:
            self._look_for_the_end()
        else:  # Nobody asks for it: stop listening, or the loop would spin.
            self._stop_listening()

    def _look_for_the_end(self) -> None:
        try:
            data = self._records.read(RECORD_BYTES)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as error:
            forget_left(error)
            data = b""
        if not data:
            self._end_watch(gone=True)
            return
        self._stash += data
        self.bytes_received += len(data)
        if len(self._stash) > STASH_BYTES:
            self._end_watch(gone=False)

    def _end_watch(self, *, gone: bool) -> None:
        callback, self._gone = self._gone, None
        self._stop_listening()
        if gone and callback is not None:
            callback()
