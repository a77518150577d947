"""Watches: most held from the beginning to the end, some opened and closed all the time."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx

from soak.clients import User, configmaps
from soak.stage import NAMESPACES
from soak.tally import Tally
from soak.verdict import Line

HELD = 200
CHURNING = 20
MARKER = "soak-marker"
_UNREAD = httpx.Timeout(30.0, read=None)
_AGAIN_SECONDS = 0.2
_CHURN_SECONDS = 4.0
_OK = 200


@dataclass(slots=True, kw_only=True)
class Watch:
    """One watch of the ConfigMaps of a namespace.

    Attributes:
        alive: Whether it is answered now.
        marked: Whether it has seen the marker.
    """

    user: User
    namespace: str
    tally: Tally
    verb: str = "watch"
    alive: bool = False
    marked: bool = False
    events: int = 0

    async def hold(self) -> None:
        """Watch for ever; open it again where it ends, which is a failure."""
        while True:
            await self._once(may_end=False)
            await asyncio.sleep(_AGAIN_SECONDS)

    async def churn(self) -> None:
        """Open and close it for ever."""
        while True:
            try:
                async with asyncio.timeout(_CHURN_SECONDS):
                    await self._once(may_end=True)
                await asyncio.sleep(_AGAIN_SECONDS)
            except TimeoutError:
                continue

    async def _once(self, *, may_end: bool) -> None:
        began, path = self.tally.now(), f"{configmaps(self.namespace)}?watch=1"
        self.tally.requests[self.verb] += 1
        try:
            async with self.user.client.stream("GET", path, timeout=_UNREAD) as answer:
                audit_id = answer.headers.get("Audit-Id", "")
                self.tally.answered(f"GET {path}", audit_id, answer.status_code)
                self.alive = answer.status_code == _OK
                await self._read(answer)
            self.tally.failed(f"watch of {self.namespace}", "ended", began, broken=may_end)
        except (httpx.TransportError, OSError) as error:
            self.tally.failed(f"watch of {self.namespace}", repr(error), began, broken=True)
        finally:
            self.alive = False

    async def _read(self, answer: httpx.Response) -> None:
        async for line in answer.aiter_lines():
            self.events += 1
            if MARKER in line:
                self.marked = True


@dataclass(slots=True)
class Watches:
    """All of them."""

    held: list[Watch] = field(default_factory=list)
    churning: list[Watch] = field(default_factory=list)
    alive_at_end: int = 0

    @classmethod
    def of(cls, users: Sequence[User], tally: Tally) -> "Watches":
        """Share them out over users and namespaces."""

        def watch(number: int, verb: str) -> Watch:
            return Watch(
                user=users[number % len(users)],
                namespace=NAMESPACES[number // len(users) % len(NAMESPACES)],
                tally=tally,
                verb=verb,
            )

        return cls(
            held=[watch(number, "watch") for number in range(HELD)],
            churning=[watch(number, "watch (churn)") for number in range(CHURNING)],
        )

    @property
    def alive(self) -> int:
        """How many of those that are held are answered now."""
        return sum(watch.alive for watch in self.held)

    @property
    def all_marked(self) -> bool:
        """Whether each that is held has seen the marker."""
        return all(watch.marked for watch in self.held)

    def start(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Begin; cancelled, they end their connections."""
        held = [group.create_task(watch.hold()) for watch in self.held]
        return held + [group.create_task(watch.churn()) for watch in self.churning]

    def close_counts(self) -> None:
        """Keep how many are alive now, before they are ended."""
        self.alive_at_end = self.alive

    def line(self) -> Line:
        """Say that each that is held saw the last event of its namespace."""
        events = sum(watch.events for watch in self.held)
        return Line(
            name="every held watch lives to the end",
            found=f"{self.alive_at_end} of {HELD} alive, {events} events",
            problems=tuple(
                f"{watch.user.identity.user} in {watch.namespace}: did not see the last event"
                for watch in self.held
                if not watch.marked
            ),
        )
