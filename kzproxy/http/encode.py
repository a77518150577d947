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
    Unsent,
    UntilClose,
)

_LOWER_CASE_TOKEN = r"[!#$%&'*+\-.^_`|~0-9a-z]++"  # noqa: S105 - a grammar, not a secret
_NAMES = re.compile(rf"{_LOWER_CASE_TOKEN}(?: {_LOWER_CASE_TOKEN})*")
_REQUEST_LINE = re.compile(r"[A-Z]{1,24} /[\x21-\x7e]*+")
# C0 without HTAB, DEL, C1, the bidirectional controls, line and paragraph separator, surrogates.
_UNSAFE_IN_REQUEST = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
# An answer's values are Latin-1 and may be halves of UTF-8 characters, so C1 cannot be told.
_UNSAFE_IN_RESPONSE = re.compile(r"[^\t\x20-\x7e\x80-\xff]")
# Printable ASCII, but for what ends or escapes in a quoted string (RFC 9110 section 5.6.4).
_WARNING = re.compile(r"[ !#-\[\]-~]{1,300}")
_AUDIT_ID = re.compile(r"[\x21-\x7e]{1,64}")
_BLANKS = (" ", "\t")
_UPGRADE_LINES = {
    "": "",
    "websocket": "connection: Upgrade\r\nupgrade: websocket\r\n",
    "spdy/3.1": "connection: Upgrade\r\nupgrade: SPDY/3.1\r\n",
}


# Where two of these came, kube-apiserver would take the first and judge by it.
_SINGLE = ("host", "authorization", "audit-id", "impersonate-user", "impersonate-uid")


@dataclass(frozen=True, slots=True)
class EncodedHeaders:
    """Request headers that are checked and encoded once, and written many times.

    For the identity headers of a session, and for the upstream's own Host and Authorization. Does
    not print its values.

    Attributes:
        names: Lower-case; no head, and no other block in it, may carry one of them besides.
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
        names = _request_names(headers)
        block = _lines(headers, _UNSAFE_IN_REQUEST).encode()
        return cls(names=frozenset(names), block=block)


@dataclass(frozen=True, slots=True)
class EncodedAnswer:
    """An answer's head that is checked and encoded once, and written for many exchanges.

    Attributes:
        ends_with_connection: Whether only the connection's end ends the body.
        front: All of it but ``Audit-Id``, ``Connection`` and the empty line.
    """

    ends_with_connection: bool
    front: bytes = field(repr=False)

    @classmethod
    def of(cls, head: ResponseHead) -> "EncodedAnswer":
        """Check and encode ``head``, whose ``keep_alive`` does not matter here.

        Raises:
            InternalError: See ``encode_response_head``; or it has an ``Audit-Id``.
        """
        if any(name == "audit-id" for name, _ in head.headers):
            raise InternalError("an answer with an Audit-Id that is not ours")
        return cls(isinstance(head.body, UntilClose), _answer_front(head))

    def head(self, audit_id: str, *, upgrade: str, keep_alive: bool, warning: str = "") -> bytes:
        """Return the whole head for one exchange.

        Args:
            audit_id: Of the exchange.
            upgrade: The protocol that is switched to; empty for none.
            keep_alive: Whether the connection may carry another exchange.
            warning: What kubectl prints beside the answer; empty for nothing.

        Raises:
            InternalError: ``audit_id`` or ``warning`` must not be written.
        """
        if _AUDIT_ID.fullmatch(audit_id) is None:
            raise InternalError("an audit id that must not be written")
        # Only the end of the connection ends such a body, so the client must be told to expect it.
        keep_alive = keep_alive and not self.ends_with_connection
        if keep_alive and not upgrade and not warning:  # Nearly always.
            return b"%baudit-id: %b\r\n\r\n" % (self.front, audit_id.encode())
        last = f"audit-id: {audit_id}\r\n{_connection(upgrade, keep_alive=keep_alive)}\r\n"
        return self.front + _warning(warning) + last.encode()


def _warning(text: str) -> bytes:
    """Return the header line, as client-go reads it (apimachinery pkg/util/net/http.go)."""
    if not text:
        return b""
    if _WARNING.fullmatch(text) is None:
        raise InternalError("a warning that must not be written")
    return f'warning: 299 kzproxy "{text}"\r\n'.encode()


def encode_request_head(head: RequestHead, *ready: EncodedHeaders) -> bytes:
    """Write a request head to kube-apiserver; values are encoded as UTF-8.

    The ``ready`` blocks go in after the head's own headers. ``Content-Length``,
    ``Transfer-Encoding``, ``Connection`` and ``Upgrade`` are written from the head's other
    attributes; ``Expect`` never is.

    Raises:
        InternalError: A part must not be written as it is, or ``headers`` holds one of the headers
            that are rebuilt, or there is not exactly one ``host`` in all, or two of head and blocks
            share a name, or a header that must be single is not, or a principal is blank.
    """
    line = f"{head.method} {head.target}"
    if _REQUEST_LINE.fullmatch(line) is None:
        raise InternalError("a request line that must not be written")
    names = set(_request_names(head.headers))
    for block in ready:
        if not block.names.isdisjoint(names):
            raise InternalError("a request with the same header from two sources")
        names |= block.names
    if "host" not in names:
        raise InternalError("a request without a Host")
    text = (
        f"{line} HTTP/1.1\r\n{_lines(head.headers, _UNSAFE_IN_REQUEST)}"
        f"{_framing(head.body)}{_connection(head.upgrade, keep_alive=head.keep_alive)}"
    )
    return b"".join([text.encode(), *[block.block for block in ready], b"\r\n"])


def encode_response_head(head: ResponseHead) -> bytes:
    """Write an answer's head; values are Latin-1, as they were read.

    ``NoBody`` writes no framing at all: it and ``Unsent`` are only for answers that have no body by
    their status or to HEAD. An empty body is ``Length(0)``.

    Raises:
        InternalError: A part must not be written as it is, or ``headers`` holds one of the headers
            that are rebuilt.
    """
    front = _answer_front(head)
    # Only the end of the connection ends such a body, so the client must be told to expect it.
    keep_alive = head.keep_alive and not isinstance(head.body, UntilClose)
    return front + f"{_connection(head.upgrade, keep_alive=keep_alive)}\r\n".encode()


def _answer_front(head: ResponseHead) -> bytes:
    if not 100 <= head.status <= 599 or _UNSAFE_IN_RESPONSE.search(head.reason) is not None:
        raise InternalError("a status line that must not be written")
    _checked_names(head.headers)
    text = (
        f"HTTP/1.1 {head.status} {head.reason}\r\n{_lines(head.headers, _UNSAFE_IN_RESPONSE)}"
        f"{_framing(head.body)}"
    )
    return text.encode("latin-1")


def _request_names(headers: Headers) -> list[str]:
    names = _checked_names(headers)
    if len(set(names)) < len(names) and any(names.count(name) > 1 for name in _SINGLE):
        raise InternalError("a request with two of a header that must be single")
    if ("impersonate-user", "") in headers:
        # kube-apiserver takes it for no impersonation: the request would run as kzproxy itself.
        raise InternalError("a request that impersonates nobody")
    return names


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
    text = "".join([f"{name}: {value}\r\n" for name, value in headers])
    values = "".join([value for _, value in headers])
    # Nearly always all values are printable ASCII without outer blanks. Four scans over all of them
    # tell so in a quarter of the time that each value's own check takes; if not, each is checked.
    plain = values.isascii() and values.isprintable()
    if not plain or ":  " in text or " \r\n" in text:
        for name, value in headers:
            _require_safe(name, value, unsafe)
    return text


def _require_safe(name: str, value: str, unsafe: re.Pattern[str]) -> None:
    if unsafe.search(value) is not None:
        raise InternalError(f"header {name}: a control character in its value")
    if value[:1] in _BLANKS or value[-1:] in _BLANKS:
        raise InternalError(f"header {name}: a blank at an end of its value")


def _framing(body: RequestBody | ResponseBody) -> str:
    match body:
        case Length(size_bytes) | Unsent(size_bytes):
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
