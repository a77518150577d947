"""Who is called directly, and who is not: nobody for a socket that is not theirs any more."""

import asyncio
import contextlib
import os
import selectors
import socket
import struct
from collections.abc import Iterator

import pytest

from kzproxy.transport.direct_loop import BATCH_EVENTS, Callback, DirectEventLoop, DirectSelector
from kzproxy.transport.readiness import new_event_loop, readiness


class Pairs:
    """Sockets of this test, by pairs."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()

    def one(self) -> tuple[socket.socket, socket.socket]:
        """Return a pair at which nothing is to be read."""
        pair = socket.socketpair()
        for each in pair:
            self._stack.enter_context(each)
            each.setblocking(False)
        return pair

    def readable(self) -> socket.socket:
        """Return a socket that stays readable."""
        ours, theirs = self.one()
        theirs.send(b"x")
        return ours

    def full(self) -> tuple[socket.socket, socket.socket]:
        """Return a pair whose first can be written to only once the second has read."""
        ours, theirs = self.one()
        with contextlib.suppress(BlockingIOError):
            while ours.send(bytes(65536)):
                pass
        return ours, theirs

    def close(self) -> None:
        self._stack.close()


@pytest.fixture
def pairs() -> Iterator[Pairs]:
    pairs = Pairs()
    yield pairs
    pairs.close()


@pytest.fixture
def failures() -> list[BaseException]:
    return []


@pytest.fixture
def selector(failures: list[BaseException]) -> Iterator[DirectSelector]:
    selector = DirectSelector(lambda _, error: failures.append(error))
    yield selector
    selector.close()


def emptied(sock: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError):
        while sock.recv(65536):
            pass


def test_a_callback_is_called_each_time_that_its_socket_is_readable(
    selector: DirectSelector, pairs: Pairs
) -> None:
    sock, calls = pairs.readable(), []
    selector.add_reader(sock.fileno(), lambda: calls.append(1))

    assert selector.select(0) == selector.select(0) == []
    assert len(calls) == 2
    emptied(sock)
    assert selector.select(0) == []
    assert len(calls) == 2


def test_what_asyncio_registered_is_returned_and_the_rest_is_called(
    selector: DirectSelector, pairs: Pairs
) -> None:
    ours, theirs, calls = pairs.readable(), pairs.readable(), []
    selector.add_reader(ours.fileno(), lambda: calls.append(1))
    key = selector.register(theirs, selectors.EVENT_READ, "data")

    assert selector.select(0) == [(key, selectors.EVENT_READ)]
    assert len(calls) == 1


def test_a_descriptor_belongs_to_one_of_both(selector: DirectSelector, pairs: Pairs) -> None:
    sock, calls = pairs.readable(), []
    key = selector.register(sock, selectors.EVENT_READ)
    with pytest.raises(FileExistsError):
        selector.add_reader(sock.fileno(), lambda: calls.append(1))

    assert selector.select(0) == [(key, selectors.EVENT_READ)]
    assert not calls


class Ender:
    """Whichever of two readable sockets is called first ends the other's wait."""

    def __init__(self, selector: DirectSelector, pairs: Pairs) -> None:
        self.calls: list[int] = []
        self.selector = selector
        self.pairs = pairs
        socks = pairs.readable(), pairs.readable()
        for sock, other in zip(socks, reversed(socks), strict=True):
            selector.add_reader(sock.fileno(), self._called(sock, other))

    def _called(self, sock: socket.socket, other: socket.socket) -> Callback:
        def called() -> None:
            self.calls.append(sock.fileno())
            self.selector.remove_reader(other.fileno())
            self.end(other)

        return called

    def end(self, other: socket.socket) -> None:
        """Do what follows the end of its wait."""


def test_who_is_removed_by_an_earlier_callback_is_not_called(
    selector: DirectSelector, pairs: Pairs
) -> None:
    ender = Ender(selector, pairs)

    selector.select(0)

    assert len(ender.calls) == 1


def test_who_has_the_descriptor_of_a_closed_one_is_not_called_for_that(
    selector: DirectSelector, pairs: Pairs
) -> None:
    heirs: list[str] = []

    class Heir(Ender):
        def end(self, other: socket.socket) -> None:
            fd, (ours, theirs) = other.fileno(), pairs.one()
            os.dup2(ours.fileno(), fd)  # Closes the old one, whose number is then the new one's.
            selector.add_reader(fd, lambda: heirs.append("reader"))
            selector.add_writer(fd, lambda: heirs.append("writer"))
            self.theirs = theirs

    ender = Heir(selector, pairs)
    selector.select(0)
    assert len(ender.calls) == 1
    assert not heirs

    ender.theirs.send(b"x")
    selector.select(0)
    assert heirs == ["reader", "writer"]


def test_what_asyncio_registered_for_a_descriptor_used_again_is_not_returned(
    selector: DirectSelector, pairs: Pairs
) -> None:
    class Heir(Ender):
        def end(self, other: socket.socket) -> None:
            selector.register(other.fileno(), selectors.EVENT_READ)

    ender = Heir(selector, pairs)

    assert selector.select(0) == []
    assert len(ender.calls) == 1
    assert len(selector.select(0)) == 1


def test_what_a_callback_unregisters_of_asyncio_is_not_returned(
    selector: DirectSelector, pairs: Pairs
) -> None:
    direct, registered = pairs.readable(), pairs.readable()
    selector.register(registered, selectors.EVENT_READ)
    selector.add_reader(direct.fileno(), lambda: selector.unregister(registered) and None)

    assert selector.select(0) == []


def test_an_exception_is_reported_and_the_others_are_called(
    selector: DirectSelector, pairs: Pairs, failures: list[BaseException]
) -> None:
    calls: list[int] = []

    def failing() -> None:
        calls.append(1)
        raise LookupError

    for callback in failing, failing, failing:
        selector.add_reader(pairs.readable().fileno(), callback)
    broken, writer = pairs.readable(), pairs.one()[0]
    selector.add_reader(broken.fileno(), failing)
    selector.add_writer(broken.fileno(), failing)
    selector.add_writer(writer.fileno(), failing)

    assert selector.select(0) == []

    assert len(calls) == 6
    assert [type(each) for each in failures] == [LookupError] * 6


@pytest.mark.parametrize("as_writer", [False, True])
def test_what_asks_for_the_end_of_the_process_is_let_through(
    selector: DirectSelector, pairs: Pairs, failures: list[BaseException], *, as_writer: bool
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    fd = pairs.readable().fileno()
    if as_writer:
        selector.add_writer(fd, interrupted)
    else:
        selector.add_reader(fd, interrupted)
    with pytest.raises(KeyboardInterrupt):
        selector.select(0)
    assert not failures


def test_reader_and_writer_of_one_descriptor_are_called_each_for_what_it_waits_for(
    selector: DirectSelector, pairs: Pairs
) -> None:
    (ours, theirs), calls = pairs.full(), []
    selector.add_reader(ours.fileno(), lambda: calls.append("reader"))
    selector.add_writer(ours.fileno(), lambda: calls.append("writer"))
    selector.select(0)
    assert calls == []

    theirs.send(b"x")
    selector.select(0)
    assert calls == ["reader"]

    emptied(theirs)
    selector.select(0)
    assert calls == ["reader", "reader", "writer"]

    selector.remove_reader(ours.fileno())
    selector.select(0)
    assert calls == ["reader", "reader", "writer", "writer"]

    selector.add_reader(ours.fileno(), lambda: calls.append("reader again"))
    selector.remove_writer(ours.fileno())
    selector.select(0)
    assert calls[4:] == ["reader again"]


def test_a_writer_that_its_reader_removes_is_not_called(
    selector: DirectSelector, pairs: Pairs
) -> None:
    sock, calls = pairs.readable(), []
    fd = sock.fileno()
    selector.add_reader(fd, lambda: selector.remove_writer(fd))
    selector.add_writer(fd, lambda: calls.append("writer"))

    selector.select(0)

    assert not calls


def test_both_are_told_that_the_connection_is_broken(
    selector: DirectSelector, pairs: Pairs
) -> None:
    calls: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        theirs = socket.create_connection(listening.getsockname())
        ours, _ = listening.accept()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    theirs.close()
    with ours:
        selector.add_reader(ours.fileno(), lambda: calls.append("reader"))
        selector.select(1)
        assert calls == ["reader"]
        selector.add_writer(ours.fileno(), lambda: calls.append("writer"))
        selector.select(1)
        assert calls == ["reader", "reader", "writer"]


def test_removing_who_never_was_there_does_nothing(selector: DirectSelector, pairs: Pairs) -> None:
    fd = pairs.readable().fileno()

    selector.remove_reader(fd)
    selector.remove_writer(fd)

    assert selector.select(0) == []


def test_who_closes_before_it_removes_is_forgotten(selector: DirectSelector, pairs: Pairs) -> None:
    sock, calls = pairs.readable(), []
    fd = sock.fileno()
    selector.add_reader(fd, lambda: calls.append(1))
    sock.close()
    selector.remove_reader(fd)
    while pairs.readable().fileno() < fd:  # Until the number is somebody else's.
        pass

    assert selector.select(0) == []
    assert not calls


def test_nobody_is_called_twice_before_everybody_has_been_called(
    selector: DirectSelector, pairs: Pairs
) -> None:
    calls: dict[int, int] = {}

    def called(fd: int) -> Callback:
        def count() -> None:
            calls[fd] = calls.get(fd, 0) + 1

        return count

    for _ in range(3 * BATCH_EVENTS):
        fd = pairs.readable().fileno()
        selector.add_reader(fd, called(fd))
    turns = 0
    while len(calls) < 3 * BATCH_EVENTS:
        assert selector.select(0) == []
        turns += 1
        assert sum(calls.values()) == turns * BATCH_EVENTS

    assert turns == 3
    assert set(calls.values()) == {1}


def test_nobody_is_waited_for_beyond_the_timeout(selector: DirectSelector, pairs: Pairs) -> None:
    selector.add_reader(pairs.one()[0].fileno(), lambda: None)

    assert selector.select(0.001) == []
    assert selector.select(-1) == []


def test_closing_it_closes_every_descriptor_of_it() -> None:
    with socket.socket() as lowest:
        before = lowest.fileno()
    DirectSelector(lambda *_: None).close()
    with socket.socket() as lowest:
        assert lowest.fileno() == before


async def test_tasks_and_timers_have_their_turn_while_sockets_keep_the_loop_busy(
    pairs: Pairs,
) -> None:
    loop = asyncio.get_running_loop()
    register = readiness(loop)
    socks = [pairs.readable() for _ in range(2 * BATCH_EVENTS)]
    for sock in socks:
        register.add_reader(sock.fileno(), lambda: None)
    try:
        async with asyncio.timeout(30):
            await asyncio.sleep(0)
            await asyncio.sleep(0.01)
    finally:
        for sock in socks:
            register.remove_reader(sock.fileno())


async def test_an_exception_is_the_loops_to_report_and_never_its_end(pairs: Pairs) -> None:
    loop, sock = asyncio.get_running_loop(), pairs.readable()
    register, reported = readiness(loop), asyncio.Event()
    told: list[object] = []

    def failing() -> None:
        register.remove_reader(sock.fileno())
        raise LookupError("reason")

    def report(_: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        told.append(context["exception"])
        reported.set()

    loop.set_exception_handler(report)
    register.add_reader(sock.fileno(), failing)
    async with asyncio.timeout(30):
        await reported.wait()

    assert [str(each) for each in told] == ["reason"]


def test_the_loop_that_serves_calls_directly_and_asyncios_own_as_ever() -> None:
    serving, plain = new_event_loop(), asyncio.new_event_loop()
    try:
        assert isinstance(serving, DirectEventLoop)
        assert readiness(serving) is serving.direct
        assert readiness(plain) is plain
    finally:
        serving.close()
        plain.close()


def test_epoll_is_asked_in_whole_milliseconds_and_never_too_early(
    selector: DirectSelector, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    class Kernel:
        """Stands in for epoll, which does not say what it was asked."""

        def poll(self, timeout: float, _: int) -> list[tuple[int, int]]:
            asked.append(timeout)
            return []

    with monkeypatch.context() as patched:
        patched.setattr(selector, "_epoll", Kernel())
        for timeout in None, 0, -1, 0.0001, 0.001, 0.0011:
            selector.select(timeout)

    assert asked == [-1.0, 0.0, 0.0, 0.001, 0.001, 0.002]
