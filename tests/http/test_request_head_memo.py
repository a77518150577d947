"""Heads remembered by their bytes, within bounds."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.attributes.target import MAX_TARGET_BYTES
from kzproxy.errors.kinds import BadRequest, HeadTooLarge, ProxyError
from kzproxy.http.messages import RequestHead
from kzproxy.http.request_head import MAX_HEAD_BYTES, parse_request_head
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


def test_what_was_read_before_is_known_and_nothing_else():
    memo = RequestHeadMemo()
    data = head_of(b"X: 1")
    assert memo.known(data) is None
    head = memo.read(data)
    assert memo.known(data) == head
    assert memo.known(data.replace(b"X: 1", b"X: 2")) is None
    assert memo.known(data.replace(b"GET", b"PUT")) is None
    assert repr(memo) == "RequestHeadMemo(1 heads, 1 lines)"


def test_a_line_and_a_block_that_were_never_seen_together_are_read_as_one_head():
    memo = RequestHeadMemo()
    for line, block in (("GET /a", "X: 1"), ("GET /b", "X: 2"), ("PUT /c", "X: 1")):
        memo.read(f"{line} HTTP/1.1\r\nHost: h\r\n{block}\r\n\r\n".encode())
    for line, block in (("GET /b", "X: 1"), ("GET /a", "X: 2"), ("PUT /c", "X: 2")):
        data = f"{line} HTTP/1.1\r\nHost: h\r\n{block}\r\n\r\n".encode()
        assert memo.read(data) == parse_request_head(data)


def test_a_long_line_and_a_long_block_that_are_known_are_too_long_together():
    memo = RequestHeadMemo()
    line = b"GET /" + b"x" * (MAX_TARGET_BYTES - 1) + b" HTTP/1.1\r\n"
    block = b"Host: h\r\n" + b"X: " + b"a" * (MAX_HEAD_BYTES - len(line) - 13) + b"\r\n\r\n"
    memo.read(line + b"Host: h\r\n\r\n")
    memo.read(b"GET / HTTP/1.1\r\n" + block)

    assert memo.known(line + block) is None
    with pytest.raises(HeadTooLarge):
        memo.read(line + block)


def test_lines_weigh_too():
    memo = RequestHeadMemo(max_bytes=4000)
    for number in range(100):
        memo.read(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % number)
        assert repr(memo) in {f"RequestHeadMemo(1 heads, {count} lines)" for count in range(1, 8)}


def test_the_letters_of_long_lines_weigh_as_well():
    def filled() -> RequestHeadMemo:
        memo = RequestHeadMemo(max_bytes=1024 * 1024)
        for number in range(1000):
            memo.read(b"GET /%04d" % number + b"x" * 7000 + b" HTTP/1.1\r\nHost: h\r\n\r\n")
        return memo

    assert held_bytes(filled) < 2 * 1024 * 1024


def test_a_thousand_clients_that_ask_for_the_same_hold_nothing_for_each_thing():
    def filled(targets: int) -> RequestHeadMemo:
        memo = RequestHeadMemo()
        for client in range(100):
            for number in range(targets):
                memo.read(b"GET /%d HTTP/1.1\r\nHost: h\r\nX: %d\r\n\r\n" % (number, client))
        return memo

    assert held_bytes(lambda: filled(60)) < held_bytes(lambda: filled(10)) + 50 * 1024


def test_a_refusal_is_not_remembered():
    memo = RequestHeadMemo()
    for _ in range(2):
        with pytest.raises(BadRequest):
            memo.read(b"GET / HTTP/1.0\r\n\r\n")
    assert repr(memo) == "RequestHeadMemo(0 heads, 0 lines)"


def test_the_number_of_heads_is_bounded():
    memo = RequestHeadMemo(max_heads=2)
    for number in range(5):
        memo.read(head_of(b"X: %d" % number))
    assert repr(memo) == "RequestHeadMemo(1 heads, 1 lines)"


def test_the_bytes_are_bounded():
    data = head_of(b"X: y").partition(b"\r\n")[2]
    memo = RequestHeadMemo(max_bytes=2 * (2 * len(data) + 2 * 192 + 1024) + 400 + 2 * 15)
    for number in range(3):
        memo.read(head_of(b"X: %d" % number))
    assert repr(memo) == "RequestHeadMemo(1 heads, 1 lines)"
    memo.read(head_of(b"X: " + b"a" * 2000))
    assert repr(memo) == "RequestHeadMemo(1 heads, 1 lines)"


def test_a_memo_of_nothing_only_reads():
    memo = RequestHeadMemo(max_heads=0)
    assert memo.read(head_of()) == memo.read(head_of())
    assert repr(memo) == "RequestHeadMemo(0 heads, 0 lines)"


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
