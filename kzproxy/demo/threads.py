"""Run blocking work in a thread, and never leave it behind."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


async def in_thread(work: Callable[[], Result]) -> Result:
    """Return what ``work`` returns; when cancelled, wait for its end all the same.

    ``asyncio.to_thread`` would go on without it: a control plane that is still starting would then
    be stopped under its own feet.
    """
    future = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        raise
