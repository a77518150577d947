"""Whether the clock may say what is over for good: not when it has just been set.

What was deleted by a clock that was ahead, such as a revocation, would be missing once it is right.
"""

from kzproxy.clock.system import Clock

SETTLED_SECONDS = 600.0
"""Whoever sets a clock wrong, or starts with one that is, mostly has it put right within this."""

_STEP_SECONDS = 60.0


class SettledClock:
    """Compares the wall clock with the one that nobody sets."""

    def __init__(self, clock: Clock) -> None:
        """Begin to compare: until now nobody knows."""
        self._clock = clock
        self._apart = self._seconds_apart()
        self._since = clock.monotonic()

    def is_settled(self) -> bool:
        """Whether it was not set for a while; a host that has slept has had it set.

        To be asked more often than a clock is set wrong and right again.
        """
        apart, before = self._seconds_apart(), self._apart
        self._apart = apart
        if abs(apart - before) > _STEP_SECONDS:
            self._since = self._clock.monotonic()
        return self._clock.monotonic() - self._since >= SETTLED_SECONDS

    def _seconds_apart(self) -> float:
        return self._clock.now().timestamp() - self._clock.monotonic()
