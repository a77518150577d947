"""The course of a soak: quiet, everything at once, quiet again, the end, the accounts."""

import asyncio
from dataclasses import dataclass, field

from bench.programs import CannotRunError
from soak.aftermath import Aftermath
from soak.clients import Ask, User, configmaps, steadily
from soak.commands import Commands
from soak.growth import Held, Moment, back_to, descriptor_kinds, memory_line
from soak.memories import fill
from soak.progress import say, tell, verbs
from soak.proxy import Proxy
from soak.stage import NAMESPACES, SETTINGS, Stage
from soak.tally import Tally
from soak.upheaval import Upheaval
from soak.verdict import Line
from soak.watches import MARKER, Watches

_READY_SECONDS = 30.0
_SETTLE_SECONDS = 3.0
_PROGRESS_SECONDS = 15.0
_SAMPLE_SECONDS = 3.0
_MARKER_SECONDS = 20.0
# Pooled connections to kube-apiserver are closed after 60 s (kzproxy.upstream.api_server).
_QUIET_SECONDS = 90.0
_WATCHERS = 20
_STEADY_USERS = 10
_STEPS_PER_SECOND = 20.0
_EXEC_PAUSE_SECONDS = 1.0
_UPHEAVAL_PAUSE_SECONDS = 2.0
_KILL_EVERY_SECONDS = 40.0
_GAUGES = {
    "requests in flight": "kzproxy_requests_in_flight",
    "streams": "kzproxy_long_running_requests",
    "connections": "kzproxy_connections",
}


@dataclass(slots=True)
class Course:
    """Runs once.

    Attributes:
        moments: The memory of both workers over time, where both were there.
        weighed_from: From when on it must not grow, by the tally.
    """

    stage: Stage
    proxy: Proxy
    tally: Tally
    seconds: float
    moments: list[Moment] = field(default_factory=list)
    weighed_from: float = 0.0
    _users: list[User] = field(default_factory=list)

    async def run(self) -> list[Line]:
        """Return the verdict.

        Raises:
            CannotRunError: kzproxy does not get ready, or ends.
        """
        await self._ready()
        before, metrics_before = self.proxy.held(), await self.proxy.metrics()
        watches = Watches.of([self._user(number) for number in range(_WATCHERS)], self.tally)
        self.weighed_from = self.tally.now() + self.seconds / 2
        upheaval = self._upheaval(self.weighed_from)
        try:
            await self._load(watches, upheaval)
        finally:
            for user in self._users:
                await user.close()
        say(f"done in all: {verbs(self.tally.requests)}")
        say("load has stopped; waiting for what is idle to be closed")
        released = await self._released(before)
        metrics_after = await self.proxy.metrics()
        self.proxy.stop()
        self._write_moments()
        return [
            self.tally.line(),
            watches.line(),
            upheaval.line(),
            released,
            _gauges(metrics_after),
            back_to(
                "no task is left",
                {"tasks": metrics_before["kzproxy_tasks"]},
                {"tasks": metrics_after["kzproxy_tasks"]},
            ),
            memory_line(self.moments, self.weighed_from),
            *await self._aftermath(upheaval).lines(),
        ]

    async def _ready(self) -> None:
        try:
            async with asyncio.timeout(_READY_SECONDS):
                while not await self.proxy.is_ready():
                    self.proxy.check()
                    await asyncio.sleep(0.2)
        except TimeoutError as error:
            raise CannotRunError(f"kzproxy is not ready: {self.proxy.log.read_text()}") from error
        await asyncio.sleep(_SETTLE_SECONDS)

    def _user(self, number: int) -> User:
        identity = self.stage.world.identities[number]
        user = User(self.stage, self.proxy.port, identity, self.tally)
        self._users.append(user)
        return user

    def _upheaval(self, half: float) -> Upheaval:
        return Upheaval(
            stage=self.stage,
            proxy=self.proxy,
            user=self._user(_WATCHERS),
            tally=self.tally,
            # A worker that has just begun has memory to fill before it is weighed.
            kills_until=half - self.seconds / 6,
            kill_every=min(_KILL_EVERY_SECONDS, self.seconds / 6),
        )

    async def _load(self, watches: Watches, upheaval: Upheaval) -> None:
        first = _WATCHERS + 1
        users = [self._user(first + number) for number in range(_STEADY_USERS)]
        commands = [self._commands(first + _STEADY_USERS + number) for number in range(2)]
        async with asyncio.TaskGroup() as group:
            works = watches.start(group)
            works.append(group.create_task(steadily(users, self.tally, _STEPS_PER_SECOND)))
            works.append(group.create_task(commands[0].mixed()))
            works.append(group.create_task(commands[1].execs(_EXEC_PAUSE_SECONDS)))
            tearing = group.create_task(upheaval.run(_UPHEAVAL_PAUSE_SECONDS))
            works += [group.create_task(self._sample()), group.create_task(self._tell(watches))]
            works.append(group.create_task(self._fill_memories()))
            await asyncio.sleep(self.seconds)
            tearing.cancel()
            await self._mark(users[0], watches)
            for work in works:
                work.cancel()

    async def _fill_memories(self) -> None:
        """Fill them between the last kill and the second half."""
        await asyncio.sleep(self.weighed_from - self.seconds / 12 - self.tally.now())
        await fill(self._users)
        self.weighed_from = max(self.weighed_from, self.tally.now())
        say("what kzproxy remembers of heads has been filled")

    def _commands(self, number: int) -> Commands:
        identity = self.stage.world.identities[number]
        kubectl = self.stage.kubectl(identity, self.proxy.port)
        return Commands(kubectl=kubectl, tally=self.tally)

    async def _sample(self) -> None:
        while True:
            await asyncio.sleep(_SAMPLE_SECONDS)
            self.proxy.check()
            held = self.proxy.held()
            if len(held) == len(self.proxy.decision_logs()) + 1:
                resident = sum(
                    each.resident_bytes for name, each in held.items() if name != "supervisor"
                )
                now = self.tally.now()
                self.moments.append(Moment(seconds=now, resident_bytes=resident))

    async def _tell(self, watches: Watches) -> None:
        while True:
            await asyncio.sleep(_PROGRESS_SECONDS)
            metrics = await self.proxy.metrics()
            tell(self.tally, watches.alive, self.proxy.held(), metrics)

    async def _mark(self, user: User, watches: Watches) -> None:
        """Change something in each namespace, and wait for all who watch to see it."""
        change = {"metadata": {"annotations": {MARKER: "seen"}}}
        for namespace in NAMESPACES:
            path = f"{configmaps(namespace)}/{SETTINGS[0]}"
            kind = "application/merge-patch+json"
            ask = Ask(verb="patch", method="PATCH", path=path, body=change, content_type=kind)
            await user.ask(ask)
        deadline = self.tally.now() + _MARKER_SECONDS
        while self.tally.now() < deadline:
            if watches.all_marked:
                break
            await asyncio.sleep(0.2)
        watches.close_counts()

    async def _released(self, before: dict[str, Held]) -> Line:
        """Wait until no process has more descriptors open than before the load."""
        deadline = self.tally.now() + _QUIET_SECONDS
        began = {name: float(held.descriptors) for name, held in before.items()}
        while True:
            now = {name: float(held.descriptors) for name, held in self.proxy.held().items()}
            line = back_to("no descriptor is left", began, now)
            if line.holds or self.tally.now() > deadline:
                break
            await asyncio.sleep(1.0)
        for name, held in self.proxy.held().items():
            say(f"{name}: {dict(descriptor_kinds(held.pid))}")
        return line

    def _aftermath(self, upheaval: Upheaval) -> Aftermath:
        return Aftermath(
            decision_logs=self.proxy.decision_logs(),
            audit_log=self.stage.control_plane.audit_log,
            answers=self.tally.answers,
            kills=upheaval.kills,
            directory=self.stage.directory,
        )

    def _write_moments(self) -> None:
        lines = "".join(f"{each.seconds:.1f} {each.resident_bytes}\n" for each in self.moments)
        (self.stage.directory / "memory.txt").write_text(lines)


def _gauges(metrics: dict[str, float]) -> Line:
    nothing = dict.fromkeys(_GAUGES, 0.0)
    now = {name: metrics.get(gauge, 0.0) for name, gauge in _GAUGES.items()}
    return back_to("nothing is under way", nothing, now)
