"""What the gate accepts, other parsers read alike; what it refuses, it refuses as documented.

llhttp (by httptools) and h11 stand here as second opinions: a request that two parsers read
differently can be smuggled past one of them.
"""

import h11
import httptools
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kzproxy.errors.kinds import BadRequest, ExpectationFailed, Forbidden, HeadTooLarge
from kzproxy.http.messages import Headers, Length, NoBody, RequestHead
from kzproxy.http.request_head import MAX_HEAD_BYTES, parse_request_head
from tests.http.heads import head_of

DOCUMENTED = (BadRequest, HeadTooLarge, ExpectationFailed, Forbidden)
EMPTY = (NoBody(), Length(0))

TRICKS = st.sampled_from(
    [b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"\x00", b"\x0b", b"_", b",", b"\xff", b"+", b"0x"]
)
LINES = st.sampled_from(
    [
        b"Content-Length: 5",
        b"Content-Length: 0",
        b"Transfer-Encoding: chunked",
        b"Connection: close",
        b"Connection: Upgrade",
        b"Connection: keep-alive, X-A",
        b"Upgrade: websocket",
        b"Upgrade: SPDY/3.1",
        b"Expect: 100-continue",
        b"X-A: b",
        b"X-A:",
        b"Accept: */*;q=0.5, \t a/b",
        b"TE: trailers",
        b"Keep-Alive: 5",
        b"Proxy-Connection: close",
        b"Authorization: Bearer abc",
    ]
)
METHODS = st.sampled_from([b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"HEAD", b"OPTIONS"])
TARGETS = st.one_of(
    st.sampled_from([b"/", b"/api/v1/pods?watch=1", b"//a", b"/a#b", b"/%2F", b"/a?b?c", b"/\\"]),
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=20).map(
        lambda text: b"/" + text.encode()
    ),
)


@st.composite
def near_heads(draw: st.DrawFn) -> bytes:
    """A plausible head into which some trick bytes have been put."""
    lines = draw(st.lists(LINES, max_size=4, unique=True))
    data = head_of(*lines, method=draw(METHODS), target=draw(TARGETS))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(data)))
        keep = draw(st.integers(0, 1))
        data = data[:at] + draw(TRICKS) + data[at + keep :]
    return data


def accepted(data: bytes) -> RequestHead | None:
    """Return what is read, or None where it is refused with a documented error."""
    try:
        return parse_request_head(data)
    except DOCUMENTED:
        return None


@given(st.one_of(st.binary(max_size=200), near_heads()))
@settings(deadline=None, max_examples=500)
def test_any_bytes_are_read_or_refused_as_documented(data):
    """There is no third outcome: any other error fails the test."""
    head = accepted(data)
    if head is not None:
        assert data.endswith(b"\r\n\r\n")
        assert all(value == value.strip(" \t") and value.isascii() for _, value in head.headers)
        assert len(head.values("host")) == 1


class LlhttpReading:
    """What llhttp, the parser of Node.js and aiohttp, reads in a head."""

    def __init__(self, data: bytes) -> None:
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = False
        self.messages = 0
        self.parser = httptools.HttpRequestParser(self)
        self.upgraded = False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.upgraded = True

    def on_message_begin(self) -> None:
        self.messages += 1

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_message_complete(self) -> None:
        self.complete = True


def lower_case(headers: list[tuple[bytes, bytes]]) -> Headers:
    return tuple((name.decode().lower(), value.decode().strip(" \t")) for name, value in headers)


@given(near_heads())
@settings(deadline=None, max_examples=800)
@example(head_of(b"Transfer-Encoding: chunked", method=b"POST"))
@example(head_of(b"Content-Length: 5", method=b"DELETE"))
@example(head_of(b"Connection: close"))
def test_what_is_accepted_llhttp_reads_alike(data):
    """Method, target, headers, whether a body follows, and whether the connection goes on."""
    head = accepted(data)
    if head is None:
        return
    llhttp = LlhttpReading(data)
    assert llhttp.messages == 1
    assert llhttp.parser.get_method().decode() == head.method
    assert llhttp.parser.get_http_version() == "1.1"
    assert llhttp.target.decode() == head.target
    assert lower_case(llhttp.headers) == head.headers
    assert llhttp.upgraded == bool(head.upgrade)
    assert llhttp.complete == (head.body in EMPTY)
    if head.keep_alive and not head.values("proxy-connection"):  # llhttp heeds this; RFC 9112 not
        assert llhttp.parser.should_keep_alive()


@given(near_heads())
@settings(deadline=None, max_examples=800)
@example(head_of(b"Transfer-Encoding: chunked", method=b"POST"))
@example(head_of(b"Content-Length: 5", b"Expect: 100-continue", method=b"DELETE"))
@example(head_of(b"Connection: close"))
def test_what_is_accepted_h11_reads_alike(data):
    """Method, target, headers, how the body is framed, 100-continue, and keep-alive."""
    head = accepted(data)
    if head is None:
        return
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
    connection.receive_data(data)
    request = connection.next_event()
    assert isinstance(request, h11.Request)
    assert (request.method.decode(), request.target.decode()) == (head.method, head.target)
    assert request.http_version == b"1.1"
    assert lower_case(list(request.headers)) == head.headers
    assert connection.they_are_waiting_for_100_continue == head.expects_continue
    if head.body not in EMPTY:
        sent, payload = body_bytes(head)
        connection.receive_data(sent)
        assert connection.next_event().data == payload
    assert isinstance(connection.next_event(), h11.EndOfMessage)
    if head.keep_alive and not head.values("upgrade"):
        assert connection.their_state is h11.DONE


def body_bytes(head: RequestHead) -> tuple[bytes, bytes]:
    """Return a body framed as ``head`` says, and its payload."""
    match head.body:
        case Length(size_bytes):
            return b"x" * size_bytes, b"x" * size_bytes
        case _:
            return b"2\r\nxy\r\n0\r\n\r\n", b"xy"
