"""How much of kzproxy and of kube-apiserver one user may take at a time.

Every figure is per worker. A stream holds a connection on both sides for hours, an ordinary request
for milliseconds: so each has a bound of its own, and neither starves the other.
"""

from types import TracebackType

import msgspec

from kzproxy.attributes.identity import Identity
from kzproxy.attributes.request_info import RequestInfo, StreamKind
from kzproxy.errors.kinds import TooManyRequests

_RETRY_AFTER_SECONDS = 1


class IdentityLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one identity may have under way.

    Attributes:
        streams: Watches, followed logs, exec, attach, port-forward and proxied requests.
        requests: All others.
    """

    # k9s and a controller hold tens of watches, one each resource; a dashboard for a team hundreds.
    streams: int = 500
    # kube-apiserver's --max-requests-inflight is 400 for everybody together.
    requests: int = 400


class UnderWay:
    """Counts what each identity has under way."""

    def __init__(self, limits: IdentityLimits) -> None:
        self._streams = _Share("streams", limits.streams)
        self._requests = _Share("requests under way", limits.requests)

    def counted(self, identity: Identity, info: RequestInfo) -> "Counted":
        """Return what counts the request while its block runs."""
        share = self._requests if info.stream is StreamKind.NONE else self._streams
        return Counted(share, (identity.issuer, identity.username))


class _Share:
    def __init__(self, name: str, bound: int) -> None:
        self.name = name
        self.bound = bound
        self.counts: dict[tuple[str, str], int] = {}


class Counted(msgspec.Struct):
    """One request, while it is counted; a struct, since one is made for each request."""

    _share: _Share
    _key: tuple[str, str]

    def begin(self) -> None:
        """Count it.

        Raises:
            TooManyRequests: The identity has its full share; this one is not counted.
        """
        share, key = self._share, self._key
        count = share.counts.get(key, 0)
        if count >= share.bound:
            raise TooManyRequests(
                f'User "{key[1]}" has {count} {share.name} at kzproxy, which is all that one user'
                " may have; end some, or try again",
                retry_after_seconds=_RETRY_AFTER_SECONDS,
            )
        share.counts[key] = count + 1

    def end(self) -> None:
        """Count it no longer."""
        counts, key = self._share.counts, self._key
        left = counts[key] - 1
        if left:
            counts[key] = left
        else:
            del counts[key]

    def __enter__(self) -> None:
        """Count it; raises as ``begin`` does."""
        self.begin()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Count it no longer."""
        self.end()
