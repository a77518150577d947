"""Work in a thread is never left behind."""

import asyncio
import threading

import pytest

from kzproxy.demo.threads import in_thread


async def test_it_returns_and_raises_what_the_work_does():
    assert await in_thread(lambda: 42) == 42
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)


async def test_cancelled_it_waits_for_the_end_of_the_work():
    began, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        may_end.wait(10)
        ended.set()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(in_thread(work))
        while not began.is_set():
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        may_end.set()
    assert ended.is_set()
    assert task.cancelled()
