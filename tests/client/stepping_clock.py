"""A clock that moves only by the sleeps of the code under test."""

from datetime import UTC, datetime, timedelta


class SteppingClock:
    """Starts at a fixed time; ``sleep`` moves it at once and remembers for how long."""

    def __init__(self) -> None:
        self._now = datetime(2026, 6, 1, 12, tzinfo=UTC)
        self._monotonic = 1000.0
        self.sleeps: list[float] = []

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds
