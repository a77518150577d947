"""Remember heads that were read: clients repeat themselves byte by byte."""

from kzproxy.http.messages import RequestHead
from kzproxy.http.request_head import parse_request_head


class RequestHeadMemo:
    """Reads heads, each distinct one once while it is remembered.

    Holds bearer tokens, so it does not print what it holds. Bounded in entries and bytes; when
    either bound is reached everything is forgotten, which costs no bookkeeping on the common way.
    Reading depends on the bytes alone, so no entry is ever out of date; ``clear`` is for forgetting
    the tokens.
    """

    __slots__ = ("_bytes", "_heads", "_max_bytes", "_max_heads")

    def __init__(self, *, max_heads: int = 1024, max_bytes: int = 4 * 1024 * 1024) -> None:
        self._heads: dict[bytes, RequestHead] = {}
        self._bytes = 0
        self._max_heads = max_heads
        self._max_bytes = max_bytes

    def __repr__(self) -> str:
        return f"RequestHeadMemo({len(self._heads)} heads)"

    def read(self, data: bytes) -> RequestHead:
        """Return ``parse_request_head(data)``; raises as it does, and remembers no refusal."""
        known = self._heads.get(data)
        if known is not None:
            return known
        head = parse_request_head(data)
        if len(data) > self._max_bytes or not self._max_heads:
            return head
        if len(self._heads) >= self._max_heads or self._bytes + len(data) > self._max_bytes:
            self.clear()
        self._heads[data] = head
        self._bytes += len(data)
        return head

    def clear(self) -> None:
        """Forget every head."""
        self._heads.clear()
        self._bytes = 0
