"""Turns of the loop, counted, and how often something happens in each."""

import asyncio
from collections import Counter
from types import TracebackType
from typing import Self


class Ticks:
    """Counts while its block runs.

    Attributes:
        noted: How often ``note`` was called in each turn.
    """

    def __init__(self) -> None:
        self.noted: Counter[int] = Counter()
        self._turn = 0
        self._handle: asyncio.Handle | None = None

    def note(self) -> None:
        self.noted[self._turn] += 1

    def _tick(self) -> None:
        self._turn += 1
        self._handle = asyncio.get_running_loop().call_soon(self._tick)

    def __enter__(self) -> Self:
        self._tick()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._handle is not None:
            self._handle.cancel()
