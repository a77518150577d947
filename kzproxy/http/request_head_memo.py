"""Remember header blocks that were read: clients repeat theirs byte by byte, request by request.

A head is its request line and its header block. The block is the expensive part, and the same for
every request of a client; of lines it has seen with it only those that are new are read.
"""

import re
from dataclasses import dataclass, field

from kzproxy.attributes.request_info import PAIR_BYTES
from kzproxy.attributes.shared import Shared
from kzproxy.http.messages import RequestHead
from kzproxy.http.request_head import MAX_HEAD_BYTES, MAX_TARGET_BYTES, parse_request_head

_REQUEST_LINE = re.compile(rb"([A-Z]{1,24}) (/[\x21-\x7e]*+) HTTP/1\.1")
# Beside the letters: of a head that has headers of its own, and of one that shares another's.
_HEAD_BYTES = 1024
_LINE_BYTES = 400


@dataclass(frozen=True, slots=True)
class _Block:
    """What was read with one header block.

    Attributes:
        by_method: The first head of each method: whether a body or an upgrade may be there depends
            on method and block.
        by_line: By request line.
    """

    by_method: dict[bytes, RequestHead] = field(default_factory=dict)
    by_line: dict[bytes, RequestHead] = field(default_factory=dict)


class RequestHeadMemo:
    """Reads heads, each distinct header block once while it is remembered.

    Holds bearer tokens, so it does not print what it holds. Bounded in entries and bytes; when
    either bound is reached everything is forgotten, which costs no bookkeeping on the common way.
    Reading depends on the bytes alone, so no entry is ever out of date; ``clear`` is for forgetting
    the tokens.
    """

    __slots__ = ("_blocks", "_bytes", "_heads", "_lines", "_max_bytes", "_max_heads", "_targets")

    def __init__(self, *, max_heads: int = 16384, max_bytes: int = 8 * 1024 * 1024) -> None:
        self._blocks: dict[bytes, _Block] = {}
        self._heads = 0
        self._bytes = 0
        self._max_heads = max_heads
        self._max_bytes = max_bytes
        # Clients ask for the same things, each with a block of its own.
        self._lines = Shared[bytes]()
        self._targets = Shared[str]()

    def __repr__(self) -> str:
        return f"RequestHeadMemo({self._heads} heads)"

    def known(self, data: bytes) -> RequestHead | None:
        """Return what ``read`` does where that takes no reading; None where it does."""
        line, _, block = data.partition(b"\r\n")
        known = self._blocks.get(block)
        return None if known is None else known.by_line.get(line)

    def read(self, data: bytes) -> RequestHead:
        """Return ``parse_request_head(data)``; raises as it does, and remembers no refusal."""
        line, _, block = data.partition(b"\r\n")
        known = self._blocks.get(block)
        if known is None:
            return self._read_block(line, block, data)
        return known.by_line.get(line) or self._read_line(line, known, data)

    def _read_block(self, line: bytes, block: bytes, data: bytes) -> RequestHead:
        head = parse_request_head(data)
        size = _weight(line, head) + len(block)
        if _REQUEST_LINE.fullmatch(line) is not None and self._has_room(size):
            self._blocks[block] = known = _Block()
            self._remember(line, head, known, size)
        return head

    def _read_line(self, line: bytes, known: _Block, data: bytes) -> RequestHead:
        read = _REQUEST_LINE.fullmatch(line)
        if read is None or len(data) > MAX_HEAD_BYTES:
            return parse_request_head(data)
        method, target = read.groups()
        like = known.by_method.get(method)
        if like is None or len(target) > MAX_TARGET_BYTES:
            head = parse_request_head(data)
            size = _weight(line, head)
        else:
            head = RequestHead(  # written out: dataclasses.replace takes three times as long
                method=like.method,
                target=self._targets.one(target.decode("ascii")),
                headers=like.headers,
                body=like.body,
                expects_continue=like.expects_continue,
                upgrade=like.upgrade,
                keep_alive=like.keep_alive,
            )
            size = _LINE_BYTES + 2 * len(line)
        if self._has_room(size):
            self._remember(line, head, known, size)
        return head

    def _remember(self, line: bytes, head: RequestHead, known: _Block, size: int) -> None:
        """Remember a head; where its block has just been forgotten, until the request ends."""
        self._bytes += size
        self._heads += 1
        known.by_method.setdefault(head.method.encode(), head)
        known.by_line[self._lines.one(line)] = head

    def _has_room(self, size: int) -> bool:
        """Make room for a head that weighs so much, if there can be any."""
        if size > self._max_bytes or not self._max_heads:
            return False
        if self._heads >= self._max_heads or self._bytes + size > self._max_bytes:
            self.clear()
        return True

    def clear(self) -> None:
        """Forget every head."""
        self._blocks.clear()
        self._lines.clear()
        self._targets.clear()
        self._heads = self._bytes = 0


def _weight(line: bytes, head: RequestHead) -> int:
    """Return what a head weighs that shares its headers with no other."""
    letters = sum([len(name) + len(value) for name, value in head.headers])
    return _HEAD_BYTES + 2 * len(line) + letters + PAIR_BYTES * len(head.headers)
