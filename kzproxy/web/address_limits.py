"""How often one address may try, and what is left for the others when many try at once.

What all together may do bounds work and memory. Alone it would be a way to keep everybody out: some
twenty addresses, each within its own limit, would use it up. So once it is used up, each network
still has a share of its own, which nobody else can use.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from kzproxy.clock.system import Clock
from kzproxy.errors.kinds import TooManyRequests

# Whoever has an IPv6 address mostly has 2^64 of them, and can have 2^80 for the asking.
_NEIGHBOURHOOD_PREFIX = 64
_SITE_PREFIX = 48
_MAX_PLACES = 50_000


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class _Buckets:
    """One for each place, bounded in number and forgotten when it is full."""

    def __init__(self, clock: Clock, per_minute: int) -> None:
        self._clock = clock
        self._most = per_minute
        self._of: dict[str, _Bucket] = {}

    def __len__(self) -> int:
        return len(self._of)

    def is_empty(self, place: str) -> bool:
        known = self._of.get(place)
        return known is not None and self._left(known) < 1

    def count(self, place: str) -> None:
        bucket = self._of.pop(place, None)
        if bucket is None:
            if len(self._of) >= _MAX_PLACES:
                del self._of[next(iter(self._of))]
            bucket = _Bucket(self._most, self._clock.monotonic())
        bucket.left, bucket.at = max(self._left(bucket) - 1, 0.0), self._clock.monotonic()
        # The youngest, so that who did nothing for longest goes first.
        self._of[place] = bucket

    def give_back(self, place: str) -> None:
        bucket = self._of.get(place)
        if bucket is not None:
            bucket.left = min(self._left(bucket) + 1, float(self._most))
            bucket.at = self._clock.monotonic()

    def _left(self, bucket: _Bucket) -> float:
        passed = max(self._clock.monotonic() - bucket.at, 0.0)
        return min(float(self._most), bucket.left + passed * self._most / 60)


class AddressLimit:
    """Lets each address, and all together, do something so often."""

    def __init__(
        self,
        clock: Clock,
        *,
        what: str,
        each_per_minute: int,
        all_per_minute: int,
        share_per_minute: int,
    ) -> None:
        """Let them.

        Args:
            clock: Tells the time.
            what: They do, as is told to whoever does it too often.
            each_per_minute: For an IPv4 address or an IPv6 /64.
            all_per_minute: For all together.
            share_per_minute: What an IPv4 address or an IPv6 /48 has of that in any case.
        """
        self._what = what
        self._each = _Buckets(clock, each_per_minute)
        self._share = _Buckets(clock, share_per_minute)
        self._together = _Buckets(clock, all_per_minute)

    def check(self, address: str, *, is_known: bool = False) -> None:
        """Refuse an address that has done it too often already.

        Args:
            address: Whoever does it.
            is_known: Whether it has shown that it is one of ours: strangers must not be able to
                keep those from what they need by doing it often.

        Raises:
            TooManyRequests: It, or all strangers together and it more often than its share.
        """
        if self._each.is_empty(neighbourhood(address)):
            raise self._refusal(f"too many {self._what} from your address; wait a minute")
        if is_known or not self._together.is_empty(""):
            return
        if self._share.is_empty(site(address)):
            raise self._refusal(
                f"too many {self._what} from everywhere, and from your network more than its"
                " share; wait a minute"
            )

    def count(self, address: str) -> None:
        """Note that it was done once more."""
        self._each.count(neighbourhood(address))
        self._share.count(site(address))
        self._together.count("")

    def take(self, address: str) -> None:
        """Do both.

        Raises:
            TooManyRequests: See ``check``.
        """
        self.check(address)
        self.count(address)

    def give_back(self, address: str) -> None:
        """Have it not been done after all: it was found to be no such thing."""
        self._each.give_back(neighbourhood(address))
        self._share.give_back(site(address))
        self._together.give_back("")

    def _refusal(self, message: str) -> TooManyRequests:
        return TooManyRequests(message, retry_after_seconds=60)


def neighbourhood(address: str) -> str:
    """Return what counts as one address: it, or its /64."""
    return _network(address, _NEIGHBOURHOOD_PREFIX)


def site(address: str) -> str:
    """Return what somebody may have the whole of: an IPv4 address, or a /48."""
    return _network(address, _SITE_PREFIX)


def _network(address: str, ipv6_prefix: int) -> str:
    try:
        read = ip_address(address)
    except ValueError:
        return address[:64]
    match read:
        case IPv4Address():
            return str(read)
        case IPv6Address() if read.ipv4_mapped is not None:
            return str(read.ipv4_mapped)
        case IPv6Address():
            return str(ip_network((read.packed, ipv6_prefix), strict=False))
