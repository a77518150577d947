"""Long work on the loop: a little at a time, and of all of it one little in a turn."""

import asyncio


class Turns:
    """Gives all long work of a worker its turns, in the order in which it asks for them.

    If each piece of work gave way to others by itself, every turn of the loop would have one slice
    of each: a hundred of 2 ms, and whoever asks for something small would wait for all of them.
    """

    __slots__ = ("_next",)

    def __init__(self) -> None:
        self._next = asyncio.Lock()  # Who waits for one gets it in order.

    async def take(self) -> None:
        """Return in a turn of the loop in which nobody else does."""
        async with self._next:
            await asyncio.sleep(0)
