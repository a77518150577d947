"""Who tells a stream that its socket is ready: the loop or, where it has one, its selector."""

import asyncio
import sys
from collections.abc import Callable
from typing import Protocol


class Readiness(Protocol):
    """Calls back whenever a descriptor is ready; a loop's own methods, as far as they are used."""

    def add_reader(self, fd: int, callback: Callable[[], None], /) -> None:
        """Call ``callback`` whenever ``fd`` is readable, or broken."""

    def add_writer(self, fd: int, callback: Callable[[], None], /) -> None:
        """Call ``callback`` whenever ``fd`` is writable, or broken."""

    def remove_reader(self, fd: int, /) -> object:
        """End ``add_reader``; to be called before ``fd`` is closed."""

    def remove_writer(self, fd: int, /) -> object:
        """End ``add_writer``; to be called before ``fd`` is closed."""


if sys.platform == "linux":
    from kzproxy.transport.direct_loop import DirectEventLoop

    def new_event_loop() -> asyncio.AbstractEventLoop:
        """Return a loop for whoever serves requests."""
        return DirectEventLoop()

    def readiness(loop: asyncio.AbstractEventLoop) -> Readiness:
        """Return what calls back for the sockets of ``loop`` with the least ado."""
        return loop.direct if isinstance(loop, DirectEventLoop) else loop

    def at_turn_end(loop: asyncio.AbstractEventLoop) -> Callable[[Callable[[], None]], object]:
        """Return what has a function called once all that are ready now have been."""
        return loop.direct.at_turn_end if isinstance(loop, DirectEventLoop) else loop.call_soon

    def expecting(loop: asyncio.AbstractEventLoop) -> Callable[[], None]:
        """Return what says that a socket may be ready at once."""
        return loop.direct.expect if isinstance(loop, DirectEventLoop) else _nothing

else:

    def new_event_loop() -> asyncio.AbstractEventLoop:
        """Return a loop for whoever serves requests."""
        return asyncio.new_event_loop()

    def readiness(loop: asyncio.AbstractEventLoop) -> Readiness:
        """Return what calls back for the sockets of ``loop`` with the least ado."""
        return loop

    def at_turn_end(loop: asyncio.AbstractEventLoop) -> Callable[[Callable[[], None]], object]:
        """Return what has a function called once all that are ready now have been."""
        return loop.call_soon

    def expecting(_loop: asyncio.AbstractEventLoop) -> Callable[[], None]:
        """Return what says that a socket may be ready at once."""
        return _nothing


def _nothing() -> None:
    """Do nothing: such a loop sleeps at once."""
