import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.http.whole_answer import AnswerRefused, WholeAnswer
from tests.http.pieces import in_pieces

LENGTH = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
OLD = b"HTTP/1.0 200 OK\r\nServer: small\r\ncontent-length: 5\r\n\r\nhello"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello"


def gathered(pieces: list[bytes], max_bytes: int = 5) -> WholeAnswer:
    answer = WholeAnswer(max_bytes=max_bytes)
    for piece in pieces:
        answer.feed(piece)
    return answer


@given(data=st.sampled_from([LENGTH, CHUNKED, OLD]), sizes=st.lists(st.integers(0, 90)))
def test_an_answer_is_the_same_however_it_is_cut(data: bytes, sizes: list[int]) -> None:
    answer = gathered(in_pieces(data, sizes))
    assert answer.done
    assert answer.head is not None
    assert answer.head.status == 200
    assert answer.body == b"hello"


@given(cut=st.integers(0, len(LENGTH) - 1), data=st.sampled_from([LENGTH, CHUNKED]))
def test_an_answer_that_is_cut_short_is_refused(cut: int, data: bytes) -> None:
    answer = gathered([data[:cut]])
    with pytest.raises(AnswerRefused, match="cut short"):
        answer.end_of_stream()


def test_a_body_may_end_with_the_connection() -> None:
    answer = gathered([UNTIL_CLOSE])
    assert not answer.done
    answer.end_of_stream()
    assert answer.done
    assert answer.body == b"hello"


@pytest.mark.parametrize("data", [LENGTH, CHUNKED, UNTIL_CLOSE, OLD])
def test_a_body_over_the_bound_is_refused(data: bytes) -> None:
    with pytest.raises(AnswerRefused, match="longer than 4 bytes"):
        gathered([data], max_bytes=4)


def test_what_follows_the_answer_is_dropped() -> None:
    assert gathered([LENGTH + b"HTTP/1.1 200 OK\r\n\r\n"]).body == b"hello"


def test_an_answer_without_a_body_is_whole_with_its_head() -> None:
    answer = gathered([b"HTTP/1.1 204 No Content\r\n\r\n"])
    assert answer.done
    assert answer.body == b""


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000,
    ],
)
def test_what_is_not_proper_is_refused(data: bytes) -> None:
    with pytest.raises(AnswerRefused, match="not proper"):
        gathered([data], max_bytes=100)
