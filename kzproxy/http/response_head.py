"""Read the head of kube-apiserver's answer; on any doubt it is not relayed.

As strict as ``request_head``, but for two things that a Go server and the backends behind it may
send: the reason phrase is free text, and values may hold bytes over 0x7F (``Warning`` quotes text
in UTF-8). They are read as Latin-1, which keeps every byte, and written back the same way.
"""

import re

from kzproxy.errors.kinds import UpstreamInvalid
from kzproxy.http.fields import (
    TOKEN_CHARACTER,
    connection_tokens,
    declared_framing,
    split_fields,
)
from kzproxy.http.messages import (
    Headers,
    Length,
    NoBody,
    ResponseBody,
    ResponseHead,
    Unsent,
    UntilClose,
)

# kube-apiserver bounds the heads it reads at 1 MiB and says nothing of those it writes; the
# largest seen carry 4 KiB of Warning (apiserver pkg/endpoints/filters/warning.go).
MAX_RESPONSE_HEAD_BYTES = 128 * 1024
MAX_RESPONSE_HEADERS = 256

_TEXT = r"[\t\x20-\x7e\x80-\xff]*+"
_HEAD = re.compile(
    rf"HTTP/1\.1 ([1-5][0-9][0-9]) ({_TEXT})\r\n((?:{TOKEN_CHARACTER}++:{_TEXT}\r\n)*)\r\n"
)
_READ_HERE = frozenset({"connection", "content-length", "trailer", "transfer-encoding", "upgrade"})
_UPGRADES = frozenset({"websocket", "spdy/3.1"})


def response_head_end(buffer: bytes | bytearray, start: int) -> int:
    """Return the offset just past a head's empty line, or -1 while it has not come.

    ``start`` says how much of ``buffer`` earlier calls have searched.

    Raises:
        UpstreamInvalid: The head is longer than ``MAX_RESPONSE_HEAD_BYTES``.
    """
    found = buffer.find(b"\r\n\r\n", max(start - 3, 0), MAX_RESPONSE_HEAD_BYTES)
    if found >= 0:
        return found + 4
    if len(buffer) >= MAX_RESPONSE_HEAD_BYTES:
        raise UpstreamInvalid("kube-apiserver's answer has a head over 128 KiB")
    return -1


def parse_response_head(data: bytes, *, method: str) -> ResponseHead:
    """Read one whole head, up to and including its empty line, of an answer to ``method``.

    HTTP/1.0 is refused: its answers end with the connection and cannot be told from cut ones.
    Interim answers (1xx) are read like all others; the caller says which it wants.

    Raises:
        UpstreamInvalid: The head has no reading, or more than one.
    """
    if data.count(b"\n") > MAX_RESPONSE_HEADERS + 2:  # The status line's and the empty one's.
        raise UpstreamInvalid(
            f"kube-apiserver's answer has more than {MAX_RESPONSE_HEADERS} headers"
        )
    match = _HEAD.fullmatch(data.decode("latin-1"))
    if match is None or len(data) > MAX_RESPONSE_HEAD_BYTES:
        raise UpstreamInvalid("kube-apiserver's answer has a malformed head")
    code, reason, block = match.groups()
    status, headers = int(code), split_fields(block)
    noted = _noted(headers)
    body = _body(status, method, noted)
    connection = connection_tokens(noted.get("connection", []), _Malformed)
    return ResponseHead(
        status=status,
        reason=reason.strip(" \t"),
        headers=headers,
        body=body,
        upgrade=_upgrade(noted.get("upgrade", []), connection) if status == 101 else "",
        keep_alive="close" not in connection and not isinstance(body, UntilClose),
    )


class _Malformed(UpstreamInvalid):
    """Says whose head it is, for the checks that requests share."""

    def __init__(self, message: str) -> None:
        super().__init__(f"kube-apiserver's answer: {message}")


def _noted(headers: Headers) -> dict[str, list[str]]:
    noted: dict[str, list[str]] = {}
    for name, value in headers:
        if name in _READ_HERE:
            noted.setdefault(name, []).append(value)
    return noted


def _body(status: int, method: str, noted: dict[str, list[str]]) -> ResponseBody:
    """Decide how the body ends (RFC 9112 section 6.3)."""
    if "trailer" in noted:
        raise _Malformed("trailers are not relayed")
    lengths, codings = noted.get("content-length", []), noted.get("transfer-encoding", [])
    declared = declared_framing(lengths, codings, _Malformed)
    if status < 200 or status == 204:
        if declared is not None:
            # Forbidden by RFC 9110 section 8.6 and RFC 9112 section 6.1. A sender that frames
            # what cannot have a body may also send one.
            raise _Malformed(f"a {status} with a body")
        return NoBody()
    if method == "HEAD" or status == 304:
        return Unsent(declared.size_bytes) if isinstance(declared, Length) else NoBody()
    return UntilClose() if declared is None else declared


def _upgrade(upgrades: list[str], connection: frozenset[str]) -> str:
    """Read the protocol that a 101 has switched to (RFC 9110 section 7.8)."""
    protocol = upgrades[0].lower() if len(upgrades) == 1 else ""
    if protocol not in _UPGRADES or "upgrade" not in connection:
        raise _Malformed("a 101 that does not name its protocol")
    return protocol
