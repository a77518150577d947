from datetime import UTC, datetime

import pytest

from soak.tally import Tally


class SetClock:
    """A clock that a test sets."""

    seconds = 100.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def tally(clock: SetClock) -> Tally:
    """A worker was killed at 50 s; it is 60 s now."""
    tally = Tally(clock)
    clock.seconds = 150.0
    tally.killed()
    clock.seconds = 160.0
    return tally


def test_what_broke_with_a_worker_is_explained(tally: Tally) -> None:
    tally.failed("a watch", "reset", 1.0, broken=True)

    assert tally.line().holds


def test_what_began_later_is_not(tally: Tally) -> None:
    tally.failed("a watch", "reset", 58.0, broken=True)

    assert tally.line().problems == ("58.0 to 60.0 s: a watch: reset",)


def test_a_wrong_answer_never_is(tally: Tally) -> None:
    tally.failed("a get", "500", 49.0, broken=False)

    assert not tally.line().holds


def test_what_ended_before_the_kill_is_not(clock: SetClock) -> None:
    tally = Tally(clock)
    tally.failed("a watch", "reset", 0.0, broken=True)
    clock.seconds = 150.0
    tally.killed()

    assert not tally.line().holds
