"""The grammar of a request target: which bytes it may hold, and how one segment is spelt.

kube-apiserver (Go's ``net/url``) decodes a path once and then splits it, so that an encoded slash
is a slash, and it cleans nothing away. Whatever Go and another reader could read differently is
refused here rather than repaired; the reasons are in docs/reference/request-attributes.md.
"""

import re
from urllib.parse import quote, unquote_to_bytes

from kzproxy.errors.kinds import BadRequest

# RFC 9112 section 3 asks a recipient to take request lines of 8000 octets at least; nginx has this
# bound. Selectors, continue tokens and the commands of kubectl exec fit; every byte is looked at
# once before the caller is known, so that more would be work given away. Clients meet the bound in
# ``http``, as that of a head; the check here is for targets that come otherwise.
MAX_TARGET_BYTES = 8 * 1024

# Every printing ASCII character but " # < > \ ^ ` { | }, none of which RFC 3986 allows in a target.
_TARGET = re.compile(r"/[!$-;=?-\[\]_a-z~]*")
_BEHIND_THE_PATH = re.compile("[?#]")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_REFUSED_IN_SEGMENT = re.compile(r"%(?:[01][0-9A-F]|7F|2F|5C|25)", re.IGNORECASE)
_REFUSED_IN_SUFFIX = re.compile(r"%(?:[01][0-9A-F]|7F)", re.IGNORECASE)
# What Go's EscapedPath leaves as it is, beside letters, digits and "-_.~".
_PATH_SAFE = "$&+,:;=@!'()*"


def split_target(target: str) -> tuple[str, str | None]:
    """Check the bytes of an origin-form target and split it at its first ``?``.

    Returns:
        The path, and the query, or None where there is no ``?``; both still encoded.

    Raises:
        BadRequest: Too long, not in origin form, or a byte that no target may hold.
    """
    if len(target) > MAX_TARGET_BYTES:
        raise BadRequest(f"the request target is over {MAX_TARGET_BYTES} bytes")
    if not _TARGET.fullmatch(target):
        raise _not_a_target(target)
    if target.startswith("//"):
        raise BadRequest("the request target begins with two slashes", detail=_shown(target))
    path, mark, query = target.partition("?")
    return path, query if mark else None


def _not_a_target(target: str) -> BadRequest:
    """Say in which way ``target`` breaks the grammar."""
    if not target.startswith("/"):
        return BadRequest(
            "the request target must be a path that begins with a slash (origin form)",
            detail=_shown(target),
        )
    if "#" in target:
        return BadRequest("the request target holds a '#'", detail=_shown(target))
    return BadRequest(
        "the request target holds a byte that must be percent-encoded", detail=_shown(target)
    )


def _shown(target: str) -> str:
    """Return a target as far as it may stand in a log: what follows its path may be a secret."""
    return ascii(_BEHIND_THE_PATH.split(target, maxsplit=1)[0])


def decode_segment(encoded: str) -> str:
    """Decode one segment of a path; the result is ASCII without slash, percent or control.

    Raises:
        BadRequest: Bad encoding, a dot segment, or an encoded byte with a second reading.
    """
    if encoded in {".", ".."}:
        raise BadRequest("the path holds a dot segment", detail=encoded)
    if "%" not in encoded:
        return encoded
    check_escapes(encoded)
    if _REFUSED_IN_SEGMENT.search(encoded):
        raise BadRequest(
            "the path holds an encoded slash, backslash, percent or control byte", detail=encoded
        )
    decoded = unquote_to_bytes(encoded)
    if not decoded.isascii():
        raise BadRequest("the path holds a byte that is not ASCII", detail=encoded)
    if decoded in {b".", b".."}:
        raise BadRequest("the path holds a dot segment", detail=encoded)
    return decoded.decode("ascii")


def encode_segment(decoded: str) -> str:
    """Encode one segment as Go's ``URL.EscapedPath`` does (net/url, mode encodePath)."""
    return quote(decoded, safe=_PATH_SAFE)


def check_suffix(encoded: str) -> None:
    """Check what follows ``…/proxy``, which belongs to the backend and is passed on untouched.

    Raises:
        BadRequest: Bad encoding or an encoded control byte.
    """
    check_escapes(encoded)
    if _REFUSED_IN_SUFFIX.search(encoded):
        raise BadRequest("the proxied path holds an encoded control byte", detail=encoded)


def check_escapes(encoded: str) -> None:
    """Refuse a ``%`` without two hexadecimal digits behind it.

    Raises:
        BadRequest: There is one.
    """
    if _BAD_ESCAPE.search(encoded):
        raise BadRequest("the request target holds a '%' without two hexadecimal digits")
