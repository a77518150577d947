"""The requests under way, found by what they hang on."""

from collections.abc import Iterator

from kzproxy.administrator.lease import Lease


class LiveLeases:
    """A set of leases with the ways to those of one session, device or person."""

    def __init__(self) -> None:
        self._all: set[Lease] = set()
        self._by: dict[tuple[str, ...], set[Lease]] = {}

    def __iter__(self) -> Iterator[Lease]:
        """Go through all, in no order."""
        return iter(self._all)

    def __contains__(self, lease: object) -> bool:
        """Whether it is under way."""
        return lease in self._all

    def __len__(self) -> int:
        """Return how many are under way."""
        return len(self._all)

    def add(self, lease: Lease) -> None:
        """Take one in."""
        self._all.add(lease)
        for key in _keys(lease):
            self._by.setdefault(key, set()).add(lease)

    def discard(self, lease: Lease) -> None:
        """Drop one, if it is there."""
        if lease not in self._all:
            return
        self._all.discard(lease)
        for key in _keys(lease):
            of_key = self._by.get(key)
            if of_key is not None:
                of_key.discard(lease)
                if not of_key:
                    del self._by[key]

    def of_session(self, session_id: str) -> frozenset[Lease]:
        """Return those of one session."""
        return frozenset(self._by.get(("session", session_id), ()))

    def of_device(self, device_id: str) -> frozenset[Lease]:
        """Return those from one device."""
        return frozenset(self._by.get(("device", device_id), ()))

    def of_key(self, thumbprint: str) -> frozenset[Lease]:
        """Return those whose client showed a certificate of one key."""
        return frozenset(self._by.get(("key", thumbprint), ()))

    def of_user(self, issuer: str, subject: str) -> frozenset[Lease]:
        """Return those of one person."""
        return frozenset(self._by.get(("user", issuer, subject), ()))


def _keys(lease: Lease) -> tuple[tuple[str, ...], ...]:
    # What it began with, since that stays the same: a lease is found again by what it was put in.
    return (
        ("session", lease.session_id),
        ("device", lease.device_id),
        ("key", lease.device_key),
        ("user", lease.user[0], lease.user[1]),
    )
