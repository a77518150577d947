"""Remember header blocks that were read: clients repeat theirs byte by byte, request by request.

A head is its request line and its header block. The block is the expensive part, and the same for
every request of a client; only the line is read each time.
"""

import re

from kzproxy.http.messages import RequestHead
from kzproxy.http.request_head import MAX_HEAD_BYTES, MAX_TARGET_BYTES, parse_request_head

# Two texts in a tuple, beside their letters, by sys.getsizeof: a header of three letters too.
_HEADER_BYTES = 192

_REQUEST_LINE = re.compile(rb"([A-Z]{1,24}) (/[\x21-\x7e]*+) HTTP/1\.1")


class RequestHeadMemo:
    """Reads heads, each distinct header block once while it is remembered.

    Holds bearer tokens, so it does not print what it holds. Bounded in entries and bytes; when
    either bound is reached everything is forgotten, which costs no bookkeeping on the common way.
    Reading depends on the bytes alone, so no entry is ever out of date; ``clear`` is for forgetting
    the tokens.
    """

    __slots__ = ("_bytes", "_heads", "_max_bytes", "_max_heads")

    def __init__(self, *, max_heads: int = 4096, max_bytes: int = 16 * 1024 * 1024) -> None:
        # By method and block: whether a body or an upgrade may be there depends on both.
        self._heads: dict[tuple[bytes, bytes], RequestHead] = {}
        self._bytes = 0
        self._max_heads = max_heads
        self._max_bytes = max_bytes

    def __repr__(self) -> str:
        return f"RequestHeadMemo({len(self._heads)} heads)"

    def read(self, data: bytes) -> RequestHead:
        """Return ``parse_request_head(data)``; raises as it does, and remembers no refusal."""
        line, _, block = data.partition(b"\r\n")
        read = _REQUEST_LINE.fullmatch(line)
        if read is None or len(data) > MAX_HEAD_BYTES:
            return parse_request_head(data)
        method, target = read.groups()
        known = self._heads.get((method, block))
        if known is None or len(target) > MAX_TARGET_BYTES:
            return self._remember((method, block), parse_request_head(data))
        return RequestHead(  # written out: dataclasses.replace takes three times as long
            method=known.method,
            target=target.decode("ascii"),
            headers=known.headers,
            body=known.body,
            expects_continue=known.expects_continue,
            upgrade=known.upgrade,
            keep_alive=known.keep_alive,
        )

    def _remember(self, key: tuple[bytes, bytes], head: RequestHead) -> RequestHead:
        size = 2 * len(key[1]) + _HEADER_BYTES * len(head.headers)
        if size > self._max_bytes or not self._max_heads:
            return head
        if len(self._heads) >= self._max_heads or self._bytes + size > self._max_bytes:
            self.clear()
        if key not in self._heads:
            self._heads[key] = head
            self._bytes += size
        return head

    def clear(self) -> None:
        """Forget every head."""
        self._heads.clear()
        self._bytes = 0
