"""What is held in memory whole for requests under way, counted for each user and in all."""

from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from kzproxy.attributes.identity import Identity
from kzproxy.errors.kinds import ServiceUnavailable, TooManyRequests

_RETRY_AFTER_SECONDS = 1
_Holder = tuple[str, str]


@dataclass(slots=True)
class HeldBytes:
    """Counts over all requests of a worker.

    Attributes:
        what: Is held, in words.
        max_bytes: Of it in all.
        max_bytes_each: For one identity, so that nobody keeps all others from theirs.
    """

    what: str
    max_bytes: int
    max_bytes_each: int
    _bytes: int = field(default=0, init=False)
    _of_each: Counter[_Holder] = field(default_factory=Counter, init=False)

    def of(self, whose: Identity) -> "Held":
        """Return what is held for one request of ``whose``: nothing yet."""
        return Held(self, (whose.issuer, whose.username))

    def change(self, holder: _Holder, size: int) -> None:
        """Count ``size`` more, or less; raises as ``Held.hold`` does, and counts nothing then."""
        if size > 0:
            self._require_room(holder, size)
        self._bytes += size
        self._of_each[holder] += size
        if not self._of_each[holder]:
            del self._of_each[holder]

    def _require_room(self, holder: _Holder, size: int) -> None:
        held = self._of_each.get(holder, 0)
        if held + size > self.max_bytes_each:
            raise TooManyRequests(
                f'for User "{holder[1]}" kzproxy holds {held} bytes of {self.what}, and no more'
                " for one user; send fewer requests at a time",
                retry_after_seconds=_RETRY_AFTER_SECONDS,
            )
        if self._bytes + size > self.max_bytes:
            raise ServiceUnavailable(
                f"kzproxy holds too many bytes of {self.what}; try again",
                retry_after_seconds=_RETRY_AFTER_SECONDS,
            )


class Held:
    """What is held for one request; nothing any more at the end of its block."""

    __slots__ = ("_bytes", "_counted", "_holder")

    def __init__(self, counted: HeldBytes, holder: _Holder) -> None:
        self._counted = counted
        self._holder = holder
        self._bytes = 0

    def hold(self, size: int) -> None:
        """Hold ``size`` bytes in all from now on.

        Raises:
            TooManyRequests: Too much is held for its caller at this moment; it is as before.
            ServiceUnavailable: Too much is for everybody.
        """
        self._counted.change(self._holder, size - self._bytes)
        self._bytes = size

    def let_go(self) -> None:
        """Hold nothing any more."""
        self.hold(0)

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Hold nothing any more."""
        self.let_go()
