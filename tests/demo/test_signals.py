"""Ctrl-C and SIGTERM end the demo in order, and belong to a command while it runs."""

import asyncio
import os
import signal
import sys

import pytest

from kzproxy.demo.signals import Signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_first_one_cancels_and_the_rest_do_nothing(number):
    stopped = []

    async def work() -> None:
        task = asyncio.current_task()
        assert task
        with Signals(task) as signals:
            try:
                os.kill(os.getpid(), number)
                await asyncio.Event().wait()
            finally:
                os.kill(os.getpid(), signal.SIGTERM)
                await asyncio.sleep(0)  # the second one arrives, and stopping goes on
                await asyncio.sleep(0)
                stopped.append(signals.received)

    async with asyncio.timeout(10):
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(work(), 10)
    assert stopped == [number]


async def test_while_a_command_runs_sigterm_is_passed_on_and_ctrl_c_left_alone():
    program = "import signal; print('ready', flush=True); signal.pause()"
    task = asyncio.current_task()
    assert task
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    async with asyncio.timeout(20):
        await process.stdout.readline()
        with Signals(task) as signals, signals.left_to(process):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
            assert await process.wait() == -signal.SIGTERM
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(0)
        assert signals.received is None
