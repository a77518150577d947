"""What the demo identity provider remembers: in memory, bounded, each thing until its end."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from kzproxy.clock.system import Clock

Value = TypeVar("Value")


def new_secret() -> str:
    """Return 256 random bits as URL-safe text."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """Return the name under which ``secret`` is kept.

    Secrets are looked up by digest and never kept: a comparison that leaks its time then leaks
    something of a digest, which nobody can aim at.
    """
    return hashlib.sha256(secret.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Kept(Generic[Value]):
    value: Value
    ends_at: datetime


class ExpiringStore(Generic[Value]):
    """Values under names, until their end; past ``maximum`` the oldest one goes."""

    def __init__(self, clock: Clock, *, maximum: int) -> None:
        self._clock = clock
        self._maximum = maximum
        self._kept: dict[str, _Kept[Value]] = {}

    def put(self, name: str, value: Value, lifetime: timedelta) -> None:
        """Keep ``value`` for ``lifetime`` from now, in place of what ``name`` held before."""
        self._kept.pop(name, None)
        if len(self._kept) >= self._maximum:
            self._make_room()
        self._kept[name] = _Kept(value, self._clock.now() + lifetime)

    def get(self, name: str) -> Value | None:
        """Return what is kept under ``name``, or None past its end."""
        kept = self._kept.get(name)
        if kept is None or self._clock.now() >= kept.ends_at:
            return None
        return kept.value

    def take(self, name: str) -> Value | None:
        """Return what is kept under ``name`` and forget it."""
        value = self.get(name)
        self._kept.pop(name, None)
        return value

    def live(self) -> int:
        """Return how many have not ended."""
        now = self._clock.now()
        return sum(now < kept.ends_at for kept in self._kept.values())

    def _make_room(self) -> None:
        now = self._clock.now()
        self._kept = {name: kept for name, kept in self._kept.items() if now < kept.ends_at}
        while len(self._kept) >= self._maximum:
            del self._kept[next(iter(self._kept))]
