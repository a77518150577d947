"""Read a request head strictly: RFC 9112 with everything optional refused.

Leniency in a parser that stands before another parser is a vulnerability: whatever the two read
differently can be smuggled. So a head has one reading here or none. Lines end in CRLF; control
bytes and bytes over 0x7E (obs-text) are refused everywhere, line folding and blanks before a colon
too; the version is HTTP/1.1; there is one Host, one framing, and at most one Upgrade.
"""

import re

from kzproxy.attributes.target import MAX_TARGET_BYTES
from kzproxy.errors.kinds import BadRequest, ExpectationFailed, HeadTooLarge, ProxyError
from kzproxy.http.fields import (
    TOKEN_CHARACTER,
    connection_tokens,
    declared_framing,
    split_fields,
)
from kzproxy.http.messages import Chunked, Headers, Length, NoBody, RequestBody, RequestHead
from kzproxy.http.refused_headers import (
    ImpersonationRefused,
    asks_to_impersonate,
    refuse_sensitive_name,
)

# Precedents: Go net/http 1 MiB, nginx 4 x 8 KiB, h11 16 KiB in all. Bearer tokens with many groups
# reach 64 KiB, so the bound is well over that.
MAX_HEAD_BYTES = 128 * 1024
# kubectl sends about ten, a browser behind services/proxy about thirty.
MAX_HEADERS = 256

# Under this the names of a family are noted; no header has a name with a star.
_IMPERSONATION = "impersonate-*"

_REQUEST_LINE = r"([A-Z]{1,24}) (/[\x21-\x7e]*+) HTTP/1\.1\r\n"
_FIELD_LINE = rf"{TOKEN_CHARACTER}++:[\t\x20-\x7e]*+\r\n"
_HEAD = re.compile(rf"{_REQUEST_LINE}((?:{_FIELD_LINE})*)\r\n")
_REQUEST_LINE_ALONE = re.compile(_REQUEST_LINE)
_OTHER_VERSION = re.compile(r"[^\r\n]* HTTP/[0-9](?:\.[0-9])?\r\n")
_FIELD_LINE_ALONE = re.compile(_FIELD_LINE)
_BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")

# host [ ":" port ] (RFC 9110 section 7.2), hosts being DNS names, IPv4 or bracketed IPv6.
_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")

_READ_HERE = frozenset(
    {"connection", "content-length", "expect", "host", "trailer", "transfer-encoding", "upgrade"}
)
_UPGRADES = frozenset({"websocket", "spdy/3.1"})


def head_end(buffer: bytes | bytearray, start: int) -> int:
    """Return the offset just past a head's empty line, or -1 while it has not come.

    Args:
        buffer: Everything received since the head began.
        start: How much of ``buffer`` earlier calls have searched, so that a head that comes byte
            by byte is not searched from its beginning each time.

    Raises:
        HeadTooLarge: The head is longer than ``MAX_HEAD_BYTES``.
        BadRequest: A line ends in a bare LF; said now, since its empty line may never come.
    """
    found = buffer.find(b"\r\n\r\n", max(start - 3, 0), MAX_HEAD_BYTES)
    if found >= 0:
        return found + 4
    if len(buffer) >= MAX_HEAD_BYTES:
        raise HeadTooLarge("request head over 128 KiB")
    if _BARE_LINE_FEED.search(buffer, start) is not None:
        raise BadRequest("a line of the request head ends in a bare line feed")
    return -1


def parse_request_head(data: bytes) -> RequestHead:
    """Read one whole head, up to and including its empty line.

    Raises:
        BadRequest: The head has no reading, or more than one.
        HeadTooLarge: The head, its target or its number of headers is over its bound.
        ExpectationFailed: ``Expect`` is anything but ``100-continue``.
        ImpersonationRefused: The client asks to impersonate; the head has a reading otherwise.
    """
    if len(data) > MAX_HEAD_BYTES:
        raise HeadTooLarge("request head over 128 KiB")
    if data.count(b"\n") > MAX_HEADERS + 2:  # The request line's and the empty one's.
        raise HeadTooLarge(f"more than {MAX_HEADERS} headers")
    text = data.decode("latin-1")
    match = _HEAD.fullmatch(text)
    if match is None:
        raise _fault(text)
    method, target, block = match.groups()
    _bound(method, target)
    headers = split_fields(block)
    noted = _noted(headers)
    _require_host(noted.get("host", []))
    body = _body(method, noted)
    connection = connection_tokens(noted.get("connection", []), BadRequest)
    head = RequestHead(
        method=method,
        target=target,
        headers=headers,
        body=body,
        expects_continue=_expects_continue(noted.get("expect", []), body),
        upgrade=_upgrade(method, noted.get("upgrade", []), connection, body),
        keep_alive="close" not in connection and not _is_unusual_body(method, body),
    )
    if _IMPERSONATION in noted:
        raise ImpersonationRefused(noted[_IMPERSONATION][0], head)
    return head


def _fault(text: str) -> ProxyError:
    """Say which line has no reading. Quotes nothing: any line may hold a credential."""
    if text.startswith("PRI * HTTP/2.0\r\n"):
        return BadRequest("HTTP/2 is not spoken here; use HTTP/1.1")
    request_line = _REQUEST_LINE_ALONE.match(text)
    if request_line is None:
        if _OTHER_VERSION.match(text) is not None and " HTTP/1.1\r\n" not in text:
            return BadRequest("only HTTP/1.1 is spoken here")
        return BadRequest("malformed request line: METHOD /target HTTP/1.1, in ASCII")
    position, number = request_line.end(), 1
    while (line := _FIELD_LINE_ALONE.match(text, position)) is not None:
        position, number = line.end(), number + 1
    return BadRequest(f"malformed header line {number}: Name: value, in ASCII, ended by CRLF")


def _bound(method: str, target: str) -> None:
    if len(target) > MAX_TARGET_BYTES:
        raise HeadTooLarge(
            "request target over 8 KiB; give a long command to its shell on standard input"
        )
    if method == "CONNECT":
        # It frames its answer unlike all others (RFC 9110 section 9.3.6), and has no use here.
        raise BadRequest("CONNECT is not served")


def _noted(headers: Headers) -> dict[str, list[str]]:
    """Gather the headers that are read here; refuse sensitive names on the way."""
    noted: dict[str, list[str]] = {}
    for name, value in headers:
        if name in _READ_HERE:
            noted.setdefault(name, []).append(value)
        elif asks_to_impersonate(name):
            noted.setdefault(_IMPERSONATION, []).append(name)
        elif "_" in name:
            refuse_sensitive_name(name)
    return noted


def _require_host(hosts: list[str]) -> None:
    if len(hosts) != 1 or _HOST.fullmatch(hosts[0]) is None:
        raise BadRequest("exactly one Host header with a host and an optional port is needed")


def _body(method: str, noted: dict[str, list[str]]) -> RequestBody:
    if "trailer" in noted:
        # Trailers are refused when they come; say so before the body has been sent.
        raise BadRequest("trailers are not accepted")
    lengths, codings = noted.get("content-length", []), noted.get("transfer-encoding", [])
    body = declared_framing(lengths, codings, BadRequest)
    if body is None:
        return NoBody()
    if method == "HEAD":
        raise BadRequest("a HEAD request has no body")
    return body


def _is_unusual_body(method: str, body: RequestBody) -> bool:
    """Tell whether a body comes where many parsers expect none.

    It is read and forwarded as framed (a backend behind services/proxy may want it), but the
    connection is not used again, so that nothing in it can ever be taken for a request.
    """
    return method == "GET" and not _is_empty(body)


def _is_empty(body: RequestBody) -> bool:
    match body:
        case NoBody():
            return True
        case Length(size_bytes):
            return size_bytes == 0
        case Chunked():
            return False


def _expects_continue(expectations: list[str], body: RequestBody) -> bool:
    if not expectations:
        return False
    if len(expectations) > 1 or expectations[0].lower() != "100-continue":
        raise ExpectationFailed("the only expectation met is: Expect: 100-continue")
    if _is_empty(body):
        # RFC 9110 section 10.1.1: a client must not send it without content.
        raise BadRequest("Expect: 100-continue without a body")
    return True


def _upgrade(
    method: str, upgrades: list[str], connection: frozenset[str], body: RequestBody
) -> str:
    """Read the protocol asked for; empty where ``Connection`` has no token ``upgrade``.

    kube-apiserver itself looks for the substring ``upgrade`` in ``Connection`` and ignores
    ``Upgrade`` (apimachinery pkg/util/httpstream IsUpgradeRequest); hence both headers are rebuilt
    from what is returned here, never forwarded.
    """
    if not upgrades:
        return ""
    protocol = upgrades[0].lower()
    if len(upgrades) > 1 or protocol not in _UPGRADES:
        raise BadRequest("Upgrade is served for exactly one of: websocket, SPDY/3.1")
    if "upgrade" not in connection:
        return ""
    if not _is_empty(body):
        # The shape of aiohttp's CVE-2026-69243: the body would be read as the new protocol.
        raise BadRequest("an upgrade with a body")
    if protocol == "websocket" and method != "GET":
        raise BadRequest("a WebSocket handshake is a GET (RFC 6455 section 4.1)")
    return protocol
