"""Who is called directly, and who is not: nobody for a socket that is not theirs any more."""

import asyncio
import contextlib
import os
import selectors
import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest

from kzproxy.transport.direct_loop import BATCH_EVENTS, Callback, DirectEventLoop, DirectSelector
from kzproxy.transport.readiness import at_turn_end, new_event_loop, readiness


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


def test_it_never_wakes_too_early(selector: DirectSelector) -> None:
    for seconds in 0.0001, 0.001, 0.0015, 0.0101:
        began = time.monotonic()
        assert selector.select(seconds) == []
        assert time.monotonic() - began >= seconds


# --- The end of a turn, and the next one ----------------------------------------------------------


@pytest.fixture
def turns(pairs: Pairs) -> Iterator["Turns"]:
    loop = DirectEventLoop()
    yield Turns(loop, pairs)
    loop.close()


class Turns:
    """A loop that counts how often asyncio has its turn."""

    def __init__(self, loop: DirectEventLoop, pairs: Pairs) -> None:
        self.loop, self.direct, self._pairs = loop, loop.direct, pairs
        self.seen: list[str] = []
        self.count = 0
        loop._process_events = self._count  # type: ignore[method-assign]
        self._process = asyncio.SelectorEventLoop._process_events

    def _count(self, events: list[object]) -> None:
        self.count += 1
        self._process(self.loop, events)

    def note(self, what: str) -> Callback:
        return lambda: self.seen.append(what)

    def ping_pong(self, times: int, last: Callback) -> None:
        """Have two sockets answer each other so often, and then call ``last``."""
        sides = self._pairs.one()
        left = iter(range(times))

        def answering(ours: socket.socket) -> Callback:
            def answer() -> None:
                ours.recv(1)
                if next(left, None) is None:
                    last()
                else:
                    ours.send(b"x")

            return answer

        for side in sides:
            self.direct.add_reader(side.fileno(), answering(side))
        sides[0].send(b"x")

    def run(self) -> None:
        """Run until somebody stops it, as must happen soon."""
        late = self.loop.call_later(10, self.loop.stop)
        self.loop.run_forever()
        assert self.loop.time() < late.when()


def test_sockets_that_answer_each_other_take_no_turn_of_asyncio(turns: Turns) -> None:
    turns.ping_pong(100, turns.loop.stop)
    turns.run()

    assert turns.count <= 2


def test_the_end_of_a_turn_comes_after_all_whose_sockets_are_ready(
    turns: Turns, pairs: Pairs
) -> None:
    def called(name: str, sock: socket.socket) -> Callback:
        def call() -> None:
            emptied(sock)
            turns.seen.append(name)
            turns.direct.at_turn_end(turns.note(f"end of {name}"))
            if len(turns.seen) == 3:
                turns.direct.at_turn_end(turns.loop.stop)

        return call

    for name in "a", "b", "c":
        sock = pairs.readable()
        turns.direct.add_reader(sock.fileno(), called(name, sock))
    turns.run()

    first, last = turns.seen[:3], turns.seen[3:]
    assert sorted(first) == ["a", "b", "c"]
    assert last == [f"end of {name}" for name in first]


@pytest.mark.parametrize("knows", [True, False], ids=["known", "unknown"])
def test_what_a_task_has_called_at_the_end_of_a_turn_is_done_before_the_loop_waits(
    turns: Turns, knows: bool
) -> None:
    """Also where it knows nothing of what the loop has to do."""
    turns.direct._loop = turns.direct._loop if knows else None

    async def asking() -> None:
        called = turns.loop.create_future()
        turns.direct.at_turn_end(lambda: called.set_result("called"))
        turns.seen.append(await called)

    began = turns.loop.time()
    turns.loop.run_until_complete(asyncio.wait_for(asking(), 5))

    assert turns.seen == ["called"]
    assert turns.loop.time() - began < 4


def test_whom_the_end_of_a_turn_has_ask_for_it_is_called_before_the_loop_waits(
    turns: Turns,
) -> None:
    def first() -> None:
        turns.seen.append("first")
        turns.direct.at_turn_end(second)

    def second() -> None:
        turns.seen.append("second")
        turns.loop.stop()

    turns.loop.call_soon(turns.direct.at_turn_end, first)
    turns.run()

    assert turns.seen == ["first", "second"]
    assert turns.count <= 2


def test_a_failure_at_the_end_of_a_turn_is_reported_and_ends_nobody_elses(turns: Turns) -> None:
    def failing() -> None:
        raise LookupError("reason")

    told: list[object] = []
    turns.loop.set_exception_handler(lambda _, context: told.append(str(context["exception"])))
    turns.direct.at_turn_end(failing)
    turns.direct.at_turn_end(turns.loop.stop)
    turns.run()

    assert told == ["reason"]


def test_what_is_due_at_the_end_of_a_turn_outlives_an_interrupt(turns: Turns) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    turns.direct.at_turn_end(interrupted)
    turns.direct.at_turn_end(turns.note("called"))
    turns.direct.at_turn_end(turns.loop.stop)
    with pytest.raises(KeyboardInterrupt):
        turns.run()
    turns.run()

    assert turns.seen == ["called"]


@pytest.mark.parametrize("ask", ["call_soon", "call_soon_threadsafe"])
def test_what_a_direct_callback_asks_of_asyncio_is_done_at_once(turns: Turns, ask: str) -> None:
    def ask_for_it() -> None:
        getattr(turns.loop, ask)(turns.note("called"))
        turns.ping_pong(100, turns.loop.stop)

    turns.ping_pong(3, ask_for_it)
    turns.run()

    assert turns.seen == ["called"]


def test_another_thread_wakes_it_while_sockets_answer_each_other(turns: Turns) -> None:
    def go_on() -> None:
        if not turns.seen:
            turns.ping_pong(10, go_on)

    def called() -> None:
        turns.seen.append("called")
        turns.loop.stop()

    go_on()
    thread = threading.Thread(target=turns.loop.call_soon_threadsafe, args=[called])
    turns.loop.call_soon(thread.start)
    turns.run()
    thread.join()

    assert turns.seen == ["called"]


def test_a_timer_that_a_direct_callback_sets_is_not_slept_through(turns: Turns) -> None:
    turns.ping_pong(3, lambda: turns.loop.call_later(0.005, turns.loop.stop))
    began = turns.loop.time()
    turns.run()

    assert 0.005 <= turns.loop.time() - began < 5


def test_a_timer_is_called_while_sockets_answer_each_other(turns: Turns) -> None:
    def go_on() -> None:
        turns.ping_pong(10, go_on)

    began = turns.loop.time()
    turns.loop.call_later(0.01, turns.loop.stop)
    go_on()
    turns.run()

    assert 0.01 <= turns.loop.time() - began < 5


def test_a_timer_may_be_years_away(turns: Turns) -> None:
    years_away = turns.loop.call_later(1e9, turns.note("called"))
    stopping = threading.Timer(0.05, turns.loop.call_soon_threadsafe, [turns.loop.stop])

    def last() -> None:
        turns.seen.append("waits")
        stopping.start()  # Not before: it might be there first.

    turns.ping_pong(3, last)
    turns.loop.run_forever()
    stopping.join()
    years_away.cancel()

    assert turns.seen == ["waits"]


def test_a_loop_without_what_it_looks_at_has_every_turn(turns: Turns) -> None:
    class Other(asyncio.AbstractEventLoop):
        """Stands in for a loop of another make."""

    turns.direct._loop = None
    turns.direct.go_on_for(Other())
    turns.ping_pong(100, turns.loop.stop)
    turns.run()

    assert turns.count >= 100


def test_where_there_is_no_other_the_end_of_a_turn_is_a_turn_later() -> None:
    serving, plain = new_event_loop(), asyncio.new_event_loop()
    try:
        assert isinstance(serving, DirectEventLoop)
        assert at_turn_end(serving) == serving.direct.at_turn_end
        assert at_turn_end(plain) == plain.call_soon
    finally:
        serving.close()
        plain.close()
