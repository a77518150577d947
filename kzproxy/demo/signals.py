"""What Ctrl-C and SIGTERM do: end the demo in order, but while a command runs they are its own."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Signals:
    """A context manager on the event loop; inside it the first signal cancels ``task``.

    Further ones do nothing: the task is stopping what it started, which takes some seconds.

    Attributes:
        received: The signal that ended the task; None where none did.
    """

    def __init__(self, task: "asyncio.Task[Any]") -> None:
        self._task = task
        self._act: Callable[[signal.Signals], None] = self._end
        self.received: signal.Signals | None = None

    def __enter__(self) -> Self:
        """Begin to listen."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._arrived, number)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the signals to others again."""
        for number in _SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)

    @contextmanager
    def left_to(self, process: asyncio.subprocess.Process) -> Iterator[None]:
        """Leave them to ``process``: the terminal sends it Ctrl-C itself, SIGTERM is passed on."""

        def pass_on(number: signal.Signals) -> None:
            if number is signal.SIGTERM and process.returncode is None:
                process.send_signal(number)

        before, self._act = self._act, pass_on
        try:
            yield
        finally:
            self._act = before

    def _arrived(self, number: signal.Signals) -> None:
        self._act(number)

    def _end(self, number: signal.Signals) -> None:
        if self.received is None:
            self.received = number
            self._task.cancel()
