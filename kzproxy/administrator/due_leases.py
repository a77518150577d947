"""Requests under way that are to be judged again: a few at a time, so that nobody waits for all."""

import asyncio
import contextlib
from collections.abc import Iterable
from itertools import islice

from kzproxy.administrator.lease import Lease

# Half a millisecond, beside the cuts that come of it: where a policy ends them all, fifty at once
# made others wait a tenth of a second. A request waits for some five turns of the loop; ten
# thousand streams judged in one go would keep it waiting for a third of a second.
JUDGED_AT_ONCE = 10


class DueLeases:
    """A queue in which each lease is once."""

    def __init__(self) -> None:
        self._due: dict[Lease, None] = {}
        self._is_any = asyncio.Event()

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._due)

    def add(self, leases: Iterable[Lease]) -> None:
        """Have these judged again, after those that are there already."""
        for lease in leases:
            self._due[lease] = None
        if self._due:
            self._is_any.set()

    def add_first(self, leases: Iterable[Lease]) -> None:
        """Have these judged again before all others."""
        others, self._due = self._due, {}
        self.add(leases)
        self.add(others)

    def next_few(self) -> list[Lease]:
        """Take those that are to be judged now."""
        few = list(islice(self._due, JUDGED_AT_ONCE))
        for lease in few:
            del self._due[lease]
        if not self._due:
            self._is_any.clear()
        return few

    async def wait(self, seconds: float) -> None:
        """Return as soon as there is any, or after ``seconds``."""
        with contextlib.suppress(TimeoutError):
            # Not ``wait_for``, which in Python 3.11 may swallow that it is cancelled.
            async with asyncio.timeout(seconds):
                await self._is_any.wait()
