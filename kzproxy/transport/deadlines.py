"""One timer for the deadlines of all streams: a timer each would cost more than a small request."""

import asyncio

from kzproxy.clock.system import Clock
from kzproxy.transport.broken import StreamBroken
from kzproxy.transport.keepalive import UNHEARD_SECONDS
from kzproxy.transport.tls_stream import TlsStream

_SWEEP_SECONDS = 0.25
# Watches that nothing bounds are not looked at until something of theirs moves: with a thousand of
# them, looking was most of what kzproxy did at rest. Every four seconds they are all the same, so
# that no deadline is ever lost that somebody sets meanwhile.
_SWEEPS_FOR_ALL = 16
# Whether its peer is still heard of is asked of a share of all each of these times.
_SHARES = 4


class Deadlines:
    """Fails streams whose ``deadline`` has passed, at most a quarter of a second late.

    So it does those whose peer has gone while something was on its way, within 16 seconds more than
    ``unheard_seconds``.
    """

    def __init__(self, clock: Clock, *, unheard_seconds: float = UNHEARD_SECONDS) -> None:
        self._clock = clock
        self._unheard_seconds = unheard_seconds
        # Not weakly: that weighs 0.2 KiB a stream, and each sweep would cost twice as much.
        self._streams: set[TlsStream] = set()
        self._resting: set[TlsStream] = set()
        self._resume = self._look_again  # One for all of them.
        self._sweeps = 0

    def keep(self, stream: TlsStream) -> None:
        """Watch over ``stream`` until it is closed, as each must be."""
        self._streams.add(stream)

    def after(self, seconds: float) -> float:
        """Return the deadline that is ``seconds`` away."""
        return self._clock.monotonic() + seconds

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            self.sweep()

    def sweep(self) -> None:
        """Fail what is overdue, with ``TimeoutError``, and let go what is closed."""
        now, streams = self._clock.monotonic(), self._streams
        self._sweeps += 1
        if self._sweeps % _SWEEPS_FOR_ALL == 0:
            streams |= self._resting
            self._resting.clear()
            self._end_unheard(self._sweeps // _SWEEPS_FOR_ALL % _SHARES)
        streams.difference_update([stream for stream in streams if stream.closed])
        for stream in [stream for stream in streams if stream.overdue(now)]:
            stream.fail(TimeoutError("deadline passed"))
        for stream in [stream for stream in streams if stream.unhurried]:
            streams.discard(stream)
            self._resting.add(stream)
            stream.rest(self._resume)

    def _end_unheard(self, share: int) -> None:
        asked = [stream for stream in self._streams if stream.number % _SHARES == share]
        for stream in [stream for stream in asked if stream.unheard_for(self._unheard_seconds)]:
            stream.fail(StreamBroken("the peer has gone without a word"))

    def _look_again(self, stream: TlsStream) -> None:
        self._resting.discard(stream)
        self._streams.add(stream)
