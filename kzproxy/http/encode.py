r"""Write heads. Nothing is copied from received bytes, and nothing unsafe can be written.

kube-apiserver takes a bare LF inside a value for the end of a header: ``X-A: b\nImpersonate-User:
bob`` makes the request bob's. It also trims values, so that ``"alice "`` becomes ``alice``, and it
keeps UTF-8. So every name and value is checked here, last of all, whoever built it: what does not
hold is a bug of kzproxy's and ends the request.
"""

import re
from dataclasses import dataclass, field

from kzproxy.errors.kinds import InternalError
from kzproxy.http.hop_by_hop import REBUILT_HEADERS
from kzproxy.http.messages import (
    Chunked,
    Headers,
    Length,
    NoBody,
    RequestBody,
    RequestHead,
    ResponseBody,
    ResponseHead,
    UntilClose,
)

_LOWER_CASE_TOKEN = r"[!#$%&'*+\-.^_`|~0-9a-z]++"  # noqa: S105 - a grammar, not a secret
_NAMES = re.compile(rf"{_LOWER_CASE_TOKEN}(?: {_LOWER_CASE_TOKEN})*+")
_REQUEST_LINE = re.compile(r"[A-Z]{1,24} /[\x21-\x7e]*+")
# C0 without HTAB, DEL, C1, the bidirectional controls, line and paragraph separator, surrogates.
_UNSAFE_IN_REQUEST = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
# An answer's values are Latin-1 and may be halves of UTF-8 characters, so C1 cannot be told.
_UNSAFE_IN_RESPONSE = re.compile(r"[^\t\x20-\x7e\x80-\xff]")
_BLANKS = (" ", "\t")
_EXPECT_LINE = "expect: 100-continue\r\n"
_UPGRADE_LINES = {
    "": "",
    "websocket": "connection: Upgrade\r\nupgrade: websocket\r\n",
    "spdy/3.1": "connection: Upgrade\r\nupgrade: SPDY/3.1\r\n",
}


@dataclass(frozen=True, slots=True)
class EncodedHeaders:
    """Request headers that are checked and encoded once, and written many times.

    For the identity headers of a session. Does not print its values.

    Attributes:
        names: Lower-case; no head may carry one of them besides.
        block: The header lines, each closed by CRLF.
    """

    names: frozenset[str] = frozenset()
    block: bytes = field(default=b"", repr=False)

    @classmethod
    def of(cls, headers: Headers) -> "EncodedHeaders":
        """Check and encode ``headers``.

        Raises:
            InternalError: A name or a value must not be written.
        """
        names = _checked_names(headers)
        block = _lines(headers, _UNSAFE_IN_REQUEST).encode()
        return cls(names=frozenset(names), block=block)


NO_HEADERS = EncodedHeaders()


def encode_request_head(head: RequestHead, ready: EncodedHeaders = NO_HEADERS) -> bytes:
    """Write a request head to kube-apiserver; values are encoded as UTF-8.

    ``ready`` goes in after the head's own headers. ``Content-Length``, ``Transfer-Encoding``,
    ``Connection``, ``Upgrade`` and ``Expect`` are written from the head's other attributes.

    Raises:
        InternalError: A part must not be written as it is, or ``headers`` holds one of the headers
            that are rebuilt, or not exactly one ``host``, or one that ``ready`` holds too.
    """
    line = f"{head.method} {head.target}"
    if _REQUEST_LINE.fullmatch(line) is None:
        raise InternalError("a request line that must not be written")
    names = _checked_names(head.headers)
    if names.count("host") != 1 or not ready.names.isdisjoint(names):
        raise InternalError("a request without exactly one of each header that must be single")
    text = (
        f"{line} HTTP/1.1\r\n{_lines(head.headers, _UNSAFE_IN_REQUEST)}"
        f"{_framing(head.body)}{_connection(head.upgrade, keep_alive=head.keep_alive)}"
        f"{_EXPECT_LINE if head.expects_continue else ''}"
    )
    return b"%b%b\r\n" % (text.encode(), ready.block)


def encode_response_head(head: ResponseHead) -> bytes:
    """Write an answer's head; values are Latin-1, as they were read.

    ``NoBody`` writes no framing at all: it is only for answers that have no body by their status or
    to HEAD. An empty body is ``Length(0)``.

    Raises:
        InternalError: A part must not be written as it is, or ``headers`` holds one of the headers
            that are rebuilt.
    """
    if not 100 <= head.status <= 599 or _UNSAFE_IN_RESPONSE.search(head.reason) is not None:
        raise InternalError("a status line that must not be written")
    _checked_names(head.headers)
    # Only the end of the connection ends such a body, so the client must be told to expect it.
    keep_alive = head.keep_alive and not isinstance(head.body, UntilClose)
    text = (
        f"HTTP/1.1 {head.status} {head.reason}\r\n{_lines(head.headers, _UNSAFE_IN_RESPONSE)}"
        f"{_framing(head.body)}{_connection(head.upgrade, keep_alive=keep_alive)}\r\n"
    )
    return text.encode("latin-1")


def _checked_names(headers: Headers) -> list[str]:
    names = [name for name, _ in headers]
    joined = " ".join(names)
    # Tokens hold no blank: one match over all of them, and the count, check each of them.
    if names and (_NAMES.fullmatch(joined) is None or joined.count(" ") != len(names) - 1):
        raise InternalError("a header name that is not a lower-case token")
    if not REBUILT_HEADERS.isdisjoint(names):
        raise InternalError("a header that only the framing may write")
    return names


def _lines(headers: Headers, unsafe: re.Pattern[str]) -> str:
    for name, value in headers:
        # Nearly all values are printable ASCII, and these tests are much quicker than the search.
        if not (value.isascii() and value.isprintable()) and unsafe.search(value) is not None:
            raise InternalError(f"header {name}: a control character in its value")
        if value[:1] in _BLANKS or value[-1:] in _BLANKS:
            raise InternalError(f"header {name}: a blank at an end of its value")
    return "".join([f"{name}: {value}\r\n" for name, value in headers])


def _framing(body: RequestBody | ResponseBody) -> str:
    match body:
        case Length(size_bytes):
            return f"content-length: {size_bytes}\r\n"
        case Chunked():
            return "transfer-encoding: chunked\r\n"
        case NoBody() | UntilClose():
            return ""


def _connection(upgrade: str, *, keep_alive: bool) -> str:
    if upgrade not in _UPGRADE_LINES:
        raise InternalError("an upgrade to an unknown protocol")
    if upgrade:
        return _UPGRADE_LINES[upgrade]
    return "" if keep_alive else "connection: close\r\n"
