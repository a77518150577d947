"""Fill what kzproxy remembers of heads, so that what grows afterwards is something else.

Each kubectl command names itself in a header, ``Kubectl-Session`` (KEP-859), so its header blocks
never come again. kzproxy remembers them all the same, until a worker has 8 MiB of them: ten minutes
see a good part of that, and would take it for a leak.
"""

import asyncio
from collections.abc import Sequence

from soak.clients import Ask, User

# A worker forgets all before it has had a thousand of them, and of some thirty connections the
# kernel almost surely gives it a quarter.
REQUESTS = 4000


async def fill(users: Sequence[User]) -> None:
    """Ask in vain over each user's connection, with a header block that is new each time.

    The token is nobody's: so nothing else is remembered of whoever asks.
    """
    numbers = iter(range(REQUESTS))

    async def ask_on(user: User) -> None:
        for number in numbers:
            await user.ask(unheard_of(number))

    async with asyncio.TaskGroup() as group:
        for user in users:
            group.create_task(ask_on(user))


def unheard_of(number: int) -> Ask:
    """Return a request with a header block that no other number has."""
    session = f"{number:04}" * 1000  # The longer, the fewer it takes.
    headers = {"Authorization": "Bearer nobodys", "Kubectl-Session": session}
    return Ask(verb="unknown", method="GET", path="/version", expected=401, headers=headers)
