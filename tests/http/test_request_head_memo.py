"""Heads remembered by their bytes, within bounds."""

import pytest

from kzproxy.errors.kinds import BadRequest
from kzproxy.http.request_head_memo import RequestHeadMemo
from tests.http.heads import head_of


def test_the_same_bytes_are_read_once():
    memo = RequestHeadMemo()
    data = head_of(b"Authorization: Bearer secret")
    first = memo.read(data)
    assert memo.read(bytes(bytearray(data))) is first
    assert memo.read(head_of(b"Authorization: Bearer secreu")) is not first
    assert "secret" not in repr(memo)


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
    data = head_of(b"X: y")
    memo = RequestHeadMemo(max_bytes=2 * len(data))
    for number in range(3):
        memo.read(head_of(b"X: %d" % number))
    assert repr(memo) == "RequestHeadMemo(1 heads)"
    memo.read(head_of(b"X: " + b"a" * len(data)))
    assert repr(memo) == "RequestHeadMemo(1 heads)"


def test_a_memo_of_nothing_only_reads():
    memo = RequestHeadMemo(max_heads=0)
    assert memo.read(head_of()) == memo.read(head_of())
    assert repr(memo) == "RequestHeadMemo(0 heads)"


def test_clear_forgets():
    memo = RequestHeadMemo()
    first = memo.read(head_of())
    memo.clear()
    assert memo.read(head_of()) is not first
