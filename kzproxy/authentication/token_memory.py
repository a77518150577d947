"""What is remembered of tokens already judged, by digest: never the token, never unbounded."""

import hashlib
from datetime import datetime
from typing import Generic, TypeVar

import msgspec

from kzproxy.attributes.identity import Identity
from kzproxy.authentication.jwks import KeySet
from kzproxy.authentication.keys import IssuerKeys

Entry = TypeVar("Entry")


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """A token that held.

    Attributes:
        identity: Whose it is; its ``expires_at`` ends this entry, by the wall clock.
        check_again_at: When it is verified anew, by the monotonic clock; not later than the end of
            the keys that it was verified with.
        keys: Where its key comes from.
        fingerprint: Its key; the entry ends when the issuer withdraws it.
    """

    identity: Identity
    check_again_at: float
    keys: IssuerKeys
    fingerprint: str

    def holds(self, now: datetime, monotonic: float) -> bool:
        """Tell whether the token would still be taken if it were verified now."""
        return (
            now < self.identity.expires_at
            and monotonic < self.check_again_at
            and self.fingerprint in self.keys.published.fingerprints
        )


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """A token that did not hold, so that its signature need not be checked again soon.

    Attributes:
        message: Why.
        forget_at: By the monotonic clock.
        keys: Where its key should have come from.
        key_set: The keys that it was judged with; other keys, other judgement.
    """

    message: str
    forget_at: float
    keys: IssuerKeys
    key_set: KeySet

    def stands(self, monotonic: float) -> bool:
        """Tell whether judging the token now would end the same way."""
        return monotonic < self.forget_at and self.keys.current() is self.key_set


class TokenMemory(Generic[Entry]):
    """A bounded map from a token's digest to what is known of it; the oldest entry goes first."""

    def __init__(self, max_entries: int) -> None:
        self._max_entries = max_entries
        self._entries: dict[bytes, Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def recall(self, digest: bytes) -> Entry | None:
        """Return what is known, if anything is."""
        return self._entries.get(digest)

    def keep(self, digest: bytes, entry: Entry) -> None:
        """Remember an entry as the youngest."""
        self._entries.pop(digest, None)
        if len(self._entries) >= self._max_entries:
            del self._entries[next(iter(self._entries))]
        self._entries[digest] = entry

    def forget(self, digest: bytes) -> None:
        """Remove an entry, if it is there."""
        self._entries.pop(digest, None)


def token_digest(token: str) -> bytes:
    """Return what a token is remembered by; two tokens never share it."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
