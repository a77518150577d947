"""Who waits for what is due goes on as soon as anything is, and ends when told to."""

import asyncio

import pytest

from kzproxy.administrator.due_leases import DueLeases
from kzproxy.administrator.live import LiveLeases
from tests.administrator.test_live import stream


@pytest.mark.parametrize("turns", range(4))
async def test_who_is_cancelled_while_something_becomes_due_ends(turns: int) -> None:
    """Python 3.11's ``wait_for`` kept it to itself: kzproxy would never have stopped."""
    due = DueLeases()
    waiting = asyncio.create_task(due.wait(60))
    await asyncio.sleep(0.01)
    due.add([stream(LiveLeases(), "one")])
    for _ in range(turns):
        await asyncio.sleep(0)
    is_over = waiting.done()
    waiting.cancel()
    await asyncio.wait([waiting])
    assert is_over or waiting.cancelled()
