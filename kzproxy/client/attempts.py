"""The memory of sign-ins that came to nothing, so that programs do not ask again and again.

An editor or a dashboard left open overnight runs kubectl every few seconds; without this each
run would open one more browser tab. An attempt is written down before the user is asked: what
kills the plugin must not make it forget.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from kzproxy.client.token_cache import TokenCache

FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(hours=1)
NOT_FINISHED = "it was not finished"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """The last sign-in that has not succeeded.

    Attributes:
        count: How many in a row the user has been asked for.
        at: When it began or failed.
        message: How it failed.
    """

    count: int
    at: datetime
    message: str

    @property
    def retry_at(self) -> datetime:
        """Return when the user may be asked again without having said so."""
        if self.count == 0:
            return self.at
        fourfold_each_time = 1 << 2 * min(self.count - 1, 8)
        return self.at + min(LONGEST_PAUSE, FIRST_PAUSE * fourfold_each_time)


class Attempts:
    """The failed attempts at one sign-in. Its methods are called with the sign-in's lock held."""

    def __init__(self, cache: TokenCache, key: str) -> None:
        self._cache = cache
        self._name = f"{key}.attempt"

    def last(self) -> Attempt | None:
        """Return the last attempt, unless a sign-in has succeeded since."""
        document = self._cache.read_document(self._name) or {}
        count, at = document.get("count"), document.get("at")
        if not isinstance(count, int) or not isinstance(at, float):
            return None
        message = str(document.get("message"))
        return Attempt(count=count, at=datetime.fromtimestamp(at, UTC), message=message)

    def begin(self, now: datetime) -> None:
        """Write down that the user is going to be asked."""
        last = self.last()
        self._write(last.count + 1 if last else 1, now, NOT_FINISHED)

    def fail(self, now: datetime, message: str) -> None:
        """Write down how it failed; an attempt that asked nobody does not count."""
        last = self.last()
        self._write(last.count if last else 0, now, message)

    def clear(self) -> None:
        """Forget: the user signed in, or stopped it by hand."""
        self._cache.remove(self._name)

    def _write(self, count: int, at: datetime, message: str) -> None:
        fields = {"count": count, "at": at.timestamp(), "message": message}
        self._cache.write_document(self._name, fields)
