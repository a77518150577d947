"""What is written, what can never be, and that it reads back as the same value."""

import dataclasses

import h11
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kzproxy.errors.kinds import InternalError
from kzproxy.http.encode import (
    EncodedAnswer,
    EncodedHeaders,
    encode_request_head,
    encode_response_head,
)
from kzproxy.http.hop_by_hop import REBUILT_HEADERS
from kzproxy.http.messages import (
    Chunked,
    Headers,
    Length,
    NoBody,
    RequestHead,
    ResponseHead,
    Unsent,
    UntilClose,
)
from kzproxy.http.request_head import parse_request_head
from kzproxy.http.response_head import parse_response_head

HOST = ("host", "10.96.0.1:443")


def request(*headers: tuple[str, str], **changes: object) -> RequestHead:
    head = RequestHead(method="GET", target="/api", headers=(HOST, *headers), body=NoBody())
    return msgspec.structs.replace(head, **changes)


def response(*headers: tuple[str, str], **changes: object) -> ResponseHead:
    head = ResponseHead(status=200, reason="OK", headers=headers, body=Length(0))
    return dataclasses.replace(head, **changes)


def test_a_request_is_written_with_its_identity():
    identity = EncodedHeaders.of(
        (
            ("impersonate-user", "zoë"),
            ("impersonate-group", "g1"),
            ("impersonate-group", "g,2"),
            ("impersonate-extra-kzproxy.dev%2fsession-id", "s-1"),
        )
    )
    assert encode_request_head(request(("accept", "*/*"), body=Length(7)), identity) == (
        b"GET /api HTTP/1.1\r\n"
        b"host: 10.96.0.1:443\r\n"
        b"accept: */*\r\n"
        b"content-length: 7\r\n"
        b"impersonate-user: zo\xc3\xab\r\n"
        b"impersonate-group: g1\r\n"
        b"impersonate-group: g,2\r\n"
        b"impersonate-extra-kzproxy.dev%2fsession-id: s-1\r\n"
        b"\r\n"
    )
    assert "zo" not in repr(identity)


def test_an_answer_is_written_with_the_bytes_of_its_values():
    head = response(("warning", "299 - Ã©"), status=404, reason="Not Found", body=Chunked())
    assert encode_response_head(head) == (
        b"HTTP/1.1 404 Not Found\r\nwarning: 299 - \xc3\xa9\r\ntransfer-encoding: chunked\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("head", "written"),
    [
        (response(body=NoBody(), status=204, reason=""), b"HTTP/1.1 204 \r\n\r\n"),
        (
            response(body=NoBody(), status=100, reason="Continue"),
            b"HTTP/1.1 100 Continue\r\n\r\n",
        ),
        (response(), b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
        (
            response(keep_alive=False),
            b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        ),
        (response(body=Unsent(5)), b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"),
        (
            response(body=Unsent(0), status=304, reason="N"),
            b"HTTP/1.1 304 N\r\ncontent-length: 0\r\n\r\n",
        ),
        (response(body=UntilClose()), b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"),
        (
            response(body=NoBody(), status=101, reason="S", upgrade="spdy/3.1"),
            b"HTTP/1.1 101 S\r\nconnection: Upgrade\r\nupgrade: SPDY/3.1\r\n\r\n",
        ),
    ],
)
def test_an_answers_framing_comes_from_its_value(head, written):
    assert encode_response_head(head) == written


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({"upgrade": "websocket"}, b"connection: Upgrade\r\nupgrade: websocket\r\n"),
        ({"keep_alive": False}, b"connection: close\r\n"),
        # What a client expects is met by kzproxy, and asked of nobody.
        ({"body": Chunked(), "expects_continue": True}, b"transfer-encoding: chunked\r\n"),
    ],
)
def test_a_requests_framing_comes_from_its_value(changes, lines):
    written = encode_request_head(request(**changes))
    assert written == b"GET /api HTTP/1.1\r\nhost: 10.96.0.1:443\r\n" + lines + b"\r\n"


UNSAFE = [
    pytest.param("b\nImpersonate-User: bob", id="B2-bare-lf"),
    pytest.param("b\r\nImpersonate-User: bob", id="B2-crlf"),
    pytest.param("b\rc", id="B2-bare-cr"),
    pytest.param("b\x00c", id="B2-nul"),
    pytest.param("b\x0bc", id="vertical-tab"),
    pytest.param("b\x1b[2J", id="escape"),
    pytest.param("b\x7f", id="del"),
    pytest.param(" alice", id="B2-leading-blank"),
    pytest.param("alice ", id="B2-trailing-blank"),
    pytest.param("\talice", id="B2-leading-tab"),
    pytest.param("alice\t", id="B2-trailing-tab"),
    pytest.param("   ", id="B2-only-blanks"),
]
UNSAFE_BEYOND_ASCII = [
    pytest.param("b\x85c", id="c1-nel"),
    pytest.param("b\x9bc", id="c1-csi"),
    pytest.param("al\u202eecila", id="bidi-override"),
    pytest.param("al\u2066ice", id="bidi-isolate"),
    pytest.param("al\u200fice", id="bidi-mark"),
    pytest.param("al\u061cice", id="arabic-letter-mark"),
    pytest.param("al\u2028ice", id="line-separator"),
    pytest.param("al\ud800ice", id="lone-surrogate"),
]


@pytest.mark.parametrize("value", [*UNSAFE, *UNSAFE_BEYOND_ASCII])
def test_an_unsafe_value_is_never_written_to_kube_apiserver(value):
    """Protocol rule 4, whoever built the head; the message does not repeat the value."""
    with pytest.raises(InternalError) as refusal:
        encode_request_head(request(("x-a", value)))
    assert value not in refusal.value.message
    with pytest.raises(InternalError):
        EncodedHeaders.of((("impersonate-user", value),))


@pytest.mark.parametrize("value", UNSAFE)
def test_an_unsafe_value_is_never_written_to_a_client(value):
    with pytest.raises(InternalError):
        encode_response_head(response(("x-a", value)))


def test_a_value_beyond_latin_1_is_never_written_to_a_client():
    with pytest.raises(InternalError):
        encode_response_head(response(("x-a", "€")))


@pytest.mark.parametrize("value", ["", "a\tb", "a b", "josé", "李", "👩‍🚀"])
def test_other_text_is_written_to_kube_apiserver_as_utf_8(value):
    assert b"x-a: " + value.encode() + b"\r\n" in encode_request_head(request(("x-a", value)))


@pytest.mark.parametrize("name", ["", "X-A", "x a", "x:a", "x-a\r\nb", "x-a\n", "é", "x\x00"])
def test_a_name_that_is_not_a_lower_case_token_is_never_written(name):
    for headers in (((name, "v"),), (("a", "b"), (name, "v"), ("c", "d"))):
        with pytest.raises(InternalError):
            encode_request_head(request(*headers))
        with pytest.raises(InternalError):
            encode_response_head(response(*headers))
        with pytest.raises(InternalError):
            EncodedHeaders.of(headers)


@pytest.mark.parametrize("name", sorted(REBUILT_HEADERS))
def test_a_header_that_the_framing_writes_is_refused_among_the_others(name):
    with pytest.raises(InternalError):
        encode_request_head(request((name, "1")))
    with pytest.raises(InternalError):
        encode_response_head(response((name, "1")))
    with pytest.raises(InternalError):
        EncodedHeaders.of(((name, "1"),))


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(request(method="get"), id="method"),
        pytest.param(request(method="GET /evil HTTP/1.1\r\nX:"), id="method-injects"),
        pytest.param(request(target="/a b"), id="target-blank"),
        pytest.param(request(target="/a\r\nx: y"), id="target-injects"),
        pytest.param(request(target="/é"), id="target-utf8"),
        pytest.param(request(target="http://a/"), id="target-absolute"),
        pytest.param(request(target=""), id="target-empty"),
        pytest.param(request(headers=()), id="no-host"),
        pytest.param(request(HOST), id="two-hosts"),
        pytest.param(request(upgrade="h2c"), id="upgrade-unknown"),
    ],
)
def test_a_request_line_that_is_not_one_is_never_written(head):
    with pytest.raises(InternalError):
        encode_request_head(head)


def test_one_header_from_two_sources_is_never_written():
    """Two ``Impersonate-User`` would be one too many: kube-apiserver takes the first."""
    identity = EncodedHeaders.of((("impersonate-user", "alice"),))
    with pytest.raises(InternalError):
        encode_request_head(request(("impersonate-user", "bob")), identity)
    with pytest.raises(InternalError):
        encode_request_head(request(), identity, identity)
    with pytest.raises(InternalError):
        encode_request_head(request(), EncodedHeaders.of((HOST,)))


def test_the_host_may_come_ready():
    """The upstream's Host and Authorization change with its settings only."""
    account = EncodedHeaders.of((HOST, ("authorization", "Bearer t")))
    written = encode_request_head(request(headers=()), account)
    assert written.endswith(b"\r\nhost: 10.96.0.1:443\r\nauthorization: Bearer t\r\n\r\n")


@pytest.mark.parametrize(
    "name", ["authorization", "audit-id", "impersonate-user", "impersonate-uid"]
)
def test_two_of_a_header_that_must_be_single_are_never_written(name):
    headers = ((name, "a"), ("accept", "*/*"), (name, "b"))
    with pytest.raises(InternalError):
        encode_request_head(request(*headers))
    with pytest.raises(InternalError):
        EncodedHeaders.of(headers)


def test_B2_a_blank_principal_is_never_written():
    """It would silently be no impersonation: the request would run as kzproxy itself."""
    headers = (("impersonate-user", ""), ("impersonate-group", "g"))
    with pytest.raises(InternalError):
        EncodedHeaders.of(headers)
    with pytest.raises(InternalError):
        encode_request_head(request(*headers))


@pytest.mark.parametrize(
    "head",
    [
        response(status=99),
        response(status=600),
        response(reason="O\r\nK"),
        response(reason="€"),
        response(upgrade="h2c"),
    ],
)
def test_a_status_line_that_is_not_one_is_never_written(head):
    with pytest.raises(InternalError):
        encode_response_head(head)


@pytest.mark.parametrize("audit_id", ["", "a b", "a\r\nx: y", "a\n", "ä", "a" * 65])
def test_an_audit_id_that_is_none_is_never_written(audit_id):
    with pytest.raises(InternalError):
        EncodedAnswer.of(response()).head(audit_id, upgrade="", keep_alive=True)


@pytest.mark.parametrize("warning", ['a"b', "a\\b", "a\r\nx: y", "a\n", "ä", "a" * 301])
def test_a_warning_that_is_none_is_never_written(warning):
    with pytest.raises(InternalError):
        EncodedAnswer.of(response()).head("a-1", upgrade="", keep_alive=True, warning=warning)


def test_an_answer_has_no_audit_id_but_ours():
    with pytest.raises(InternalError):
        EncodedAnswer.of(response(("audit-id", "theirs")))


@pytest.mark.parametrize("body", [Length(0), UntilClose()])
@pytest.mark.parametrize("keep_alive", [True, False])
@pytest.mark.parametrize("upgrade", ["", "websocket"])
@pytest.mark.parametrize("warning", ["", "soon over"])
def test_an_answer_that_is_encoded_once_says_what_is_of_each_exchange(
    body, keep_alive, upgrade, warning
):
    encoded = EncodedAnswer.of(response(body=body))
    lines = encoded.head("a-1", upgrade=upgrade, keep_alive=keep_alive, warning=warning)
    framing = [b"content-length: 0"] if body == Length(0) else []
    warned = [b'warning: 299 kzproxy "soon over"'] if warning else []
    ends = not keep_alive or body == UntilClose()
    last = [b"connection: close"] if ends else []
    last = [b"connection: Upgrade", b"upgrade: websocket"] if upgrade else last
    parts = [b"HTTP/1.1 200 OK", *framing, *warned, b"audit-id: a-1", *last, b"", b""]
    assert lines.split(b"\r\n") == parts


NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True).filter(
    lambda name: (
        name not in REBUILT_HEADERS and name != "host" and not name.startswith("impersonate")
    )
)
ASCII_VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=12)
LATIN_1_VALUES = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=12
)


def headers_of(values: st.SearchStrategy[str]) -> st.SearchStrategy[Headers]:
    stripped = values.map(lambda value: value.strip(" \t"))
    return st.lists(st.tuples(NAMES, stripped), max_size=5).map(tuple)


REQUEST_BODIES = st.one_of(st.just(NoBody()), st.builds(Length, st.integers(0, 99)))


@given(headers_of(ASCII_VALUES), st.one_of(REQUEST_BODIES, st.just(Chunked())), st.booleans())
@settings(deadline=None)
def test_a_written_request_reads_back_as_the_same_value(headers, body, keep_alive):
    head = request(*headers, method="POST", body=body, keep_alive=keep_alive)
    read = parse_request_head(encode_request_head(head))
    own = tuple(header for header in read.headers if header[0] not in REBUILT_HEADERS)
    assert msgspec.structs.replace(read, headers=own) == head


@given(
    headers_of(LATIN_1_VALUES),
    st.one_of(REQUEST_BODIES, st.just(Chunked()), st.just(UntilClose())),
    st.integers(200, 599).filter(lambda status: status not in {204, 304}),
)
@settings(deadline=None)
def test_a_written_answer_reads_back_as_the_same_value(headers, body, status):
    body = Length(0) if body == NoBody() else body
    keep_alive = body != UntilClose()
    head = response(*headers, body=body, status=status, keep_alive=keep_alive)
    read = parse_response_head(encode_response_head(head), method="GET")
    own = tuple(header for header in read.headers if header[0] not in REBUILT_HEADERS)
    assert dataclasses.replace(read, headers=own) == head


@given(st.lists(st.tuples(st.text(max_size=6), st.text(max_size=12)), max_size=3).map(tuple))
@settings(deadline=None)
def test_any_headers_are_written_as_many_as_they_are_or_not_at_all(headers):
    """No text, in names or values, becomes one header more."""
    try:
        written = encode_request_head(request(*headers))
    except InternalError:
        return
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(written)
    read = connection.next_event()
    assert isinstance(read, h11.Request)
    assert [(n.decode(), v.decode()) for n, v in read.headers] == [HOST, *headers]
