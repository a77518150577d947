"""One piece of work beside another, owned by it."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager


@asynccontextmanager
async def alongside(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run ``work`` while the body runs; it is cancelled and waited for when the body ends.

    ``work`` must see to its own errors: one that it lets out is a bug and ends the body too. The
    body's own error comes out as it is, not in an ``ExceptionGroup``.
    """
    failure: Exception | None = None
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work)
        try:
            yield
        except Exception as error:  # noqa: BLE001 - raised again below, outside the group
            failure = error
        finally:
            task.cancel()
    if failure is not None:
        raise failure
