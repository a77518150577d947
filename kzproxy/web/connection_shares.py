"""Whose connections are taken where there are too many: nobody can hold them all."""

from collections import Counter
from collections.abc import Callable
from typing import Protocol

from kzproxy.web.address_limits import neighbourhood, site

PeerName = tuple[str, int]


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


class Place:
    """What one connection has of the shares, from accept to its end.

    Attributes:
        peer: Whose it is.
        is_busy: Whether a request is being answered.
        is_handed_over: Whether what serves the client has it, which then calls ``leave``.
    """

    def __init__(
        self, shares: ConnectionShares, peer: PeerName, hang_up: Callable[[], object]
    ) -> None:
        self.peer = peer
        self.is_busy = False
        self.is_handed_over = False
        self._shares = shares
        self._hang_up = hang_up
        self._is_counted = False

    @classmethod
    def of(
        cls, shares: ConnectionShares, peer: PeerName, hang_up: Callable[[], object]
    ) -> "Place | None":
        """Return a place for a connection of ``peer``; None where it is one too many."""
        place = cls(shares, peer, hang_up)
        place._is_counted = shares.admit(place, peer[0])
        return place if place._is_counted else None

    def hand_over(self, hang_up: Callable[[], object]) -> bool:
        """Let go of it to what serves the client; False where it was lost meanwhile."""
        self.is_handed_over, self._hang_up = True, hang_up
        return self._is_counted

    def drop(self) -> None:
        """Hang up at once, for another one's sake."""
        self.leave()
        self._hang_up()

    def leave(self) -> None:
        """Be counted no more; again where it is not is no error."""
        if self._is_counted:
            self._is_counted = False
            self._shares.leave(self, self.peer[0])
