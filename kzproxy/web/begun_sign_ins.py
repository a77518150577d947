"""How many sign-ins that nobody has finished are kept, and whose go where there are too many."""

import heapq
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import count

from kzproxy.clock.system import Clock
from kzproxy.web.address_limits import site

MAX_BEGUN = 20_000
"""Some 30 MB in the store."""

Keys = tuple[str, ...]


class BegunSignIns:
    """Remembers what was begun from where, so that the greediest lose theirs first.

    While anybody has two, nobody loses the only one they have: beginning many keeps nobody else
    from finishing theirs.
    """

    def __init__(self, clock: Clock, most: int) -> None:
        """Remember ``most``."""
        self._clock = clock
        self._most = most
        self._number = count()
        self._of: dict[str, dict[int, Keys]] = {}
        self._by_count: dict[int, dict[str, None]] = {}
        self._ends: list[tuple[float, int, str]] = []
        self._total = 0

    def __len__(self) -> int:
        """Return how many are remembered."""
        return self._total

    def add(self, address: str, keys: Keys, life: timedelta) -> Keys:
        """Remember one more for its ``life``.

        Args:
            address: It is begun from there.
            keys: What the store has of it.
            life: How long that is kept.

        Returns:
            The keys of the one that must be forgotten for it; none where there is room.
        """
        now = self._clock.monotonic()
        while self._ends and self._ends[0][0] <= now:
            _, number, place = heapq.heappop(self._ends)
            self._drop(place, number)
        place, number = site(address), next(self._number)
        self._total += 1
        with self._recounted(place) as held:
            held[number] = keys
        heapq.heappush(self._ends, (now + life.total_seconds(), number, place))
        return self._forgotten() if self._total > self._most else ()

    def _forgotten(self) -> Keys:
        greediest = next(iter(self._by_count[max(self._by_count)]))
        return self._drop(greediest, next(iter(self._of[greediest])))

    def _drop(self, place: str, number: int) -> Keys:
        if number not in self._of.get(place, {}):
            return ()  # it had to go before its end
        self._total -= 1
        with self._recounted(place) as held:
            return held.pop(number)

    @contextmanager
    def _recounted(self, place: str) -> Iterator[dict[int, Keys]]:
        """Let what a place holds be changed, and file the place under how much that is."""
        held = self._of.pop(place, {})
        alike = self._by_count.get(len(held), {})
        alike.pop(place, None)
        if not alike:
            self._by_count.pop(len(held), None)
        yield held
        if held:
            self._of[place] = held
            self._by_count.setdefault(len(held), {})[place] = None
