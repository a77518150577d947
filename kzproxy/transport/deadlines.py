"""One timer for the deadlines of all streams: a timer each would cost more than a small request."""

import asyncio

from kzproxy.clock.system import Clock
from kzproxy.transport.tls_stream import TlsStream

_SWEEP_SECONDS = 0.25


class Deadlines:
    """Fails streams whose ``deadline`` has passed, at most a quarter of a second late."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # Not weakly: that weighs 0.2 KiB a stream, and each sweep would cost twice as much.
        self._streams: set[TlsStream] = set()

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
        now = self._clock.monotonic()
        self._streams.difference_update([stream for stream in self._streams if stream.closed])
        for stream in [stream for stream in self._streams if stream.overdue(now)]:
            stream.fail(TimeoutError("deadline passed"))
