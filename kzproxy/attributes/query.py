"""Read a query as Go does (``net/url`` parseQuery), and spell it in one way.

Go drops a pair that holds a semicolon or a bad escape, Python and most backends keep it; Go takes
the first of several values, others the last. Both are refused.
"""

import re
from collections.abc import Mapping
from urllib.parse import quote_plus, unquote_to_bytes

import msgspec

from kzproxy.attributes.target import check_escapes
from kzproxy.errors.kinds import BadRequest

# What kube-apiserver reads the first value of. ``command`` and ``ports`` are lists there and may
# come again. Keys are case-sensitive in Go: ``Watch`` is not a control key, and means nothing.
SINGLE_VALUE_KEYS = frozenset(
    {
        "allowWatchBookmarks", "container", "continue", "dryRun", "fieldSelector", "follow",
        "labelSelector", "limit", "path", "resourceVersion", "resourceVersionMatch",
        "sendInitialEvents", "shardSelector", "stderr", "stdin", "stdout", "timeoutSeconds",
        "tty", "watch",
    }
)  # fmt: skip
# A script given to kubectl exec holds line ends and tabs; kube-apiserver makes an argv of it.
_MAY_HOLD_CONTROLS = frozenset({"command"})
_BOOLEAN_KEYS = frozenset({"follow", "watch"})

# A query as client-go writes it, which needs no new spelling: one "=" in each pair, "+" for a
# blank, escapes in capitals and only where they are needed.
_PLAIN = r"[A-Za-z0-9_.~+-]*+"
_ESCAPE = r"%(?:[0189A-F][0-9A-F]|2[1-9A-CF]|3[A-F]|40|5[B-E]|60|7[B-DF])"
_TEXT = rf"{_PLAIN}(?:{_ESCAPE}{_PLAIN})*"
_CANONICAL = re.compile(rf"{_TEXT}={_TEXT}(?:&{_TEXT}={_TEXT})*")
# An escape that stands for a control byte or for one that is not ASCII.
_SUSPECT = re.compile(r"%(?:[0189A-Fa-f]|7[Ff])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A query with one reading.

    Attributes:
        pairs: Decoded, in their order.
        values: The first value of each key, which is the one that Go's ``Values.Get`` gives.
        canonical: Re-encoded, without the ``?``; None where there is nothing to send.
    """

    pairs: tuple[tuple[str, str], ...]
    values: Mapping[str, str]
    canonical: str | None

    def is_true(self, key: str) -> bool:
        """Read ``key`` as Kubernetes reads a boolean: all but absent, ``0`` and ``false`` is true.

        Source: Convert_Slice_string_To_bool, apimachinery pkg/runtime/conversion.go.
        """
        value = self.values.get(key)
        return value is not None and value != "0" and value.lower() != "false"


NO_QUERY = Query(pairs=(), values={}, canonical=None)


def read_query(encoded: str | None) -> Query:
    """Read a query that kube-apiserver itself interprets.

    Raises:
        BadRequest: A semicolon, a bad escape, a control byte, text that is not UTF-8, or a control
            key given twice.
    """
    if not encoded:
        return NO_QUERY
    pairs = _pairs(encoded)
    values = dict(reversed(pairs))
    if len(values) < len(pairs):
        _refuse_repeated(pairs)
    if _SUSPECT.search(encoded):
        for key, value in pairs:
            _check_pair(key, value)
    return Query(pairs=pairs, values=values, canonical=_canonical(encoded, pairs))


def read_proxied_query(encoded: str | None) -> Query:
    """Read a query that belongs to the backend of a ``*/proxy``; it is sent as it came.

    Raises:
        BadRequest: A semicolon, a bad escape, a NUL, or text that is not UTF-8.
    """
    if encoded is None:
        return NO_QUERY
    pairs = _pairs(encoded)
    if any("\0" in text for pair in pairs for text in pair):
        raise BadRequest("the query holds an encoded NUL")
    return Query(pairs=pairs, values=dict(reversed(pairs)), canonical=encoded)


def _pairs(encoded: str) -> tuple[tuple[str, str], ...]:
    """Decode the pairs; an empty one is nothing, as in Go."""
    if ";" in encoded:
        raise BadRequest("the query holds a ';'; separate pairs with '&'")
    check_escapes(encoded)
    pairs = []
    for pair in encoded.split("&"):
        if pair:
            key, _, value = pair.partition("=")
            pairs.append((_decode(key), _decode(value)))
    return tuple(pairs)


def _decode(encoded: str) -> str:
    if "%" not in encoded and "+" not in encoded:
        return encoded
    try:
        return unquote_to_bytes(encoded.replace("+", " ")).decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRequest("the query holds text that is not UTF-8") from error


def _canonical(encoded: str, pairs: tuple[tuple[str, str], ...]) -> str | None:
    """Encode as Go's ``url.QueryEscape``, in the given order."""
    if _CANONICAL.fullmatch(encoded):
        return encoded
    return "&".join([f"{quote_plus(key)}={quote_plus(value)}" for key, value in pairs]) or None


def _refuse_repeated(pairs: tuple[tuple[str, str], ...]) -> None:
    keys = [key for key, _ in pairs if key in SINGLE_VALUE_KEYS]
    if len(keys) > len(set(keys)):
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise BadRequest(f"the query gives {repeated} more than once")


def _check_pair(key: str, value: str) -> None:
    if _CONTROL.search(key) or (key not in _MAY_HOLD_CONTROLS and _CONTROL.search(value)):
        raise BadRequest("the query holds an encoded control byte")
    if "\0" in value:
        raise BadRequest("the query holds an encoded NUL")
    if key in _BOOLEAN_KEYS and not value.isascii():
        # Go folds U+017F to "s" in one of its two readings of watch, and not in the other.
        raise BadRequest(f"the query gives {key} a value that is not ASCII")
