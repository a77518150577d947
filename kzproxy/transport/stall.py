"""Tells when something that should go on has stood still for too long."""

import math


class Stall:
    """How long a figure has not changed, as it is asked about again and again.

    Attributes:
        seconds: How long it may stand still; ``inf`` for ever.
        since: As of when it has, in monotonic seconds; ``inf`` while nothing is waited for.
    """

    __slots__ = ("_figure", "seconds", "since")

    def __init__(self) -> None:
        self.seconds = math.inf
        self._figure: tuple[int, ...] = ()
        self.since = math.inf

    def forget(self) -> None:
        """Say that nothing is waited for now."""
        self.since = math.inf

    def lasts(self, figure: tuple[int, ...], now: float) -> bool:
        """Whether ``figure`` has been the same for ``seconds``, as far as it was asked about."""
        if self.since == math.inf or figure != self._figure:
            self._figure, self.since = figure, now
        return now - self.since >= self.seconds
