"""Leave to do what a request for an own endpoint asks: written down, or permitted by policy."""

from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from kzproxy.administrator.administrator import Administrator
from kzproxy.administrator.lease import Ending
from kzproxy.errors.anew import anew
from kzproxy.policy.decision import Permit


class OwnLeave:
    """Of one request; what policy permitted is under way until the block ends."""

    def __init__(
        self,
        *,
        administrator: Administrator,
        session_id: str,
        write_down: Callable[[str], Awaitable[None]],
        decide: Callable[[], Awaitable[Permit]],
    ) -> None:
        """Take what leave is had by.

        Args:
            administrator: Takes a permit back where it no longer holds.
            session_id: Of the caller's sign-in.
            write_down: Returns once what will be done stands in the decision log.
            decide: Returns policy's permit once that stands there; raises where it denies.
        """
        self.write_down = write_down
        self._administrator = administrator
        self._session_id = session_id
        self._decide = decide
        self._under_way = ExitStack()
        self._endings: list[Ending] = []

    def __enter__(self) -> Self:
        """Begin; nothing is under way yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Have it under way no longer."""
        self._under_way.close()

    async def ask_policy(self) -> None:
        """Return once policy's permit stands in the decision log, and holds.

        Raises:
            ProxyError: There is none.
        """
        permit = await self._decide()
        lease = self._administrator.open(permit, self._session_id, self._endings.append)
        self._under_way.enter_context(lease)

    def check(self) -> None:
        """Refuse to go on where policy's permit was taken back meanwhile.

        Raises:
            ProxyError: It was.
        """
        if self._endings:
            raise anew(self._endings[0].error)
