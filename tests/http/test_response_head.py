"""What of kube-apiserver's answers may be relayed, and how their bodies end."""

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kzproxy.errors.kinds import UpstreamInvalid
from kzproxy.http.messages import Chunked, Length, NoBody, ResponseBody, Unsent, UntilClose
from kzproxy.http.response_head import (
    MAX_RESPONSE_HEAD_BYTES,
    MAX_RESPONSE_HEADERS,
    parse_response_head,
    response_head_end,
)


def answer(*lines: bytes, status: bytes = b"200 OK") -> bytes:
    return b"\r\n".join([b"HTTP/1.1 " + status, *lines, b"", b""])


def test_an_answer_of_kube_apiserver_is_read():
    head = parse_response_head(
        answer(
            b"Audit-Id: 4dc9b3b6",
            b"Content-Type: application/json",
            b'Warning: 299 - "v1 Cr\xc3\xa9me is deprecated"',
            b"Content-Length: 17",
        ),
        method="GET",
    )
    assert (head.status, head.reason, head.body) == (200, "OK", Length(17))
    assert head.headers == (
        ("audit-id", "4dc9b3b6"),
        ("content-type", "application/json"),
        ("warning", '299 - "v1 CrÃ©me is deprecated"'),
        ("content-length", "17"),
    )
    assert head.values("warning")[0].encode("latin-1").decode() == '299 - "v1 Créme is deprecated"'
    assert (head.keep_alive, head.upgrade) == (True, "")
    assert "application/json" not in repr(head)


def test_only_blanks_are_stripped_from_a_value():
    """The last byte of UTF-8's ``à`` is a blank in Latin-1, and part of the text."""
    head = parse_response_head(answer("X-A: voilà \t".encode(), b"X-B:\x85"), method="GET")
    assert [value.encode("latin-1") for _, value in head.headers] == ["voilà".encode(), b"\x85"]


@pytest.mark.parametrize(
    ("status", "lines", "method", "body"),
    [
        pytest.param(b"200 OK", (b"Content-Length: 5",), "GET", Length(5), id="length"),
        pytest.param(b"200 OK", (b"Content-Length: 0",), "GET", Length(0), id="empty"),
        pytest.param(b"200 OK", (b"Transfer-Encoding: chunked",), "GET", Chunked(), id="chunked"),
        pytest.param(b"200 OK", (), "GET", UntilClose(), id="until-close"),
        pytest.param(b"500 Oh", (), "POST", UntilClose(), id="until-close-error"),
        pytest.param(b"200 OK", (b"Content-Length: 5",), "HEAD", Unsent(5), id="head-length"),
        pytest.param(b"200 OK", (b"Transfer-Encoding: chunked",), "HEAD", NoBody(), id="head-te"),
        pytest.param(b"405 No", (), "HEAD", NoBody(), id="head-nothing"),
        pytest.param(b"100 Continue", (), "POST", NoBody(), id="100"),
        pytest.param(b"103 Early Hints", (), "GET", NoBody(), id="103"),
        pytest.param(b"204 No Content", (), "DELETE", NoBody(), id="204"),
        pytest.param(b"304 Not Modified", (), "GET", NoBody(), id="304"),
        pytest.param(b"304 Not Modified", (b"Content-Length: 5",), "GET", Unsent(5), id="304-len"),
        pytest.param(
            b"304 Not Modified", (b"Transfer-Encoding: chunked",), "GET", NoBody(), id="304-te"
        ),
        pytest.param(b"204 No Content", (), "HEAD", NoBody(), id="head-204"),
    ],
)
def test_the_end_of_the_body_follows_from_method_status_and_framing(status, lines, method, body):
    """RFC 9112 section 6.3, in its order."""
    head = parse_response_head(answer(*lines, status=status), method=method)
    assert head.body == body
    assert head.keep_alive == (body != UntilClose())


@pytest.mark.parametrize(
    "lines",
    [
        (b"Content-Length: 5", b"Content-Length: 5"),
        (b"Content-Length: 5", b"Content-Length: 6"),
        (b"Content-Length: 5, 5",),
        (b"Content-Length: +5",),
        (b"Content-Length: 5", b"Transfer-Encoding: chunked"),
        (b"Content-Length: 9223372036854775808",),
    ],
)
@pytest.mark.parametrize(("status", "method"), [(b"200 OK", "HEAD"), (b"304 N", "GET")])
def test_a_length_with_two_readings_is_refused_though_no_body_follows(lines, status, method):
    with pytest.raises(UpstreamInvalid):
        parse_response_head(answer(*lines, status=status), method=method)


@pytest.mark.parametrize("line", [b"Connection: close", b"Connection: x, Close"])
def test_an_answer_may_close_the_connection(line):
    data = answer(b"Content-Length: 0", line)
    assert not parse_response_head(data, method="GET").keep_alive


@pytest.mark.parametrize(
    ("protocol", "upgrade"), [(b"websocket", "websocket"), (b"SPDY/3.1", "spdy/3.1")]
)
def test_a_101_names_what_is_spoken_from_now_on(protocol, upgrade):
    data = answer(
        b"Connection: Upgrade", b"Upgrade: " + protocol, status=b"101 Switching Protocols"
    )
    head = parse_response_head(data, method="GET")
    assert (head.status, head.upgrade, head.body) == (101, upgrade, NoBody())


def test_an_upgrade_offered_by_another_answer_is_not_one():
    """A 426 or a 200 may name protocols; the connection still speaks HTTP."""
    data = answer(b"Connection: Upgrade", b"Upgrade: h2c", b"Content-Length: 0")
    assert parse_response_head(data, method="GET").upgrade == ""


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\n", id="http-1.0"),
        pytest.param(b"HTTP/2 200 OK\r\n\r\n", id="http-2"),
        pytest.param(b"HTTP/1.1 200\r\n\r\n", id="no-blank-after-status"),
        pytest.param(b"HTTP/1.1  200 OK\r\n\r\n", id="two-blanks"),
        pytest.param(b"HTTP/1.1 099 X\r\n\r\n", id="status-099"),
        pytest.param(b"HTTP/1.1 600 X\r\n\r\n", id="status-600"),
        pytest.param(b"HTTP/1.1 20 X\r\n\r\n", id="status-two-digits"),
        pytest.param(b"HTTP/1.1 2000 X\r\n\r\n", id="status-four-digits"),
        pytest.param(b"HTTP/1.1 +20 X\r\n\r\n", id="status-sign"),
        pytest.param(b"HTTP/1.1 200 O\rK\r\n\r\n", id="aiohttp-34519-cr-in-reason"),
        pytest.param(b"HTTP/1.1 200 O\nK\r\n\r\n", id="lf-in-reason"),
        pytest.param(b"HTTP/1.1 200 O\x00K\r\n\r\n", id="nul-in-reason"),
        pytest.param(answer() + b"x", id="something-after"),
        pytest.param(answer(b"X-A: b\x00"), id="nul"),
        pytest.param(answer(b"X-A: \x1b[2J"), id="escape"),
        pytest.param(answer(b"X-A: \x7f"), id="del"),
        pytest.param(answer(b"X-A: b\nSet-Cookie: c"), id="bare-lf"),
        pytest.param(answer(b"X-A: b\rSet-Cookie: c"), id="bare-cr"),
        pytest.param(answer(b"X-A: b", b" c"), id="obs-fold"),
        pytest.param(answer(b"X-A : b"), id="blank-before-colon"),
        pytest.param(answer(b"X-\xc3\xa9: b"), id="name-utf8"),
        pytest.param(answer(b"X-A"), id="no-colon"),
        pytest.param(answer(b"Content-Length: 5", b"Transfer-Encoding: chunked"), id="cl-and-te"),
        pytest.param(answer(b"Content-Length: 5", b"Content-Length: 5"), id="cl-twice"),
        pytest.param(answer(b"Content-Length: 5, 5"), id="cl-list"),
        pytest.param(answer(b"Content-Length: +5"), id="cl-sign"),
        pytest.param(answer(b"Transfer-Encoding: gzip, chunked"), id="te-gzip"),
        pytest.param(answer(b"Transfer-Encoding: identity"), id="te-identity"),
        pytest.param(answer(b"Transfer-Encoding: chunked", b"Trailer: Grpc-Status"), id="trailer"),
        pytest.param(answer(b"Content-Length: 5", status=b"204 No Content"), id="204-length"),
        pytest.param(answer(b"Content-Length: 5", status=b"100 Continue"), id="100-length"),
        pytest.param(
            answer(b"Transfer-Encoding: chunked", status=b"204 No Content"), id="204-chunked"
        ),
        pytest.param(answer(b"Connection: a b", b"Content-Length: 0"), id="connection-bad"),
        pytest.param(answer(status=b"101 S"), id="101-names-nothing"),
        pytest.param(answer(b"Upgrade: websocket", status=b"101 S"), id="101-without-token"),
        pytest.param(answer(b"Connection: Upgrade", status=b"101 S"), id="101-without-protocol"),
        pytest.param(
            answer(b"Connection: Upgrade", b"Upgrade: h2c", status=b"101 S"), id="E1.3-101-h2c"
        ),
        pytest.param(
            answer(
                b"Connection: Upgrade",
                b"Upgrade: websocket",
                b"Upgrade: SPDY/3.1",
                status=b"101 S",
            ),
            id="101-two-protocols",
        ),
        pytest.param(answer(*[b"X: y"] * (MAX_RESPONSE_HEADERS + 1)), id="too-many"),
        pytest.param(answer(b"X: " + b"y" * MAX_RESPONSE_HEAD_BYTES), id="too-long"),
    ],
)
def test_a_doubtful_answer_is_not_relayed(data):
    with pytest.raises(UpstreamInvalid, match="kube-apiserver"):
        parse_response_head(data, method="GET")


def test_the_end_is_found_byte_by_byte_and_what_follows_is_left():
    data = answer(b"X: y")
    buffer = bytearray()
    for byte in data[:-1]:
        start = len(buffer)
        buffer.append(byte)
        assert response_head_end(buffer, start) == -1
    buffer += data[-1:] + b"body"
    assert response_head_end(buffer, len(data) - 1) == len(data)


def test_an_answer_whose_head_never_ends_is_invalid():
    buffer = bytearray(b"a" * (MAX_RESPONSE_HEAD_BYTES - 1))
    assert response_head_end(buffer, 0) == -1
    with pytest.raises(UpstreamInvalid):
        response_head_end(buffer + b"a", len(buffer))


LINES = st.lists(
    st.sampled_from(
        [
            b"Content-Length: 5",
            b"Transfer-Encoding: chunked",
            b"Connection: close",
            b"Connection: Upgrade",
            b"Upgrade: websocket",
            b"Warning: 299 - \xc3\xa9",
            b"X-A: b\tc",
            b"X-A: \x00",
        ]
    ),
    max_size=4,
    unique=True,
)
STATUSES = st.sampled_from([200, 204, 301, 304, 404, 500])


@given(st.one_of(st.binary(max_size=100), st.builds(lambda lines: answer(*lines), LINES)))
@settings(deadline=None)
def test_any_bytes_are_read_or_invalid(data):
    """There is no third outcome: any other error fails the test."""
    try:
        head = parse_response_head(data, method="GET")
    except UpstreamInvalid:
        return
    assert 100 <= head.status <= 599


@given(LINES, STATUSES, st.sampled_from(["GET", "HEAD"]))
@settings(deadline=None, max_examples=400)
def test_what_is_accepted_h11_reads_alike(lines, status, method):
    """Status, reason, headers, and where the body ends."""
    data = answer(*lines, status=b"%d Said" % status)
    try:
        head = parse_response_head(data, method=method)
    except UpstreamInvalid:
        return
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    response = connection.next_event()
    read = tuple((n.decode().lower(), v.decode("latin-1")) for n, v in response.headers)
    assert (response.status_code, response.reason.decode(), read) == (
        head.status,
        head.reason,
        head.headers,
    )
    sent, payload = body_bytes(head.body)
    connection.receive_data(sent)
    if isinstance(head.body, UntilClose):
        assert connection.next_event().data == payload
        assert connection.next_event() is h11.NEED_DATA
        connection.receive_data(b"")
    elif payload:
        assert connection.next_event().data == payload
    assert isinstance(connection.next_event(), h11.EndOfMessage)


def body_bytes(body: ResponseBody) -> tuple[bytes, bytes]:
    """Return a body framed so, and its payload."""
    match body:
        case NoBody() | Unsent():
            return b"", b""
        case Length(size_bytes):
            return b"x" * size_bytes, b"x" * size_bytes
        case Chunked():
            return b"2\r\nxy\r\n0\r\n\r\n", b"xy"
        case UntilClose():
            return b"xy", b"xy"
