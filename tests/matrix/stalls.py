"""When the machine stood still, of which nothing that runs on it is to blame."""

import threading
import time
from types import TracebackType
from typing import Self

_BEAT_SECONDS = 0.01
# A thread that is woken later than this was kept from running.
_STALL_SECONDS = 0.05


class Stalls:
    """What a thread that wakes all the time has slept through, while the block runs."""

    def __init__(self) -> None:
        self._stalls: list[tuple[float, float]] = []
        self._beat = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def within(self, since: float, until: float) -> float:
        """Return the seconds of all that overlap a time (monotonic); 0 for none."""
        # The last may not be over: whoever asks can be the first to run again.
        stalls = [*self._stalls, (self._beat, time.monotonic())]
        return sum(
            end - begin
            for begin, end in stalls
            if begin < until and end > since and end - begin > _STALL_SECONDS
        )

    def _run(self) -> None:
        while not self._over.wait(_BEAT_SECONDS):
            now = time.monotonic()
            if now - self._beat > _STALL_SECONDS:
                self._stalls.append((self._beat, now))
            self._beat = now
