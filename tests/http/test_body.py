"""Bodies of requests taken out of their framing, bodies of answers scanned for their end."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kzproxy.errors.kinds import BadRequest, InternalError, UpstreamInvalid
from kzproxy.http.body import (
    LAST_CHUNK,
    RequestBodyDecoder,
    ResponseBodyScanner,
    chunk,
    is_whole,
    payload,
)
from kzproxy.http.messages import Chunked, Length, NoBody, Unsent, UntilClose

CUTS = st.lists(st.integers(1, 30), min_size=1, max_size=6)


def framed(payloads: list[bytes], *, chunked: bool) -> tuple[Chunked | Length, bytes]:
    """Return how a body of these ends, and what is sent of it."""
    if chunked:
        return Chunked(), b"".join(map(chunk, payloads)) + LAST_CHUNK
    plain = b"".join(payloads)
    return Length(len(plain)), plain


def parts(data: bytes, sizes: list[int]) -> list[bytes]:
    """Cut ``data`` into parts of these sizes, over and over."""
    found = []
    for number in range(len(data) + 1):
        size = sizes[number % len(sizes)]
        if not data:
            break
        found.append(data[:size])
        data = data[size:]
    return found


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=5), CUTS, st.booleans())
@settings(deadline=None)
def test_a_request_body_comes_out_and_what_follows_is_left(payloads, sizes, chunked):
    """The next request's bytes stay whole, whichever part the body ends in."""
    after = b"GET /next HTTP/1.1\r\n"
    body, sent = framed(payloads, chunked=chunked)
    decoder = RequestBodyDecoder(body)
    out, rest = b"", parts(sent + after, sizes)
    while not decoder.done:
        out += decoder.feed(rest.pop(0))
    assert out == b"".join(payloads)
    assert decoder.leftover + b"".join(rest) == after


@pytest.mark.parametrize("body", [NoBody(), Length(0)])
def test_a_request_without_a_body_is_done_at_once(body):
    assert RequestBodyDecoder(body).done


def test_nothing_may_be_fed_past_the_end():
    """What follows is another request: its bytes must not be lost in this one."""
    decoder = RequestBodyDecoder(Length(2))
    assert decoder.feed(b"ab") == b"ab"
    with pytest.raises(InternalError):
        decoder.feed(b"c")


def test_E3_trailers_of_a_request_are_refused():
    decoder = RequestBodyDecoder(Chunked())
    with pytest.raises(BadRequest, match="trailers"):
        decoder.feed(b"1\r\nx\r\n0\r\nImpersonate-User: bob\r\n\r\n")


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=5), CUTS, st.booleans())
@settings(deadline=None)
def test_an_answer_is_scanned_to_its_end_and_not_further(payloads, sizes, chunked):
    body, sent = framed(payloads, chunked=chunked)
    scanner = ResponseBodyScanner(body)
    taken = sum(scanner.scan(part) for part in parts(sent + b"HTTP/1.1 200 OK", sizes))
    assert (taken, scanner.done) == (len(sent), True)
    scanner.end_of_stream()


@pytest.mark.parametrize("body", [NoBody(), Length(0)])
def test_an_answer_without_a_body_takes_nothing(body):
    scanner = ResponseBodyScanner(body)
    assert scanner.done
    assert scanner.scan(b"more") == 0


def test_an_answer_until_close_ends_with_the_connection():
    scanner = ResponseBodyScanner(UntilClose())
    assert scanner.scan(b"abc") == 3
    assert not scanner.done
    scanner.end_of_stream()
    assert scanner.done


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        pytest.param(Length(3), b"ab", id="length"),
        pytest.param(Chunked(), b"", id="chunked-nothing"),
        pytest.param(Chunked(), b"2\r\nab\r\n", id="chunked-between"),
        pytest.param(Chunked(), b"2\r\nab\r\n0\r\n", id="chunked-before-the-end"),
    ],
)
def test_an_answer_cut_short_is_not_taken_for_whole(body, sent):
    """``kubectl logs`` would exit 0 and look complete."""
    scanner = ResponseBodyScanner(body)
    assert scanner.scan(sent) == len(sent)
    with pytest.raises(UpstreamInvalid):
        scanner.end_of_stream()


def test_trailers_of_an_answer_are_refused():
    scanner = ResponseBodyScanner(Chunked())
    with pytest.raises(UpstreamInvalid):
        scanner.scan(b"0\r\nGrpc-Status: 0\r\n\r\n")


@pytest.mark.parametrize("body", [NoBody(), Unsent(5)])
def test_what_follows_an_answer_whose_body_is_not_sent_is_none_of_it(body):
    scanner = ResponseBodyScanner(body)

    assert scanner.done
    assert scanner.scan(b"hello") == 0
    assert is_whole(body, b"")
    assert not is_whole(body, b"hello")
    scanner.end_of_stream()


@given(st.lists(st.binary(min_size=1, max_size=9), max_size=4), st.booleans())
@settings(deadline=None)
def test_an_answer_is_whole_with_its_last_byte_and_no_more(payloads, chunked):
    """What comes with more, or less, may leave its connection in the midst of something."""
    body, sent = framed(payloads, chunked=chunked)

    assert [is_whole(body, sent[:end]) for end in range(len(sent))] == [False] * len(sent)
    assert is_whole(body, sent)
    assert not is_whole(body, sent + b"H")


@given(st.lists(st.binary(min_size=1, max_size=9), max_size=4), st.booleans())
@settings(deadline=None)
def test_the_payload_of_an_answer_is_what_has_come_of_it(payloads, chunked):
    body, sent = framed(payloads, chunked=chunked)
    came = [payload(body, sent[:end]) for end in range(len(sent) + 1)]

    assert came[-1] == b"".join(payloads)
    for before, after in itertools.pairwise(came):
        assert after.startswith(before)
        assert len(after) <= len(before) + 1


def test_an_answer_until_close_is_all_payload_and_never_whole():
    assert payload(UntilClose(), bytearray(b"5\r\nab")) == b"5\r\nab"
    assert not is_whole(UntilClose(), b"ab")
