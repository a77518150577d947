from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from kzproxy.http.encode import EncodedAnswer
from kzproxy.http.response_head import parse_response_head
from kzproxy.upstream.answer import client_headers
from kzproxy.upstream.answer_memo import AnswerMemo

NAMES = st.sampled_from(
    ["Audit-Id", "audit-id", "Content-Type", "Date", "X-Hop", "Warning", "Connection"]
)
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=12)
FRAMINGS = st.sampled_from(["Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", ""])


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    fields = draw(st.lists(st.tuples(NAMES.filter(lambda n: n != "Connection"), VALUES)))
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    status = draw(st.sampled_from(["200 OK", "404 Not Found", "403 "]))
    return f"HTTP/1.1 {status}\r\n{lines}{draw(FRAMINGS)}\r\n".encode()


@given(st.lists(heads(), min_size=1, max_size=4), st.sampled_from(["GET", "HEAD"]))
def test_a_remembered_head_reads_as_if_it_were_read_anew(
    all_heads: list[bytes], method: str
) -> None:
    memo = AnswerMemo(max_answers=2)
    for data in all_heads * 2:
        read, anew = memo.read(data, method=method), parse_response_head(data, method=method)
        assert client_headers(read.head) == client_headers(anew)
        assert (read.head.status, read.head.reason) == (anew.status, anew.reason)
        assert (read.head.body, read.head.keep_alive) == (anew.body, anew.keep_alive)
        assert read.relayed == EncodedAnswer.of(replace(anew, headers=client_headers(anew)))


def test_answers_that_differ_in_their_audit_id_alone_are_read_once() -> None:
    memo = AnswerMemo()
    head = "HTTP/1.1 200 OK\r\nAudit-Id: {}\r\nContent-Length: 2\r\n\r\n"
    one = memo.read(head.format("a").encode(), method="GET")

    assert memo.read(head.format("b").encode(), method="GET") is one
    assert memo.read(head.format("a").encode(), method="HEAD") is not one


def test_what_is_remembered_is_bounded() -> None:
    memo = AnswerMemo(max_answers=10, max_bytes=1000)
    for number in range(100):
        memo.read(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % number, method="GET")
        assert len(memo._answers) <= 10
        assert memo._bytes <= 1000
