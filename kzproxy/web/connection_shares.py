"""Whose connections are taken where there are too many: nobody can hold them all."""

from collections import Counter
from typing import Protocol

from kzproxy.web.address_limits import neighbourhood, site


class Held(Protocol):
    """One connection."""

    @property
    def is_busy(self) -> bool:
        """Whether something is done for it now."""

    def drop(self) -> None:
        """Hang up at once, and ``leave`` before this returns."""


class ConnectionShares:
    """Counts connections, and lets idle ones go where an address has many and another has few."""

    def __init__(self, *, most: int, most_of_address: int) -> None:
        """Let there be so many, in all and of one IPv4 address or IPv6 /64."""
        self._most = most
        self._most_of_address = most_of_address
        self._total = 0
        self._by_neighbourhood: Counter[str] = Counter()
        self._by_site: dict[str, dict[Held, None]] = {}

    def admit(self, connection: Held, address: str) -> bool:
        """Count one more, unless it is too many."""
        if self._by_neighbourhood[neighbourhood(address)] >= self._most_of_address:
            return False
        if self._total >= self._most and not self._make_room(site(address)):
            return False
        self._total += 1
        self._by_neighbourhood[neighbourhood(address)] += 1
        self._by_site.setdefault(site(address), {})[connection] = None
        return True

    def leave(self, connection: Held, address: str) -> None:
        """Count one less."""
        place, held = neighbourhood(address), self._by_site[site(address)]
        self._total -= 1
        self._by_neighbourhood[place] -= 1
        if not self._by_neighbourhood[place]:
            del self._by_neighbourhood[place]
        del held[connection]
        if not held:
            del self._by_site[site(address)]

    def _make_room(self, newcomer: str) -> bool:
        """Let the oldest idle connection of whoever has the most go, for one who has fewer."""
        greediest = max(self._by_site.values(), key=len)
        if len(greediest) <= len(self._by_site.get(newcomer, {})) + 1:
            return False
        idle = next((one for one in greediest if not one.is_busy), None)
        if idle is None:
            return False
        idle.drop()
        return True
