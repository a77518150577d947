"""When the selector looks for a moment before it sleeps, and when it does not."""

import select
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from kzproxy.transport.direct_loop import DirectSelector

# As long as one wait in vain takes here: epoll counts milliseconds.
WAIT_SECONDS = 0.001


class Asked:
    """The kernel's epoll, which notes how long it is to wait: no time is a look."""

    def __init__(self, epoll: select.epoll) -> None:
        self.epoll = epoll
        self.waits: list[float | None] = []

    def poll(self, timeout: float | None, most: int) -> list[tuple[int, int]]:
        self.waits.append(timeout)
        return self.epoll.poll(timeout, most)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.epoll, name)

    def slept(self) -> bool:
        """Whether the last wait was not begun with a look."""
        waits, self.waits = self.waits, []
        return 0.0 not in waits


@pytest.fixture
def selector() -> Iterator[DirectSelector]:
    def failed(callback: object, error: BaseException) -> None:
        raise error

    selector = DirectSelector(failed)
    yield selector
    selector.close()


@pytest.fixture
def asked(selector: DirectSelector) -> Asked:
    asked = Asked(selector._epoll)
    selector._epoll = asked
    return asked


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def slept(selector: DirectSelector, asked: Asked, times: int) -> list[bool]:
    """Wait so often for one that is expected; return of which it slept at once."""
    found = []
    for _ in range(times):
        selector.expect()
        selector.select(WAIT_SECONDS)
        found.append(asked.slept())
    return found


def test_where_nothing_is_expected_it_sleeps_at_once(
    selector: DirectSelector, asked: Asked
) -> None:
    selector.select(WAIT_SECONDS)

    assert asked.waits == [WAIT_SECONDS]


def test_what_is_there_when_it_looks_is_not_slept_for(
    selector: DirectSelector, asked: Asked, pair: tuple[socket.socket, socket.socket]
) -> None:
    calls: list[int] = []
    selector.add_reader(pair[0].fileno(), lambda: calls.append(1))
    pair[1].send(b"x")

    selector.expect()
    selector.select(WAIT_SECONDS)

    assert asked.waits == [0.0]
    assert calls == [1]


def test_what_does_not_come_is_slept_for_as_long_as_was_said(
    selector: DirectSelector, asked: Asked
) -> None:
    selector.expect()
    assert selector.select(WAIT_SECONDS) == []

    *looks, sleep = asked.waits
    assert set(looks) == {0.0}
    assert sleep == WAIT_SECONDS


def test_an_expectation_is_of_the_next_wait_alone(selector: DirectSelector, asked: Asked) -> None:
    slept(selector, asked, 1)

    selector.select(WAIT_SECONDS)

    assert asked.waits == [WAIT_SECONDS]


def test_looking_in_vain_becomes_rare(selector: DirectSelector, asked: Asked) -> None:
    """At the first wait, then after 1, 3, 7, 15, 31, 63 others, then after 64."""
    looked = slept(selector, asked, 191 + 65).count(False)

    assert looked <= 9


def test_it_looks_each_time_again_once_that_has_found_somebody(
    selector: DirectSelector, asked: Asked, pair: tuple[socket.socket, socket.socket]
) -> None:
    slept(selector, asked, 100)
    selector.add_reader(pair[0].fileno(), lambda: None)
    pair[1].send(b"x")

    assert True in slept(selector, asked, 50)
    assert True not in slept(selector, asked, 200)[-100:]


def test_where_several_are_expected_it_sleeps_at_once_for_a_while(
    selector: DirectSelector, asked: Asked, pair: tuple[socket.socket, socket.socket]
) -> None:
    selector.add_reader(pair[0].fileno(), lambda: None)
    pair[1].send(b"x")

    selector.expect()
    assert slept(selector, asked, 64) == [True] * 64
    assert slept(selector, asked, 1) == [False]


def test_who_does_not_wait_at_all_keeps_what_is_expected(
    selector: DirectSelector, asked: Asked
) -> None:
    selector.expect()
    selector.select(0)

    assert selector.expected == 1
    assert asked.waits == [0.0]
