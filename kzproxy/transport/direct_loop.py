"""An event loop that calls whoever waits for a socket as soon as epoll has named that.

For each socket that is ready asyncio looks up a key, makes tuples of it, queues a ``Handle`` and
runs that in a context: some eight calls, as many as a watch event then takes. So streams register
with the selector itself, which calls them, and returns to asyncio what is asyncio's: listening
sockets, signals, other libraries. While there is none of that, and no task or timer is due, it asks
epoll again by itself: asyncio's turns were a tenth of the calls of a request that came alone.

Where one socket alone is about to be ready, it looks for a moment before it sleeps: see ``expect``.

For Linux: where there is no epoll, ``readiness`` gives streams asyncio's own methods.
"""

import asyncio
import contextlib
import os
import select
import selectors
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from kzproxy.clock.system import SystemClock

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

Callback = Callable[[], None]
Failed = Callable[[Callback, BaseException], None]

# So many, then timers and tasks have their turn; the kernel begins the next time with the others.
BATCH_EVENTS = 64
_IN, _OUT = select.EPOLLIN, select.EPOLLOUT
# As asyncio has it: epoll counts milliseconds, and no more than 24 days of them.
_LONGEST_WAIT_SECONDS = 24 * 3600.0
# About what it takes a virtual machine to put its processor to sleep, wake it and fill its caches
# again: to look for no longer never takes twice what the better of the two does. Linux does so for
# 200 us where it runs as a guest and may (Documentation/virt/guest-halt-polling.rst).
_LOOK_SECONDS = 0.0001
# Of so many waits, where looking is in vain, one begins with it.
_SELDOM = 64


class _Timer(Protocol):
    _when: float


@runtime_checkable
class _Loop(Protocol):
    """What a loop of asyncio has to do; private to it, and the same from Python 3.11 to 3.14."""

    _ready: Sequence[object]
    _scheduled: Sequence[_Timer]
    _stopping: bool

    def time(self) -> float: ...


class DirectSelector(selectors.EpollSelector):
    """Calls those who are registered with it directly; returns the others.

    A descriptor is registered either directly or by asyncio; epoll refuses the second.

    Attributes:
        expected: Sockets that may be ready at once, as was said since the last wait.
    """

    def __init__(self, failed: Failed) -> None:
        """Call ``failed`` with each callback that raises, and what."""
        super().__init__()
        # The same epoll under a second descriptor: the first one's object is the base's own.
        self._epoll = select.epoll.fromfd(os.dup(self.fileno()))
        self._failed = failed
        self._readers: dict[int, Callback] = {}
        self._writers: dict[int, Callback] = {}
        # Registered since epoll was asked. What it said is of whoever had the descriptor before.
        self._fresh: set[int] = set()
        self._at_turn_end: deque[Callback] = deque()
        self.expected = 0
        # Waits that are not begun with a look, after the last one that was in vain; those left.
        self._skipped = self._skip = 0
        self._loop: _Loop | None = None

    def go_on_for(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have ``select`` return only once ``loop`` has something to do."""
        if isinstance(loop, _Loop):
            self._loop = loop

    def at_turn_end(self, callback: Callback) -> None:
        """Call ``callback`` once, after all whose sockets are ready now, and before any wait.

        Whom it has called at the end of a turn is called at the end of the same one.
        """
        self._at_turn_end.append(callback)

    def expect(self) -> None:
        """Say that a socket may be ready at once, as whoever asks on one connection alone does.

        Where nobody else says so, the next wait begins with looking for a moment, unless that has
        been in vain lately. A request that came alone took 200 us so, for 300.
        """
        self.expected += 1

    def add_reader(self, fd: int, callback: Callback) -> None:
        """Call ``callback`` whenever ``fd`` is readable, or broken."""
        is_new = self._is_new(fd)
        self._readers[fd] = callback
        self._watch(fd, is_new=is_new)

    def add_writer(self, fd: int, callback: Callback) -> None:
        """Call ``callback`` whenever ``fd`` is writable, or broken."""
        is_new = self._is_new(fd)
        self._writers[fd] = callback
        self._watch(fd, is_new=is_new)

    def remove_reader(self, fd: int) -> None:
        """End ``add_reader``; to be called before ``fd`` is closed."""
        if self._readers.pop(fd, None) is not None:
            self._unwatch(fd)

    def remove_writer(self, fd: int) -> None:
        """End ``add_writer``; to be called before ``fd`` is closed."""
        if self._writers.pop(fd, None) is not None:
            self._unwatch(fd)

    def register(
        self, fileobj: "FileDescriptorLike", events: int, data: object = None
    ) -> selectors.SelectorKey:
        """Register a descriptor that ``select`` returns."""
        key = super().register(fileobj, events, data)
        self._fresh.add(key.fd)
        return key

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait, call those who are registered directly, and return the others that are ready.

        Returns nothing at the end of the time, and where the loop has something else to do.
        """
        loop = self._loop
        if timeout is not None and timeout < 0.0:  # Which epoll would wait for ever.
            timeout = 0.0
        if self._at_turn_end:  # By a task: what it does may be of moment to the loop.
            self._end_turn()
            timeout = 0.0 if loop is None else _time_left(loop)
        while True:
            others = self._take_turn(timeout)
            if self._at_turn_end:
                self._end_turn()
            if others:
                return self._keys(others)
            timeout = 0.0 if loop is None else _time_left(loop)
            if timeout == 0.0:
                return []

    def _take_turn(self, timeout: float | None) -> list[tuple[int, int]]:
        """Wait, call those whose sockets are ready, and return the others."""
        others: list[tuple[int, int]] = []
        ready = self._wait(timeout)
        fresh, readers = self._fresh, self._readers
        fresh.clear()
        for fd, events in ready:
            if fresh and fd in fresh:
                continue
            # Looked up now: an earlier one may have ended the wait of this one.
            reader = readers.get(fd)
            if reader is None or events != _IN:
                if not self._call_both(fd, events):
                    others.append((fd, events))
                continue
            try:  # As ``_call``, but for a call: every event pays for it.
                reader()
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:  # noqa: BLE001 - as asyncio does with a callback's
                self._failed(reader, error)
        return others

    def _wait(self, timeout: float | None) -> list[tuple[int, int]]:
        """Return who is ready; nobody at the end of the time."""
        try:
            if self.expected and timeout != 0.0 and (found := self._look(timeout)):
                return found
            return self._epoll.poll(timeout, BATCH_EVENTS)
        except InterruptedError:
            return []

    def _look(self, timeout: float | None) -> list[tuple[int, int]]:
        """Return who is ready within a moment; nobody where it is not worth looking."""
        expected, self.expected = self.expected, 0
        if expected > 1:  # There is enough to do, and the processor does not sleep long.
            self._skip = _SELDOM
        if self._skip:
            self._skip -= 1
            return []
        poll, now = self._epoll.poll, SystemClock.monotonic
        until = now() + (_LOOK_SECONDS if timeout is None else min(timeout, _LOOK_SECONDS))
        while not (ready := poll(0.0, BATCH_EVENTS)):
            if now() >= until:
                self._skip = self._skipped = min(2 * self._skipped + 1, _SELDOM)
                return []
        self._skipped = 0
        return ready

    def _end_turn(self) -> None:
        """Call those who asked for it, and whom they have ask for it."""
        while self._at_turn_end:
            self._call(self._at_turn_end.popleft())

    def _call(self, callback: Callback) -> None:
        try:
            callback()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001 - as asyncio does with a callback's
            self._failed(callback, error)

    def close(self) -> None:
        """Close both descriptors of the epoll."""
        self._epoll.close()
        self._readers.clear()
        self._writers.clear()
        self._at_turn_end.clear()
        super().close()

    def _call_both(self, fd: int, events: int) -> bool:
        """Call reader and writer of ``fd``; whether it is registered directly."""
        is_direct = fd in self._readers or fd in self._writers
        # What is neither is an error, which both want to know of.
        for callbacks, other in (self._readers, _OUT), (self._writers, _IN):
            callback = callbacks.get(fd)
            if callback is not None and events & ~other and fd not in self._fresh:
                self._call(callback)
        return is_direct

    def _keys(self, others: list[tuple[int, int]]) -> list[tuple[selectors.SelectorKey, int]]:
        """Return asyncio's keys, those that are registered still."""
        registered = self.get_map()
        found = []
        for fd, events in others:
            key = registered.get(fd)
            if key is None or fd in self._fresh:
                continue
            wanted = selectors.EVENT_WRITE if events & ~_IN else 0
            wanted |= selectors.EVENT_READ if events & ~_OUT else 0
            found.append((key, wanted & key.events))
        return found

    def _is_new(self, fd: int) -> bool:
        return fd not in self._readers and fd not in self._writers

    def _watch(self, fd: int, *, is_new: bool) -> None:
        if not is_new:
            self._epoll.modify(fd, self._interest(fd))
            return
        try:
            self._epoll.register(fd, self._interest(fd))
        except BaseException:
            self._readers.pop(fd, None)
            self._writers.pop(fd, None)
            raise
        self._fresh.add(fd)

    def _unwatch(self, fd: int) -> None:
        with contextlib.suppress(OSError):  # Closed before: then the kernel has forgotten it.
            if interest := self._interest(fd):
                self._epoll.modify(fd, interest)
            else:
                self._epoll.unregister(fd)

    def _interest(self, fd: int) -> int:
        return (_IN if fd in self._readers else 0) | (_OUT if fd in self._writers else 0)


class DirectEventLoop(asyncio.SelectorEventLoop):
    """asyncio's loop over a ``DirectSelector``.

    Attributes:
        direct: Where to register what is to be called directly.
    """

    # As asyncio's own, without a function of Python around it: each turn asks two or three times.
    time = SystemClock.monotonic

    def __init__(self) -> None:
        self.direct = DirectSelector(self._report)
        super().__init__(self.direct)
        self.direct.go_on_for(self)

    def _report(self, callback: Callback, error: BaseException) -> None:
        self.call_exception_handler(
            {"message": f"exception in {callback!r}, called directly", "exception": error}
        )


def _time_left(loop: _Loop) -> float | None:
    """Return the seconds until ``loop`` has something to do; None where it waits for a socket."""
    if loop._ready or loop._stopping:  # noqa: SLF001 - see ``_Loop``
        return 0.0
    timers = loop._scheduled  # noqa: SLF001
    if not timers:
        return None
    left = timers[0]._when - loop.time()  # noqa: SLF001
    return max(0.0, min(left, _LONGEST_WAIT_SECONDS))
