"""One run of ``kzproxy demo``: in the foreground, or around a command."""

import asyncio
import os
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from rich.console import Console

from kzproxy.clock.system import Clock
from kzproxy.demo.cluster import OtherCluster
from kzproxy.demo.command import command_environment, run_command, sign_in
from kzproxy.demo.demo import Demo, running_demo
from kzproxy.demo.directory import AlreadyRuns, DemoDirectory, RunningDemo
from kzproxy.demo.failure import DemoFailure
from kzproxy.demo.feed import Feed, follow
from kzproxy.demo.presentation import introduction
from kzproxy.demo.progress import Progress
from kzproxy.demo.signals import Signals

Result = TypeVar("Result")

# Another command may be starting a demo just now; that takes seconds, on a busy machine a minute.
_START_SECONDS = 180.0
_RETRY_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSession:
    """What a run of the command needs.

    Attributes:
        other: The cluster to use; None starts one.
        output: For the introduction and the decisions.
        progress: For everything else.
    """

    directory: DemoDirectory
    other: OtherCluster | None
    clock: Clock
    output: Console
    progress: Progress
    signals: Signals

    async def in_foreground(self) -> None:
        """Run the demo and show decisions, until cancelled.

        Raises:
            DemoFailure: See ``running_demo``.
            ControlPlaneError: See ``running_demo``.
        """
        self.directory.prepare()
        async with running_demo(self.directory, self.other, self.clock, self.progress) as demo:
            place = demo.decisions_so_far_bytes
            self.directory.announce(self._announcement(demo))
            now = self.clock.now()
            self.output.print(introduction(demo, now), soft_wrap=True, highlight=False)
            await _kept(demo, self.progress, self._show(demo, place))

    async def around(self, command: Sequence[str], user: str) -> int:
        """Run ``command`` as ``user`` and return its exit code; a demo that runs is used.

        Raises:
            DemoFailure: See ``running_demo``, ``sign_in`` and ``run_command``.
            ControlPlaneError: See ``running_demo``.
        """
        self.directory.prepare()
        deadline = self.clock.monotonic() + _START_SECONDS
        while True:
            with self.directory.used() as running:
                if running is not None:
                    return await self._run(command, user, running)
            try:
                return await self._around_own(command, user)
            except AlreadyRuns:
                if self.clock.monotonic() > deadline:
                    raise
                await asyncio.sleep(_RETRY_SECONDS)

    async def _around_own(self, command: Sequence[str], user: str) -> int:
        async with running_demo(self.directory, self.other, self.clock, self.progress) as demo:
            running = self._announcement(demo)
            self.directory.announce(running)
            code = await _kept(demo, self.progress, self._run(command, user, running))
            # Others may be using the demo too by now: see ``DemoDirectory.used``.
            while not self.directory.withdraw_unless_used():  # noqa: ASYNC110 - their locks
                await asyncio.sleep(_RETRY_SECONDS)
            return code

    async def _run(self, command: Sequence[str], user: str, running: RunningDemo) -> int:
        if running.cluster != cluster_name(self.other):
            raise DemoFailure(
                f"the demo that runs in {self.directory.root} (pid {running.pid}) is for another"
                " cluster; name another directory with --dir"
            )
        await sign_in(self.directory, user)
        environment = command_environment(self.directory, running, user, os.environ)
        return await run_command(command, environment, self.signals)

    def _announcement(self, demo: Demo) -> RunningDemo:
        return RunningDemo(
            pid=os.getpid(),
            kubectl=str(demo.cluster.kubectl.program),
            cluster=cluster_name(self.other),
        )

    async def _show(self, demo: Demo, place: int) -> None:
        feed = Feed()
        async for record in follow(demo.directory.decisions, from_byte=place):
            for line in feed.lines(record):
                self.output.print(line, soft_wrap=True, highlight=False)


def cluster_name(other: OtherCluster | None) -> str:
    """Return a name by which two runs tell whether they mean the same cluster."""
    return "" if other is None else f"{other.kubeconfig.resolve()}#{other.context}"


async def _kept(demo: Demo, progress: Progress, work: Coroutine[Any, Any, Result]) -> Result:
    """Return what ``work`` returns, while the demo is kept going.

    Raises:
        Exception: What ended the first of the two, by itself and not in a group.
    """
    try:
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(demo.keep(progress))
            result = await work
            keeping.cancel()
    except BaseExceptionGroup as several:
        raise _first(several) from None
    return result


def _first(several: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = several
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
