"""Leave off what is waited for when kzproxy is told to stop."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from kzproxy.transport.alongside import alongside

Found = TypeVar("Found")


async def unless_stopped(stopping: asyncio.Event, work: Coroutine[Any, Any, Found]) -> Found | None:
    """Return what ``work`` returns, or None where ``stopping`` is set first and ends it."""
    limit = asyncio.timeout(None)
    try:
        async with limit, alongside(_end(limit, stopping)):
            return await work
    except TimeoutError:
        if limit.expired():
            return None
        raise


async def _end(limit: asyncio.Timeout, stopping: asyncio.Event) -> None:
    await stopping.wait()
    limit.reschedule(asyncio.get_running_loop().time())
