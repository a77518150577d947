"""Remember what request lines were read as: most are asked for again and again."""

from kzproxy.attributes.request_info import RequestInfo

# About 2 KB each with the target: 8 MiB.
MAX_REMEMBERED = 4096


class RequestInfoMemo:
    """Parses request lines, each distinct one once while it is remembered.

    Reading is pure, so no entry is ever out of date. When the bound is reached everything is
    forgotten, which costs no bookkeeping on the common way.
    """

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], RequestInfo] = {}

    def parse(self, method: str, target: str) -> RequestInfo:
        """Return ``RequestInfo.parse(method, target)``; raises as it does."""
        key = (method, target)
        known = self._known.get(key)
        if known is not None:
            return known
        info = RequestInfo.parse(method, target)
        if len(self._known) >= MAX_REMEMBERED:
            self._known.clear()
        self._known[key] = info
        return info
