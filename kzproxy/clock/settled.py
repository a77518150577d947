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
        self._was_set = False

    def is_settled(self) -> bool:
        """Whether it was not set for a while; a host that has slept has had it set.

        To be asked more often than a clock is set wrong and right again, as the next one.
        """
        apart, before = self._seconds_apart(), self._apart
        self._apart = apart
        if abs(apart - before) > _STEP_SECONDS:
            self._since, self._was_set = self._clock.monotonic(), True
        return self._clock.monotonic() - self._since >= SETTLED_SECONDS

    def was_just_set(self) -> bool:
        """Whether it was seen to be set, and has not settled since."""
        return not self.is_settled() and self._was_set

    def _seconds_apart(self) -> float:
        return self._clock.now().timestamp() - self._clock.monotonic()
