"""Remember header blocks that were read: clients repeat theirs byte by byte, request by request.

A head is its request line and its header block. The block is the expensive part, and the same for
every request of a client; the line is the same for many clients. Each is read once, and a head made
of the two: to remember the heads themselves, too, would take as much again as all the rest.
"""

import re

from msgspec.structs import replace

from kzproxy.attributes.request_info import PAIR_BYTES
from kzproxy.attributes.target import MAX_TARGET_BYTES
from kzproxy.http.messages import RequestHead
from kzproxy.http.request_head import MAX_HEAD_BYTES, parse_request_head

_REQUEST_LINE = re.compile(rb"([A-Z]{1,24}) (/[\x21-\x7e]*+) HTTP/1\.1")
# With any line that is remembered it is no longer than a head may be.
_MAX_BLOCK_BYTES = MAX_HEAD_BYTES - MAX_TARGET_BYTES - 64
# Beside the letters: of a head that has headers of its own, and of a request line.
_HEAD_BYTES = 1024
_LINE_BYTES = 400


class RequestHeadMemo:
    """Reads heads, each distinct header block once while it is remembered.

    Holds bearer tokens, so it does not print what it holds. Bounded in entries and bytes; when
    either bound is reached everything is forgotten, which costs no bookkeeping on the common way.
    Reading depends on the bytes alone, so no entry is ever out of date; ``clear`` is for forgetting
    the tokens.
    """

    __slots__ = ("_blocks", "_bytes", "_heads", "_lines", "_max_bytes", "_max_heads")

    def __init__(self, *, max_heads: int = 16384, max_bytes: int = 8 * 1024 * 1024) -> None:
        # By header block, the first head of each method: whether a body or an upgrade may be there
        # depends on method and block, and on nothing else.
        self._blocks: dict[bytes, dict[str, RequestHead]] = {}
        # Method and target by request line.
        self._lines: dict[bytes, tuple[str, str]] = {}
        self._heads = 0
        self._bytes = 0
        self._max_heads = max_heads
        self._max_bytes = max_bytes

    def __repr__(self) -> str:
        return f"RequestHeadMemo({self._heads} heads, {len(self._lines)} lines)"

    def known(self, data: bytes) -> RequestHead | None:
        """Return what ``read`` does where that takes no reading; None where it does."""
        line, _, block = data.partition(b"\r\n")
        heads, read = self._blocks.get(block), self._lines.get(line)
        if heads is None or read is None:
            return None
        like = heads.get(read[0])
        return None if like is None else replace(like, target=read[1])

    def read(self, data: bytes) -> RequestHead:
        """Return ``parse_request_head(data)``; raises as it does, and remembers no refusal."""
        return self.known(data) or self._read(data)

    def _read(self, data: bytes) -> RequestHead:
        line, _, block = data.partition(b"\r\n")
        read = _REQUEST_LINE.fullmatch(line)
        if read is None or len(read[2]) > MAX_TARGET_BYTES or len(block) > _MAX_BLOCK_BYTES:
            return parse_request_head(data)
        like = self._blocks.get(block, {}).get(read[1].decode())
        head = parse_request_head(data) if like is None else replace(like, target=read[2].decode())
        self._remember(line, block, head)
        return head

    def _remember(self, line: bytes, block: bytes, head: RequestHead) -> None:
        of_line, of_head = _LINE_BYTES + 2 * len(line), _weight(head)
        whole = of_line + of_head + len(block)
        if whole > self._max_bytes or not self._max_heads:
            return
        heads = self._blocks.get(block)
        size = 0 if line in self._lines else of_line
        size += 0 if heads is not None and head.method in heads else of_head
        size += 0 if heads is not None else len(block)
        is_full = self._heads >= self._max_heads or len(self._lines) >= self._max_heads
        if is_full or self._bytes + size > self._max_bytes:
            self.clear()
            size = whole
        self._bytes += size
        self._keep(line, block, head)

    def _keep(self, line: bytes, block: bytes, head: RequestHead) -> None:
        heads = self._blocks.setdefault(block, {})
        if head.method not in heads:
            heads[head.method] = head
            self._heads += 1
        self._lines.setdefault(line, (head.method, head.target))

    def clear(self) -> None:
        """Forget every head."""
        self._blocks.clear()
        self._lines.clear()
        self._heads = self._bytes = 0


def _weight(head: RequestHead) -> int:
    """Return what a head weighs that shares its headers with no other."""
    letters = sum([len(name) + len(value) for name, value in head.headers])
    return _HEAD_BYTES + letters + PAIR_BYTES * len(head.headers)
