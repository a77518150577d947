"""Work beside other work, owned by it."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager


@asynccontextmanager
async def alongside(*works: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run ``works`` while the body runs; they are cancelled and waited for when the body ends.

    Each must see to its own errors: one that it lets out is a bug and ends the body too. The
    body's own error comes out as it is, not in an ``ExceptionGroup``.
    """
    failure: Exception | None = None
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
        try:
            yield
        except Exception as error:  # noqa: BLE001 - raised again below, outside the group
            failure = error
        finally:
            for task in tasks:
                task.cancel()
    if failure is not None:
        try:
            raise failure
        finally:
            del failure  # It holds this frame: see ``errors.anew``.
