"""Heads remembered by their bytes, within bounds."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.errors.kinds import BadRequest, ProxyError
from kzproxy.http.messages import RequestHead
from kzproxy.http.request_head import parse_request_head
from kzproxy.http.request_head_memo import RequestHeadMemo
from tests.http.heads import head_of
from tests.memory import held_bytes


def test_the_same_block_is_read_once():
    memo = RequestHeadMemo()
    data = head_of(b"Authorization: Bearer secret")
    first = memo.read(data)
    assert memo.read(bytes(bytearray(data))).headers is first.headers
    assert memo.read(head_of(b"Authorization: Bearer secreu")).headers is not first.headers
    assert "secret" not in repr(memo)


def test_only_the_line_is_read_again():
    memo = RequestHeadMemo()
    first = memo.read(b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
    second = memo.read(b"GET /b?c=d HTTP/1.1\r\nHost: h\r\n\r\n")
    assert (first.target, second.target) == ("/a", "/b?c=d")
    assert second.headers is first.headers


LINES = [
    b"GET /a HTTP/1.1",
    b"HEAD /a HTTP/1.1",
    b"POST /b HTTP/1.1",
    b"CONNECT /b HTTP/1.1",
    b"GET /" + b"x" * 9000 + b" HTTP/1.1",
    b"GET /\xe9 HTTP/1.1",
    b"GET /a HTTP/1.0",
    b"get /a HTTP/1.1",
    b"GET  /a HTTP/1.1",
    b"PRI * HTTP/2.0",
]
BLOCKS = [
    b"Host: h\r\n\r\n",
    b"Host: h\r\nContent-Length: 5\r\n\r\n",
    b"Host: h\r\nContent-Length: 0\r\n\r\n",
    b"Host: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"Host: h\r\nImpersonate-User: x\r\n\r\n",
    b"Host: h\r\nX: " + b"a" * 131_000 + b"\r\n\r\n",
    b"\r\n",
    b"Host: h\r\n",
]


def outcome(read: Callable[[bytes], RequestHead], data: bytes) -> object:
    try:
        return read(data)
    except ProxyError as error:
        return type(error), error.message


@given(st.lists(st.tuples(st.sampled_from(LINES), st.sampled_from(BLOCKS)), max_size=12))
def test_what_is_remembered_is_what_would_be_read(heads: list[tuple[bytes, bytes]]):
    memo = RequestHeadMemo(max_heads=3)
    for line, block in heads:
        data = line + b"\r\n" + block
        assert outcome(memo.read, data) == outcome(parse_request_head, data)


def test_a_line_that_was_read_with_its_block_is_not_read_again():
    memo = RequestHeadMemo()
    first = memo.read(head_of(b"X: 1"))
    assert memo.read(head_of(b"X: 1")) is first
    assert repr(memo) == "RequestHeadMemo(1 heads)"


def test_lines_weigh_too():
    memo = RequestHeadMemo(max_bytes=3000)
    for number in range(100):
        memo.read(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % number)
    assert repr(memo) in {f"RequestHeadMemo({count} heads)" for count in range(1, 8)}


def test_a_refusal_is_not_remembered():
    memo = RequestHeadMemo()
    for _ in range(2):
        with pytest.raises(BadRequest):
            memo.read(b"GET / HTTP/1.0\r\n\r\n")
    assert repr(memo) == "RequestHeadMemo(0 heads)"


def test_the_number_of_heads_is_bounded():
    memo = RequestHeadMemo(max_heads=2)
    for number in range(5):
        memo.read(head_of(b"X: %d" % number))
    assert repr(memo) == "RequestHeadMemo(1 heads)"


def test_the_bytes_are_bounded():
    data = head_of(b"X: y").partition(b"\r\n")[2]
    memo = RequestHeadMemo(max_bytes=2 * (2 * len(data) + 2 * 192 + 1024 + 40))
    for number in range(3):
        memo.read(head_of(b"X: %d" % number))
    assert repr(memo) == "RequestHeadMemo(1 heads)"
    memo.read(head_of(b"X: " + b"a" * 2000))
    assert repr(memo) == "RequestHeadMemo(1 heads)"


def test_a_memo_of_nothing_only_reads():
    memo = RequestHeadMemo(max_heads=0)
    assert memo.read(head_of()) == memo.read(head_of())
    assert repr(memo) == "RequestHeadMemo(0 heads)"


def test_clear_forgets():
    memo = RequestHeadMemo()
    first = memo.read(head_of())
    memo.clear()
    assert memo.read(head_of()).headers is not first.headers


def test_what_strangers_can_have_remembered_in_short_headers_is_bounded_too():
    names = [first + second for first in "abcdefghij" for second in "klmnopqrstuvwxyz"]

    def filled() -> RequestHeadMemo:
        memo = RequestHeadMemo(max_bytes=1024 * 1024)
        for number in range(100):
            lines = [b"%b: %d" % (name.encode(), number) for name in names]
            memo.read(head_of(*lines))
        return memo

    assert held_bytes(filled) < 2 * 1024 * 1024
