"""Read the protocol buffer form in which the CEL library gives out a checked expression.

Its Python face shows neither the names nor the functions that an expression uses; its serialized
form, ``cel.expr.CheckedExpr`` (github.com/google/cel-spec, proto/cel/expr/checked.proto and
syntax.proto), does. The bytes come from the library in this process, never from outside.
"""

from collections import defaultdict

Fields = dict[int, list[int | bytes]]

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


def fields(data: bytes) -> Fields:
    """Split one message into its fields by number, each with its values in their order.

    Raises:
        ValueError: It is not a message.
    """
    found: Fields = defaultdict(list)
    at, end = 0, len(data)
    while at < end:
        key, at = (data[at], at + 1) if data[at] < 0x80 else _varint(data, at)
        if key & 7 == _LENGTH:
            size, at = _varint(data, at)
            if at + size > end:
                raise ValueError("the message ends within a field")
            found[key >> 3].append(data[at : at + size])
            at += size
        elif key & 7 == _VARINT:
            value, at = _varint(data, at)
            found[key >> 3].append(value)
        else:
            at = _fixed(data, at, key, found)
    return found


def message(value: int | bytes) -> bytes:
    """Return a field that holds a message, a string or bytes."""
    if isinstance(value, bytes):
        return value
    raise ValueError("a number stands where a message should")


def number(value: int | bytes) -> int:
    """Return a field that holds a number, as the signed 64-bit one that its bits are."""
    if isinstance(value, int):
        return value - (1 << 64) if value >> 63 else value
    raise ValueError("a message stands where a number should")


def last(found: Fields, field: int) -> bytes:
    """Return the field's last value, which is the one that counts; empty where it is not there."""
    return message(found[field][-1]) if field in found else b""


def text(found: Fields, field: int) -> str:
    """Return a string field; empty where it is not there."""
    return last(found, field).decode()


def _fixed(data: bytes, at: int, key: int, found: Fields) -> int:
    size = {_FIXED64: 8, _FIXED32: 4}.get(key & 7)
    if size is None or at + size > len(data):
        raise ValueError("a field of a form that is not used, or that is cut off")
    found[key >> 3].append(data[at : at + size])
    return at + size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    if at < len(data) and data[at] < 0x80:
        return data[at], at + 1
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("the message ends within a number")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
