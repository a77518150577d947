"""Remember what request lines were read as: most are asked for again and again."""

from kzproxy.attributes.request_info import RequestInfo

MAX_REMEMBERED = 4096
# About 2 KB each with the target; lines come from whoever can connect, and one may weigh 300 KiB.
MAX_REMEMBERED_BYTES = 8 * 1024 * 1024


class RequestInfoMemo:
    """Parses request lines, each distinct one once while it is remembered.

    Reading is pure, so no entry is ever out of date. When either bound is reached everything is
    forgotten, which costs no bookkeeping on the common way.
    """

    __slots__ = ("_bytes", "_known")

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], RequestInfo] = {}
        self._bytes = 0

    def parse(self, method: str, target: str) -> RequestInfo:
        """Return ``RequestInfo.parse(method, target)``; raises as it does."""
        key = (method, target)
        known = self._known.get(key)
        if known is not None:
            return known
        info = RequestInfo.parse(method, target)
        self._bytes += info.weight_bytes
        if len(self._known) >= MAX_REMEMBERED or self._bytes > MAX_REMEMBERED_BYTES:
            self._known.clear()
            self._bytes = info.weight_bytes
        self._known[key] = info
        return info
