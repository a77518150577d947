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
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        value, at = _value(data, at, key & 7)
        found[key >> 3].append(value)
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


def _value(data: bytes, at: int, wire_type: int) -> tuple[int | bytes, int]:
    if wire_type == _VARINT:
        return _varint(data, at)
    if wire_type == _LENGTH:
        size, at = _varint(data, at)
    elif wire_type in (_FIXED64, _FIXED32):
        size = 8 if wire_type == _FIXED64 else 4
    else:
        raise ValueError(f"wire type {wire_type} is not used")
    if at + size > len(data):
        raise ValueError("the message ends within a field")
    return data[at : at + size], at + size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("the message ends within a number")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
