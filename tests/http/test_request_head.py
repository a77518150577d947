"""The gate: what ``parse_request_head`` takes, what it refuses, and with which status."""

import pytest

from kzproxy.attributes.target import MAX_TARGET_BYTES
from kzproxy.errors.kinds import BadRequest, ExpectationFailed, Forbidden, HeadTooLarge
from kzproxy.http.messages import Chunked, Length, NoBody
from kzproxy.http.refused_headers import ImpersonationRefused
from kzproxy.http.request_head import (
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    head_end,
    parse_request_head,
)
from tests.http.heads import head_of

BEARER = b"Bearer " + b"a" * 900


# --- what is taken ---


def test_a_kubectl_request_is_read():
    """Names in lower case, values stripped, order kept, repeated headers kept apart."""
    head = parse_request_head(
        head_of(
            b"User-Agent: kubectl/v1.36.3 (linux/amd64)",
            b"Authorization: " + BEARER,
            b"X-Stream-Protocol-Version:v5.channel.k8s.io",
            b"X-Stream-Protocol-Version: \t v4.channel.k8s.io \t ",
            b"Accept:",
            target=b"/api/v1/namespaces/dev/pods?limit=500",
        )
    )
    assert head.method == "GET"
    assert head.target == "/api/v1/namespaces/dev/pods?limit=500"
    assert head.headers == (
        ("host", "kz.example:8443"),
        ("user-agent", "kubectl/v1.36.3 (linux/amd64)"),
        ("authorization", BEARER.decode()),
        ("x-stream-protocol-version", "v5.channel.k8s.io"),
        ("x-stream-protocol-version", "v4.channel.k8s.io"),
        ("accept", ""),
    )
    assert head.values("x-stream-protocol-version") == ["v5.channel.k8s.io", "v4.channel.k8s.io"]
    assert head.body == NoBody()
    assert (head.keep_alive, head.upgrade, head.expects_continue) == (True, "", False)


def test_a_head_does_not_print_its_headers():
    """A bearer token must not reach a log by way of ``repr``."""
    assert "aaaa" not in repr(parse_request_head(head_of(b"Authorization: " + BEARER)))


@pytest.mark.parametrize(
    ("lines", "method", "body"),
    [
        pytest.param((), b"GET", NoBody(), id="none"),
        pytest.param((), b"POST", NoBody(), id="none-on-post"),
        pytest.param((b"Content-Length: 0",), b"POST", Length(0), id="empty"),
        pytest.param((b"Content-Length: 17",), b"POST", Length(17), id="length"),
        pytest.param((b"content-length:17",), b"PUT", Length(17), id="length-lower-case"),
        pytest.param((b"Content-Length: 60",), b"DELETE", Length(60), id="delete-options"),
        pytest.param(
            (b"Content-Length: 9223372036854775807",), b"POST", Length(2**63 - 1), id="largest"
        ),
        pytest.param((b"Transfer-Encoding: chunked",), b"PATCH", Chunked(), id="chunked"),
        pytest.param((b"Transfer-Encoding:\tChunked ",), b"PATCH", Chunked(), id="chunked-blanks"),
    ],
)
def test_a_body_is_framed_in_one_way(lines, method, body):
    """Every framing that is taken, and nothing about keep-alive follows from it."""
    head = parse_request_head(head_of(*lines, method=method))
    assert head.body == body
    assert head.keep_alive


@pytest.mark.parametrize("line", [b"Content-Length: 5", b"Transfer-Encoding: chunked"])
def test_E3_body_on_get_is_read_but_the_connection_is_not_used_again(line):
    """Where another parser may expect no body, no request can follow it."""
    assert not parse_request_head(head_of(line)).keep_alive
    assert parse_request_head(head_of(b"Content-Length: 0")).keep_alive


@pytest.mark.parametrize(
    ("line", "keep_alive"),
    [
        (b"Connection: close", False),
        (b"Connection: CLOSE", False),
        (b"Connection: keep-alive, Close", False),
        (b"Connection: keep-alive", True),
        (b"Connection: closed", True),
    ],
)
def test_connection_close_is_a_token(line, keep_alive):
    assert parse_request_head(head_of(line)).keep_alive is keep_alive


def test_expect_100_continue_is_noted_where_a_body_comes():
    """The answer 100 waits for the decision, so the head only says that it is waited for."""
    line = b"Expect: 100-Continue"
    head = parse_request_head(head_of(line, b"Content-Length: 3", method=b"POST"))
    assert head.expects_continue


@pytest.mark.parametrize(
    "host", [b"a", b"127.0.0.1:8443", b"[::1]:8443", b"[fe80::1]", b"kz.example.com", b"h:1"]
)
def test_a_host_is_a_name_or_an_address_with_a_port(host):
    head = parse_request_head(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
    assert head.values("host") == [host.decode()]


# --- upgrades ---


@pytest.mark.parametrize(
    ("lines", "method", "upgrade"),
    [
        pytest.param((b"Connection: Upgrade", b"Upgrade: websocket"), b"GET", "websocket", id="ws"),
        pytest.param(
            (b"Connection: keep-alive, upgrade", b"Upgrade: WebSocket"),
            b"GET",
            "websocket",
            id="ws-among-tokens",
        ),
        pytest.param(
            (b"Connection: Upgrade", b"Upgrade: SPDY/3.1"), b"POST", "spdy/3.1", id="spdy"
        ),
        pytest.param(
            (b"Connection: Upgrade", b"Upgrade: SPDY/3.1", b"Content-Length: 0"),
            b"POST",
            "spdy/3.1",
            id="spdy-with-empty-body",
        ),
        pytest.param((b"Connection: xUPGRADEy",), b"GET", "", id="E1.5-substring"),
        pytest.param(
            (b"Connection: xUPGRADEy", b"Upgrade: websocket"), b"GET", "", id="P15-substring"
        ),
        pytest.param((b"Connection: Upgrade",), b"GET", "", id="no-protocol"),
        pytest.param((b"Upgrade: websocket",), b"GET", "", id="no-token"),
        pytest.param(
            (b"Upgrade: websocket", b"Content-Length: 5"), b"POST", "", id="no-token-with-body"
        ),
    ],
)
def test_an_upgrade_needs_the_token_and_one_known_protocol(lines, method, upgrade):
    assert parse_request_head(head_of(*lines, method=method)).upgrade == upgrade


# --- what is refused ---

REFUSED = [
    # Framing (protocol.md E.3).
    ("E3-cl-and-te", (b"Content-Length: 5", b"Transfer-Encoding: chunked")),
    ("E3-te-and-cl", (b"Transfer-Encoding: chunked", b"Content-Length: 5")),
    ("E3-cl-twice-equal", (b"Content-Length: 5", b"Content-Length: 5")),
    ("E3-cl-twice-different", (b"Content-Length: 5", b"Content-Length: 6")),
    ("E3-cl-list", (b"Content-Length: 5, 5",)),
    ("E3-cl-plus", (b"Content-Length: +5",)),
    ("E3-cl-plus-zero", (b"Content-Length: +0",)),
    ("E3-cl-minus", (b"Content-Length: -0",)),
    ("E3-cl-hex", (b"Content-Length: 0x5",)),
    ("E3-cl-underscore", (b"Content-Length: 1_0",)),
    ("E3-cl-leading-zero", (b"Content-Length: 05",)),
    ("E3-cl-empty", (b"Content-Length:",)),
    ("E3-cl-inner-blank", (b"Content-Length: 5 5",)),
    ("E3-cl-too-large", (b"Content-Length: 9223372036854775808",)),
    ("E3-cl-twenty-digits", (b"Content-Length: 10000000000000000000",)),
    ("E3-te-twice", (b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked")),
    ("E3-te-vertical-tab", (b"Transfer-Encoding:\x0bchunked",)),
    ("E3-te-vertical-tab-after", (b"Transfer-Encoding: chunked\x0b",)),
    ("E3-te-space-before-colon", (b"Transfer-Encoding : chunked",)),
    ("E3-te-tab-before-colon", (b"Transfer-Encoding\t: chunked",)),
    ("E3-te-folded", (b"Transfer-Encoding:\r\n chunked",)),
    ("E3-te-folded-tab", (b"Transfer-Encoding:\r\n\tchunked",)),
    ("E3-te-xchunked", (b"Transfer-Encoding: xchunked",)),
    ("E3-te-identity", (b"Transfer-Encoding: identity",)),
    ("E3-te-chunked-identity", (b"Transfer-Encoding: chunked, identity",)),
    ("E3-te-gzip-chunked", (b"Transfer-Encoding: gzip, chunked",)),
    ("E3-te-quoted", (b'Transfer-Encoding: "chunked"',)),
    ("E3-te-parameter", (b"Transfer-Encoding: chunked;q=1",)),
    ("E3-te-empty", (b"Transfer-Encoding:",)),
    ("E3-te-nul", (b"Transfer-Encoding: chunked\x00",)),
    ("E3-trailer-announced", (b"Transfer-Encoding: chunked", b"Trailer: Impersonate-User")),
    # Byte tricks (protocol.md B.2 and E2.5).
    ("B2-obs-fold", (b"X-User: al", b" ice")),
    ("B2-obs-fold-tab", (b"X-User: al", b"\tice")),
    ("B2-obs-fold-first", (b" X-A: b",)),
    ("B2-bare-lf-in-value", (b"X-A: b\nImpersonate-User: bob",)),
    ("B2-bare-lf-at-end", (b"X-A: b\n",)),
    ("B2-bare-lf-lines", (b"X-A: b\nX-B: c\n",)),
    ("B2-bare-cr-in-value", (b"X-A: b\rImpersonate-User: bob",)),
    ("B2-bare-cr-at-end", (b"X-A: b\r",)),
    ("B2-cr-cr-lf", (b"X-A: b\r\r",)),
    ("B2-nul", (b"X-A: b\x00c",)),
    ("B2-escape", (b"X-A: \x1b[2J",)),
    ("B2-del", (b"X-A: \x7f",)),
    ("B2-space-before-colon", (b"X-A : b",)),
    ("B2-utf8-value", ("X-A: é".encode(),)),
    ("B2-latin1-value", (b"X-A: \xe9",)),
    ("B2-invalid-utf8", (b"X-A: \xff\xfe",)),
    ("B2-nel", (b"X-A: b\x85c",)),
    ("B2-empty-name", (b": b",)),
    ("B2-no-colon", (b"X-A",)),
    ("B2-name-not-a-token", (b"X(A): b",)),
    ("B2-name-with-space", (b"X A: b",)),
    ("B2-name-utf8", ("X-é: b".encode(),)),
    ("B2-name-with-nul", (b"X\x00A: b",)),
    ("E2.4-impersonate-underscore", (b"Impersonate_User: bob",)),
    ("E2.4-impersonate-mixed", (b"Impersonate_Extra-Scopes: x",)),
    ("E2.4-x-remote-underscore", (b"X_Remote_User: admin",)),
    ("E2.4-x-remote-half-underscore", (b"X-Remote_Group: system:masters",)),
    ("E2.4-x-forwarded-underscore", (b"X_Forwarded_For: 10.0.0.1",)),
    ("E2.4-content-length-underscore", (b"Content_Length: 5",)),
    ("E2.4-transfer-encoding-underscore", (b"Transfer_Encoding: chunked",)),
    ("E2.4-audit-id-underscore", (b"Audit_ID: 1",)),
    # Hosts.
    ("host-twice", (b"Host: kz.example:8443",)),
    # Connection and Upgrade.
    ("connection-not-tokens", (b"Connection: close; upgrade",)),
    ("connection-empty", (b"Connection:",)),
    ("connection-empty-element", (b"Connection: close,,upgrade",)),
    ("E1.3-h2c", (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AA")),
    ("E1.3-h2c-without-token", (b"Upgrade: h2c",)),
    ("upgrade-tls", (b"Connection: Upgrade", b"Upgrade: TLS/1.2")),
    ("upgrade-list", (b"Connection: Upgrade", b"Upgrade: websocket, h2c")),
    ("upgrade-twice", (b"Connection: Upgrade", b"Upgrade: websocket", b"Upgrade: websocket")),
    ("upgrade-spdy-3", (b"Connection: Upgrade", b"Upgrade: SPDY/3")),
    ("upgrade-empty", (b"Connection: Upgrade", b"Upgrade:")),
    ("E1.4-body", (b"Connection: Upgrade", b"Upgrade: websocket", b"Content-Length: 60")),
    (
        "E1.4-chunked-body",
        (b"Connection: Upgrade", b"Upgrade: websocket", b"Transfer-Encoding: chunked"),
    ),
    ("expect-without-body", (b"Expect: 100-continue",)),
]


@pytest.mark.parametrize("lines", [pytest.param(lines, id=name) for name, lines in REFUSED])
def test_a_head_with_no_reading_or_two_is_a_bad_request(lines):
    """Each row is refused with 400, and says something without quoting a value."""
    with pytest.raises(BadRequest) as refusal:
        parse_request_head(head_of(*lines))
    assert refusal.value.message.isprintable()
    assert "bob" not in refusal.value.message


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n", id="http-1.0"),
        pytest.param(
            b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", id="E3-1.0-te"
        ),
        pytest.param(b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", id="E3-http-1.2"),
        pytest.param(b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", id="http-2.0"),
        pytest.param(b"GET / HTTP/2\r\nHost: a\r\n\r\n", id="http-2"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\n", id="E4.1-pri-preface"),
        pytest.param(b"GET /\r\n\r\n", id="http-0.9"),
        pytest.param(b"GET / http/1.1\r\nHost: a\r\n\r\n", id="version-lower-case"),
        pytest.param(b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", id="blank-after-version"),
        pytest.param(b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", id="two-blanks"),
        pytest.param(b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", id="two-blanks-before-version"),
        pytest.param(b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", id="tab"),
        pytest.param(b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", id="blank-first"),
        pytest.param(b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", id="empty-line-first"),
        pytest.param(b"GET / HTTP/1.1\nHost: a\r\n\r\n", id="bare-lf-in-request-line"),
        pytest.param(b"GET / HTTP/1.1\rHost: a\r\n\r\n", id="bare-cr-in-request-line"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n\n", id="bare-lf-at-the-end"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n", id="no-end"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nX", id="something-after-the-end"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n\r\n", id="two-ends"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"\r\n\r\n", id="only-an-end"),
        pytest.param(b"get / HTTP/1.1\r\nHost: a\r\n\r\n", id="P10-method-lower-case"),
        pytest.param(b"G\xc3\x89T / HTTP/1.1\r\nHost: a\r\n\r\n", id="method-utf8"),
        pytest.param(b"M-SEARCH / HTTP/1.1\r\nHost: a\r\n\r\n", id="method-with-hyphen"),
        pytest.param(b"CONNECT /a HTTP/1.1\r\nHost: a\r\n\r\n", id="connect"),
        pytest.param(b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", id="P5-authority-form"),
        pytest.param(b"GET http://a/api HTTP/1.1\r\nHost: a\r\n\r\n", id="P5-absolute-form"),
        pytest.param(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", id="P5-asterisk-form"),
        pytest.param(b"GET api HTTP/1.1\r\nHost: a\r\n\r\n", id="target-without-slash"),
        pytest.param(b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", id="target-with-blank"),
        pytest.param(b"GET /a\x00 HTTP/1.1\r\nHost: a\r\n\r\n", id="target-with-nul"),
        pytest.param(b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", id="P9-target-utf8"),
        pytest.param(b"GET /a\x7f HTTP/1.1\r\nHost: a\r\n\r\n", id="target-with-del"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="host-missing"),
        pytest.param(b"GET / HTTP/1.1\r\nHost:\r\n\r\n", id="host-empty"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", id="host-list"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", id="host-with-path"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", id="host-with-user"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", id="host-port-not-a-number"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: :80\r\n\r\n", id="host-port-alone"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", id="host-bracket-open"),
        pytest.param(b"HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", id="head-length"),
        pytest.param(b"HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", id="head-zero"),
        pytest.param(
            b"HEAD / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", id="head-chunked"
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            id="websocket-post",
        ),
    ],
)
def test_a_malformed_head_is_a_bad_request(data):
    with pytest.raises(BadRequest):
        parse_request_head(data)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"GET / HTTP/1.0\r\nHost: a\r\n\r\n", "only HTTP/1.1"),
        (b"PRI * HTTP/2.0\r\n\r\n", "HTTP/2"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX-A : token\r\n\r\n", "header line 2"),
        (b"get / HTTP/1.1\r\nHost: a\r\n\r\n", "request line"),
    ],
)
def test_a_refusal_says_where_the_fault_is(line, said):
    with pytest.raises(BadRequest, match=said):
        parse_request_head(line)


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param((b"Expect: 101-continue", b"Content-Length: 1"), id="other"),
        pytest.param((b"Expect:", b"Content-Length: 1"), id="empty"),
        pytest.param((b"Expect: 100-continue, x", b"Content-Length: 1"), id="list"),
        pytest.param(
            (b"Expect: 100-continue", b"Expect: 100-continue", b"Content-Length: 1"), id="twice"
        ),
    ],
)
def test_any_other_expectation_fails(lines):
    with pytest.raises(ExpectationFailed):
        parse_request_head(head_of(*lines, method=b"POST"))


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param((b"Impersonate-User: bob",), id="E2.2-user"),
        pytest.param((b"Impersonate-Group: g",), id="E2.2-group"),
        pytest.param((b"Impersonate-Uid: 1",), id="E2.2-uid"),
        pytest.param((b"Impersonate-Extra-Scopes: s",), id="E2.2-extra"),
        pytest.param((b"impersonate-user: bob",), id="E2.2-lower-case"),
        pytest.param((b"IMPERSONATE-GROUP: g",), id="E2.2-upper-case"),
        pytest.param((b"Impersonate-User: a", b"Impersonate-User: b"), id="E2.2-doubled"),
        pytest.param((b"Impersonate-User:",), id="E2.9-empty"),
        pytest.param((b"Impersonate-Tomorrow: x",), id="E.8-unknown-member"),
    ],
)
def test_asking_to_impersonate_is_forbidden_by_name(lines):
    """The message is what kubectl prints, so it names the header."""
    name = lines[0].split(b":")[0].decode().lower()
    with pytest.raises(Forbidden, match=name):
        parse_request_head(head_of(*lines))


def test_a_refusal_to_impersonate_has_the_head_to_tell_who_asked_and_does_not_print_it():
    with pytest.raises(ImpersonationRefused) as refusal:
        parse_request_head(head_of(b"Impersonate-User: bob", b"Authorization: " + BEARER))

    assert refusal.value.head.values("authorization") == [BEARER.decode()]
    assert BEARER.decode() not in repr(refusal.value)


def test_a_head_without_a_reading_is_that_before_it_asks_to_impersonate():
    with pytest.raises(BadRequest):
        parse_request_head(head_of(b"Impersonate-User: bob", b"Impersonate_User: eve"))


def test_harmless_headers_pass_the_reader():
    """Being dropped is the allow-list's work; only two families are refused here."""
    parse_request_head(
        head_of(
            b"X-Remote-User: admin",
            b"X-Forwarded-For: 10.0.0.1",
            b"my_header: x",
            b"TE: trailers",
            b"Keep-Alive: timeout=5",
            b"Connection: close, Impersonate-User, Impersonate-Group, Authorization, Audit-ID",
        )
    )


# --- bounds ---


def test_a_head_at_its_bound_is_read_and_over_it_refused():
    spare = MAX_HEAD_BYTES - len(head_of(b"X: "))
    assert parse_request_head(head_of(b"X: " + b"a" * spare)).values("x") == ["a" * spare]
    with pytest.raises(HeadTooLarge):
        parse_request_head(head_of(b"X: " + b"a" * (spare + 1)))


def test_E4_7_a_64_kib_token_is_read():
    token = "a" * 65536
    head = parse_request_head(head_of(b"Authorization: Bearer " + token.encode()))
    assert head.values("authorization") == ["Bearer " + token]


def test_the_number_of_headers_is_bounded():
    lines = [b"X: y"] * (MAX_HEADERS - 1)
    assert len(parse_request_head(head_of(*lines)).headers) == MAX_HEADERS
    with pytest.raises(HeadTooLarge):
        parse_request_head(head_of(*lines, b"X: y"))


def test_the_target_is_bounded():
    target = b"/" + b"a" * (MAX_TARGET_BYTES - 1)
    assert len(parse_request_head(head_of(target=target)).target) == MAX_TARGET_BYTES
    # The longest targets are those of kubectl exec, which carry its command.
    with pytest.raises(HeadTooLarge, match="over 8 KiB; give a long command to its shell on stand"):
        parse_request_head(head_of(target=target + b"a"))


# --- finding the end ---


def test_the_end_is_found_byte_by_byte_and_what_follows_is_left():
    data = head_of(b"X: y")
    buffer = bytearray()
    for byte in data[:-1]:
        start = len(buffer)
        buffer.append(byte)
        assert head_end(buffer, start) == -1
    start = len(buffer)
    buffer += data[-1:] + b"GET /next"
    assert head_end(buffer, start) == len(data)
    assert head_end(buffer, 0) == len(data)
    assert head_end(data, 0) == len(data)


def test_E4_7_a_head_that_never_ends_is_too_large():
    buffer = bytearray(b"a" * (MAX_HEAD_BYTES - 1))
    assert head_end(buffer, 0) == -1
    buffer += b"a"
    with pytest.raises(HeadTooLarge):
        head_end(buffer, MAX_HEAD_BYTES - 1)


def test_an_end_past_the_bound_does_not_count():
    at_the_bound = b"a" * (MAX_HEAD_BYTES - 4) + b"\r\n\r\n"
    assert head_end(at_the_bound, 0) == MAX_HEAD_BYTES
    with pytest.raises(HeadTooLarge):
        head_end(b"a" + at_the_bound, 0)


@pytest.mark.parametrize("start", [0, 3, 15])
def test_a_bare_line_feed_is_refused_before_the_head_is_whole(start):
    """A client that ends its lines in LF would otherwise wait for its time-out."""
    with pytest.raises(BadRequest):
        head_end(bytearray(b"GET / HTTP/1.1\n"), start if start < 15 else 14)
    assert head_end(bytearray(b"GET / HTTP/1.1\r\n"), 15) == -1
