"""How often one address may try: a bucket each, bounded in number and forgotten when it is full."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from kzproxy.clock.system import Clock
from kzproxy.errors.kinds import TooManyRequests

# Whoever has an IPv6 address mostly has 2^64 of them.
_IPV6_PREFIX = 64
_MAX_ADDRESSES = 50_000


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class AddressLimit:
    """Lets each address, and all together, do something so often."""

    def __init__(
        self, clock: Clock, *, what: str, each_per_minute: int, all_per_minute: int
    ) -> None:
        """Let them; ``what`` they do is told to whoever does it too often."""
        self._clock = clock
        self._what = what
        self._each = each_per_minute
        self._all = all_per_minute
        self._buckets: dict[str, _Bucket] = {}
        self._together = _Bucket(all_per_minute, clock.monotonic())

    def check(self, address: str, *, is_known: bool = False) -> None:
        """Refuse an address that has done it too often already.

        Args:
            address: Whoever does it.
            is_known: Whether it has shown that it is one of ours: strangers must not be able to
                keep those from what they need by doing it often.

        Raises:
            TooManyRequests: It, or all strangers together.
        """
        known = self._buckets.get(_place(address))
        if known is not None and self._left(known, self._each) < 1:
            raise self._refusal()
        if not is_known and self._left(self._together, self._all) < 1:
            raise self._refusal()

    def count(self, address: str) -> None:
        """Note that it was done once more."""
        now, place = self._clock.monotonic(), _place(address)
        bucket = self._buckets.pop(place, None)
        if bucket is None:
            if len(self._buckets) >= _MAX_ADDRESSES:
                del self._buckets[next(iter(self._buckets))]
            bucket = _Bucket(self._each, now)
        self._buckets[place] = (
            bucket  # the youngest, so that who did nothing for longest goes first
        )
        for each, most in ((bucket, self._each), (self._together, self._all)):
            each.left, each.at = max(self._left(each, most) - 1, 0.0), now

    def take(self, address: str) -> None:
        """Do both.

        Raises:
            TooManyRequests: See ``check``.
        """
        self.check(address)
        self.count(address)

    def give_back(self, address: str) -> None:
        """Have it not been done after all: it was found to be no such thing."""
        now, bucket = self._clock.monotonic(), self._buckets.get(_place(address))
        if bucket is not None:
            bucket.left, bucket.at = min(self._left(bucket, self._each) + 1, self._each), now
        together = self._together
        together.left, together.at = min(self._left(together, self._all) + 1, self._all), now

    def _left(self, bucket: _Bucket, most: int) -> float:
        passed = max(self._clock.monotonic() - bucket.at, 0.0)
        return min(float(most), bucket.left + passed * most / 60)

    def _refusal(self) -> TooManyRequests:
        return TooManyRequests(
            f"too many {self._what} from your address; wait a minute", retry_after_seconds=60
        )


def _place(address: str) -> str:
    try:
        read = ip_address(address)
    except ValueError:
        return address[:64]
    match read:
        case IPv4Address():
            return str(read)
        case IPv6Address():
            return str(ip_network((read, _IPV6_PREFIX), strict=False))
