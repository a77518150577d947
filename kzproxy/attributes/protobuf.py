r"""Read Kubernetes' protobuf as far as some few texts lie in it.

The envelope is ``k8s\0`` and a ``runtime.Unknown`` whose field 2 is the object (apimachinery
pkg/runtime/serializer/protobuf and pkg/runtime/generated.proto). Field numbers of the objects are
those of k8s.io/api's generated.proto files.
"""

from kzproxy.errors.kinds import BadRequest

_MAGIC = b"k8s\0"
_RAW = 2
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT = 10


def read_object(body: bytes) -> bytes:
    """Return the object inside an envelope.

    Raises:
        BadRequest: There is none, or it could be read in two ways.
    """
    if not body.startswith(_MAGIC):
        raise _unreadable("the envelope is missing")
    return field_bytes(body[len(_MAGIC) :], _RAW)


def field_bytes(message: bytes, number: int) -> bytes:
    """Return the one value of a field of a message, text or message; empty where it is not there.

    Raises:
        BadRequest: The message is broken, or has the field more than once: which of the values
            counts, readers do not agree on.
    """
    found: list[bytes] = []
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        value, position = _value(message, position, key & 7)
        if key >> 3 == number:
            if key & 7 != _BYTES:
                raise _unreadable(f"field {number} is no text")
            found.append(value)
    if len(found) > 1:
        raise _unreadable(f"field {number} stands there more than once")
    return found[0] if found else b""


def field_text(message: bytes, number: int) -> str:
    """Return the one text of a field; empty where it is not there.

    Raises:
        BadRequest: As ``field_bytes`` does, or it is no UTF-8.
    """
    try:
        return field_bytes(message, number).decode("utf-8")
    except UnicodeDecodeError as error:
        raise _unreadable(f"field {number} is no UTF-8") from error


def _value(message: bytes, position: int, wire_type: int) -> tuple[bytes, int]:
    if wire_type == _VARINT:
        return b"", _varint(message, position)[1]
    if wire_type == _BYTES:
        size, position = _varint(message, position)
    elif wire_type in (_FIXED64, _FIXED32):
        size = 8 if wire_type == _FIXED64 else 4
    else:
        raise _unreadable("a wire type that no Kubernetes object has")
    end = position + size
    if end > len(message):
        raise _unreadable("it ends too early")
    return message[position:end], end


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = 0
    for count, byte in enumerate(message[position : position + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            return value, position + count + 1
    raise _unreadable("a number that does not end")


def _unreadable(why: str) -> BadRequest:
    return BadRequest("the body is not protobuf with one reading", detail=why)
