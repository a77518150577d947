"""Chunked framing: strict, bounded, and the same however the bytes are cut."""

import itertools

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kzproxy.errors.kinds import BadRequest
from kzproxy.http.chunks import LAST_CHUNK, ChunkScanner, chunk

PAYLOADS = st.lists(st.binary(min_size=1, max_size=40), max_size=8)


def scanned(data: bytes, cuts: list[int]) -> tuple[bytes, int, ChunkScanner]:
    """Scan ``data`` cut at these offsets; return the payload and the bytes that were the body's."""
    scanner = ChunkScanner(BadRequest)
    payload, taken = b"", 0
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for start, stop in itertools.pairwise(edges):
        part = data[start:stop]
        pieces, belongs = scanner.scan(part)
        payload += b"".join(part[piece] for piece in pieces)
        taken += belongs
        if scanner.done:
            break
    return payload, taken, scanner


@given(PAYLOADS, st.lists(st.integers(0, 500), max_size=6), st.binary(max_size=20))
@settings(deadline=None, max_examples=400)
def test_the_payload_is_found_however_the_bytes_are_cut(payloads, cuts, after):
    body = b"".join(map(chunk, payloads)) + LAST_CHUNK
    payload, taken, scanner = scanned(body + after, cuts)
    assert payload == b"".join(payloads)
    assert (taken, scanner.done) == (len(body), True)


def followed(data: bytes, cuts: list[int], *, view: bool) -> tuple[int, bool, bool]:
    """Follow ``data`` cut at these offsets; return the body's bytes, and where it then stands."""
    scanner, taken = ChunkScanner(BadRequest), 0
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for start, stop in itertools.pairwise(edges):
        part = data[start:stop]
        taken += scanner.follow(memoryview(bytearray(part)) if view else part)
    return taken, scanner.done, scanner.between_chunks


# As Go writes them, nearly so, and as nobody does.
RUNS = st.lists(
    st.sampled_from(
        [
            chunk(b"g" * 2048),
            chunk(b"\r" * 2048),
            b"800\r\n" + b"s" * 2047 + b"\r\n",
            b"800\r\n" + b"l" * 2049 + b"\r\n",
            b"0800\r\n" + b"z" * 2048 + b"\r\n",
            b"800;\r\n" + b"e" * 2048 + b"\r\n",
            chunk(b"x"),
            LAST_CHUNK,
        ]
    ),
    max_size=6,
).map(b"".join)


def test_what_go_writes_is_followed_wherever_it_is_cut():
    """Python before 3.11.5 lost its place where a buffer ended between CR and LF."""
    body = chunk(b"g" * 2048) * 2
    for cut in range(len(body) // 2, len(body) + 1):
        assert followed(body + LAST_CHUNK, [cut], view=True) == (len(body) + 5, True, False)


@given(RUNS, st.lists(st.integers(0, 14_000), max_size=6), st.booleans())
@settings(deadline=None, max_examples=400)
def test_what_is_followed_is_what_is_scanned(body, cuts, view):
    try:
        _, taken, scanner = scanned(body, cuts)
    except BadRequest:
        with pytest.raises(BadRequest):
            followed(body, cuts, view=view)
        return
    assert followed(body, cuts, view=view) == (taken, scanner.done, scanner.between_chunks)


@given(PAYLOADS, st.lists(st.integers(0, 500), max_size=6))
@settings(deadline=None, max_examples=400)
def test_what_is_noted_is_what_is_scanned(payloads, cuts):
    body = b"".join(map(chunk, payloads)) + LAST_CHUNK
    scanner, following = ChunkScanner(BadRequest), ChunkScanner(BadRequest)
    noted = following.note_payload()
    edges = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    for start, stop in itertools.pairwise(edges):
        pieces, taken = scanner.scan(body[start:stop])
        assert following.follow(body[start:stop]) == taken
        assert noted == pieces


@given(RUNS, st.lists(st.integers(0, 14_000), max_size=6))
@settings(deadline=None, max_examples=400)
def test_the_last_byte_of_payload_is_told(body, cuts):
    scanner, following = ChunkScanner(BadRequest), ChunkScanner(BadRequest)
    edges, last = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)], None
    for start, stop in itertools.pairwise(edges):
        try:
            pieces, _ = scanner.scan(body[start:stop])
        except BadRequest:
            return
        following.follow(body[start:stop])
        last = body[start + pieces[-1].stop - 1] if pieces else last
        assert following.last_byte == last


# Around where a size takes one digit more, right and wrong by a byte.
SIZES = st.sampled_from([1, 15, 16, 255, 256, 300, 4094, 4095, 4096, 5000, 65_535, 65_536])


@given(SIZES, st.integers(-2, 2), st.sampled_from([b"%x\r\n", b"%X\r\n", b"0%x\r\n", b"%x;\r\n"]))
@settings(deadline=None, max_examples=400)
def test_one_chunk_at_a_time_is_followed_as_in_pieces(size, more, line):
    body = line % size + b"y" * max(size + more, 0) + b"\r\n"
    cuts = [3, 7]
    try:
        in_pieces = followed(body, cuts, view=False)
    except BadRequest:
        with pytest.raises(BadRequest):
            followed(body, [], view=False)
        return
    assert followed(body, [], view=False) == in_pieces


def test_payload_that_looks_like_a_chunk_is_payload_wherever_it_is_cut():
    """Else what a client writes in its body would be the framing, and its end another request."""
    looks_whole = chunk(b"h" * 0x200)
    # Cut behind "1", what is left of the second one's size begins the like of a whole chunk.
    body = chunk(b"a" + looks_whole + b"z") + b"1" + looks_whole + b"p" * 0xFFE + b"\r\n"
    begins = body.index(looks_whole), body.rindex(looks_whole)
    ends = [begin + len(looks_whole) for begin in begins]
    near = [edge + by for edge in (*begins, *ends) for by in range(-3, 4)]
    for cuts in itertools.combinations(near, 2):
        assert followed(body, list(cuts), view=False) == (len(body), False, True)


@given(PAYLOADS)
@settings(deadline=None)
def test_byte_by_byte_nothing_is_done_before_the_last_byte(payloads):
    body = b"".join(map(chunk, payloads)) + LAST_CHUNK
    payload, taken, scanner = scanned(body[:-1], list(range(len(body))))
    assert (payload, taken, scanner.done) == (b"".join(payloads), len(body) - 1, False)


@given(PAYLOADS, st.lists(st.integers(0, 500), max_size=6))
@settings(deadline=None)
def test_between_chunks_is_where_a_chunk_may_be_put_in(payloads, cuts):
    """At each cut it says so exactly where the bytes so far are whole chunks."""
    body, edges = b"", {0}
    for payload in payloads:
        body += chunk(payload)
        edges.add(len(body))
    scanner = ChunkScanner(BadRequest)
    position = 0
    for cut in sorted({cut % (len(body) + 1) for cut in cuts}):
        scanner.scan(body[position:cut])
        position = cut
        assert scanner.between_chunks == (cut in edges)


def test_nothing_is_between_chunks_once_the_body_is_done():
    _, _, scanner = scanned(LAST_CHUNK, [])
    assert not scanner.between_chunks


def test_an_empty_chunk_is_never_written():
    """It would end the body."""
    assert chunk(b"") == b""
    assert chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"


MALFORMED = [
    pytest.param(b"5;a\nb\r\nhello\r\n", id="E3-extension-with-lf"),
    pytest.param(b"5;a=b\r\nhello\r\n", id="extension"),
    pytest.param(b"5;\r\nhello\r\n", id="extension-empty"),
    pytest.param(b"0x5\r\nhello\r\n", id="E3-0x5"),
    pytest.param(b"5 \r\nhello\r\n", id="E3-trailing-blank"),
    pytest.param(b" 5\r\nhello\r\n", id="leading-blank"),
    pytest.param(b"5\t\r\nhello\r\n", id="trailing-tab"),
    pytest.param(b"+5\r\nhello\r\n", id="plus"),
    pytest.param(b"-5\r\nhello\r\n", id="minus"),
    pytest.param(b"1_0\r\n", id="underscore"),
    pytest.param(b"\r\nhello\r\n", id="no-size"),
    pytest.param(b"g\r\n", id="not-hexadecimal"),
    pytest.param("\uff15\r\n".encode(), id="full-width-digit"),
    pytest.param(b"5\nhello\r\n", id="E3-bare-lf-after-size"),
    pytest.param(b"5\rhello\r\n", id="bare-cr-after-size"),
    pytest.param(b"5\r\r\nhello\r\n", id="two-cr-after-size"),
    pytest.param(b"5\r\nhello\n", id="E3-bare-lf-after-chunk"),
    pytest.param(b"5\r\nhelloXX", id="CVE-2025-43859-no-crlf-after-chunk"),
    pytest.param(b"5\r\nhello!\r\n", id="longer-than-its-size"),
    pytest.param(b"5\r\nhell\r\n0\r\n\r\n", id="shorter-than-its-size"),
    pytest.param(b"5\r\nhello\r\r\n", id="two-cr-after-chunk"),
    pytest.param(b"000000005\r\nhello\r\n", id="nine-digits"),
    pytest.param(b"100000000\r\n", id="over-four-gibibytes"),
    pytest.param(b"f" * 17 + b"\r\n", id="overflow"),
    pytest.param(b"0\r\nImpersonate-User: bob\r\n\r\n", id="E3-trailer"),
    pytest.param(b"0\r\n \r\n", id="blank-after-last-chunk"),
    pytest.param(b"0\r\n\n", id="bare-lf-after-last-chunk"),
    pytest.param(b"0\n\r\n", id="bare-lf-in-last-chunk"),
]


@pytest.mark.parametrize("body", MALFORMED)
def test_a_malformed_body_is_refused_whole_and_byte_by_byte(body):
    for cuts in ([], list(range(len(body)))):
        with pytest.raises(BadRequest):
            scanned(body, cuts)
        with pytest.raises(BadRequest):
            followed(body, cuts, view=False)


def test_a_size_line_that_never_ends_is_refused_at_once():
    """Eight digits are held at most, so memory is bounded whatever comes."""
    with pytest.raises(BadRequest):
        scanned(b"0" * 9, [])


def test_leading_zeros_within_eight_digits_are_a_size():
    payload, _, scanner = scanned(b"00000005\r\nhello\r\n00000000\r\n\r\n", [])
    assert (payload, scanner.done) == (b"hello", True)


@given(
    st.lists(
        st.sampled_from(
            [b"5", b"0", b"a", b"\r\n", b"\n", b"\r", b";", b" ", b"hello", b"x:y", b"0\r\n\r\n"]
        ),
        max_size=8,
    ).map(b"".join),
    st.lists(st.integers(0, 500), max_size=4),
)
@settings(deadline=None, max_examples=800)
def test_what_is_accepted_h11_reads_alike_and_cuts_change_nothing(body, cuts):
    """The same payload and the same end as h11's, or BadRequest for the whole and the cut alike."""
    try:
        payload, taken, scanner = scanned(body, [])
    except BadRequest:
        with pytest.raises(BadRequest):
            scanned(body, cuts)
        return
    cut_payload, cut_taken, cut_scanner = scanned(body, cuts)
    assert (cut_payload, cut_taken, cut_scanner.done) == (payload, taken, scanner.done)
    assert h11_payload(body) == (payload, len(body) - taken, scanner.done)


def h11_payload(body: bytes) -> tuple[bytes, int, bool]:
    """Return h11's payload, how many bytes it leaves, and whether it saw the end."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    )
    assert isinstance(connection.next_event(), h11.Request)
    payload = b""
    while isinstance(event := connection.next_event(), h11.Data):
        payload += event.data
    if isinstance(event, h11.EndOfMessage):
        return payload, len(connection.trailing_data[0]), True
    assert event is h11.NEED_DATA
    return payload, 0, False
