"""The requests under way, found by what they hang on."""

from collections.abc import Callable, Iterator
from itertools import chain

from kzproxy.administrator.lease import Lease
from kzproxy.attributes.request_info import StreamKind


class LiveLeases:
    """A set of leases with the ways to those of one session, device or person.

    Streams last for hours, and thousands of them are found by what they hang on in an index.
    Ordinary requests last for milliseconds, so that few are under way at any time: they are looked
    through instead, which costs less than to put each into an index and to take it out again.
    """

    def __init__(self) -> None:
        self._streams: set[Lease] = set()
        self._brief: set[Lease] = set()
        # The inner ones for their keys alone: a set of five takes three times the room.
        self._by: dict[tuple[str, ...], dict[Lease, None]] = {}

    def __iter__(self) -> Iterator[Lease]:
        """Go through all, in no order."""
        return chain(self._streams, self._brief)

    def __contains__(self, lease: object) -> bool:
        """Whether it is under way."""
        return lease in self._brief or lease in self._streams

    def __len__(self) -> int:
        """Return how many are under way."""
        return len(self._streams) + len(self._brief)

    def add(self, lease: Lease) -> None:
        """Take one in."""
        if lease.permit.attributes.request.stream is StreamKind.NONE:
            self._brief.add(lease)
            return
        self._streams.add(lease)
        for key in _keys(lease):
            self._by.setdefault(key, {})[lease] = None

    def discard(self, lease: Lease) -> None:
        """Drop one, if it is there."""
        self._brief.discard(lease)
        if lease not in self._streams:
            return
        self._streams.discard(lease)
        for key in _keys(lease):
            of_key = self._by.get(key)
            if of_key is not None:
                of_key.pop(lease, None)
                if not of_key:
                    del self._by[key]

    def of_session(self, session_id: str) -> frozenset[Lease]:
        """Return those of one session."""
        return self._found(("session", session_id), lambda lease: lease.session_id == session_id)

    def of_device(self, device_id: str) -> frozenset[Lease]:
        """Return those from one device."""
        return self._found(("device", device_id), lambda lease: lease.device_id == device_id)

    def of_key(self, thumbprint: str) -> frozenset[Lease]:
        """Return those whose client showed a certificate of one key."""
        return self._found(("key", thumbprint), lambda lease: lease.device_key == thumbprint)

    def of_user(self, issuer: str, subject: str) -> frozenset[Lease]:
        """Return those of one person."""
        user = issuer, subject
        return self._found(("user", issuer, subject), lambda lease: lease.user == user)

    def _found(self, key: tuple[str, ...], is_meant: Callable[[Lease], bool]) -> frozenset[Lease]:
        return frozenset(chain(self._by.get(key, ()), filter(is_meant, self._brief)))


def _keys(lease: Lease) -> tuple[tuple[str, ...], ...]:
    # What it began with, since that stays the same: a lease is found again by what it was put in.
    return (
        ("session", lease.session_id),
        ("device", lease.device_id),
        ("key", lease.device_key),
        ("user", lease.user[0], lease.user[1]),
    )
