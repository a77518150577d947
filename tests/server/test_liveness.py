"""A worker that is stuck is ended and started again; one that is slow, or starts, is not."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from kzproxy.clock.system import SystemClock
from kzproxy.metrics.registry import SupervisorMetrics
from kzproxy.server.addresses import ops_listening_privately
from kzproxy.server.liveness import Liveness, LivenessTimes
from kzproxy.server.supervisor import Supervisor
from kzproxy.server.worker import Worker
from kzproxy.server.worker_process import WorkerProcess
from kzproxy.web.ops_server import Shown
from kzproxy.web.worker_at_work import Said, WorkerAtWork, ask

PATIENCE_SECONDS = 30

# Answers as workers do, until it is asked to be stuck.
STUCK_ON_DEMAND = """
import asyncio, logging, pathlib, sys, time
from kzproxy.server.addresses import ops_listening_privately
from kzproxy.server.diagnostic_log import SHOW_STACKS, show_stacks_on
from kzproxy.web.ops_server import Shown

async def alive():
    return Shown(body=b"ok")

async def be_stuck_here():
    time.sleep(600)

async def main():
    show_stacks_on(SHOW_STACKS)
    documents = {"/livez": alive, "/stuck": be_stuck_here}
    async with ops_listening_privately(pathlib.Path(sys.argv[1]), documents):
        await asyncio.sleep(600)

asyncio.run(main())
"""


def times(answer_seconds: float) -> LivenessTimes:
    return LivenessTimes(
        between=timedelta(seconds=0.01),
        answer=timedelta(seconds=answer_seconds),
        last_words=timedelta(seconds=2),
    )


async def until_it_answers(worker: WorkerAtWork) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (await ask(worker, "/livez", PATIENCE_SECONDS)).status:
            await asyncio.sleep(0.05)


async def test_a_stuck_worker_says_where_and_is_ended_and_started_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    program = tmp_path / "stuck_on_demand.py"
    program.write_text(STUCK_ON_DEMAND)

    def command(worker: Worker) -> Sequence[str]:
        return [sys.executable, str(program), str(worker.ops_socket)]

    metrics, clock = SupervisorMetrics(), SystemClock()
    only = Worker(number=1, of=1, supervisor_pid=os.getpid(), directory=tmp_path)
    supervisor = Supervisor([only], command, clock, metrics, Liveness(times(answer_seconds=2)))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(supervisor.run(timedelta(seconds=PATIENCE_SECONDS)))
        while not supervisor.at_work():
            await asyncio.sleep(0)
        (first,) = supervisor.at_work()
        await until_it_answers(first)
        assert (await ask(first, "/stuck", 0.1)).is_silent

        async with asyncio.timeout(PATIENCE_SECONDS):
            while [first] == supervisor.at_work():
                await asyncio.sleep(0.05)
        assert supervisor.absent() == {
            "worker 1": "was ended by SIGKILL, is started again after 1 s"
        }

        await until_it_answers(first)  # Where it answers is the same.
        supervisor.stop()
        await running

    assert "worker 1 runs and has left 3 questions unanswered" in caplog.text
    shown = capfd.readouterr().err
    assert " in be_stuck_here\n" in shown
    assert b"kzproxy_worker_restarts_total 1.0" in metrics.exposition()


@pytest.fixture
async def sleeper() -> AsyncIterator[tuple[WorkerProcess, "asyncio.Task[int]"]]:
    """A process that does nothing, and its end."""
    process = WorkerProcess.start(["sleep", "600"])
    end = asyncio.create_task(process.ended())
    await asyncio.sleep(0)
    yield process, end
    process.send(signal.SIGKILL)
    await end


async def test_only_a_row_of_answers_that_do_not_come_ends_a_worker(
    tmp_path: Path, sleeper: tuple[WorkerProcess, "asyncio.Task[int]"]
) -> None:
    process, end = sleeper
    late = [True, True, False, True, True, False, True, True, True]
    asked = 0

    async def livez() -> Shown:
        nonlocal asked
        asked += 1
        assert asked <= len(late), "asked again after a whole row"
        if late[asked - 1]:
            await asyncio.sleep(PATIENCE_SECONDS)
        return Shown(body=b"ok")

    worker = WorkerAtWork(name="worker 1", start="1.1", socket=tmp_path / "1.sock")
    async with ops_listening_privately(worker.socket, {"/livez": livez}):
        await Liveness(times(answer_seconds=1)).end_if_stuck(worker, process)

    assert asked == len(late)
    assert await end < 0


async def test_a_worker_that_starts_or_has_begun_to_end_is_left_alone(
    tmp_path: Path, sleeper: tuple[WorkerProcess, "asyncio.Task[int]"]
) -> None:
    process, end = sleeper
    worker = WorkerAtWork(name="worker 1", start="1.1", socket=tmp_path / "1.sock")
    assert await ask(worker, "/livez", 1) == Said(text="starting")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await Liveness(times(answer_seconds=1)).end_if_stuck(worker, process)

    process.send(signal.SIGTERM)
    assert await end == -signal.SIGTERM  # Nothing had ended it before.
