"""One timer for the deadlines of all streams: a timer each would cost more than a small request."""

import asyncio
from weakref import WeakSet

from kzproxy.clock.system import Clock
from kzproxy.transport.tls_stream import TlsStream

_SWEEP_SECONDS = 0.25


class Deadlines:
    """Fails streams whose ``deadline`` has passed, at most a quarter of a second late."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._streams: WeakSet[TlsStream] = WeakSet()

    def keep(self, stream: TlsStream) -> None:
        """Watch over ``stream`` for as long as somebody holds it."""
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
        """Fail what is overdue, with ``TimeoutError``."""
        now = self._clock.monotonic()
        for stream in [stream for stream in self._streams if stream.overdue(now)]:
            stream.fail(TimeoutError("deadline passed"))
