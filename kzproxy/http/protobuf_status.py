"""Write a ``metav1.Status`` in protobuf, alone or as the ERROR event of a watch.

By hand, for it is one message with four parts (apimachinery pkg/apis/meta/v1/generated.proto). What
kube-apiserver writes even where it is empty is written here too: tests compare byte by byte.
"""

import msgspec
from msgspec import Struct

# Before every document, not before an event (apimachinery pkg/runtime/serializer/protobuf).
_MAGIC = b"k8s\x00"
_VARINT, _BYTES = 0, 2


class _Cause(Struct, frozen=True):
    reason: str = ""
    message: str = ""
    field: str = ""


class _Details(Struct, frozen=True, rename="camel"):
    name: str = ""
    group: str = ""
    kind: str = ""
    uid: str = ""
    causes: tuple[_Cause, ...] = ()
    retry_after_seconds: int = 0


class _Status(Struct, frozen=True):
    status: str = ""
    message: str = ""
    reason: str = ""
    details: _Details | None = None
    code: int = 0


def status_document(status_body: bytes) -> bytes:
    """Return a Status, given in JSON, as kube-apiserver's answer in protobuf has it.

    Its ``metadata`` is left empty, as that of every failure is.
    """
    status = msgspec.json.decode(status_body, type=_Status)
    kind = _text(1, "v1") + _text(2, "Status")
    no_encoding = _text(3, "") + _text(4, "")
    return _MAGIC + _message(1, kind) + _message(2, _status(status)) + no_encoding


def error_event(status_body: bytes) -> bytes:
    """Return the event that carries a Status, given in JSON, with its length before it."""
    carried = _message(1, status_document(status_body))
    event = _text(1, "ERROR") + _message(2, carried)
    return len(event).to_bytes(4, "big") + event


def _status(status: _Status) -> bytes:
    no_metadata = _text(1, "") + _text(2, "") + _text(3, "")
    details = b"" if status.details is None else _message(5, _details(status.details))
    return (
        _message(1, no_metadata)
        + _text(2, status.status)
        + _text(3, status.message)
        + _text(4, status.reason)
        + details
        + _number(6, status.code)
    )


def _details(details: _Details) -> bytes:
    causes = [_message(4, _cause(cause)) for cause in details.causes]
    return (
        _text(1, details.name)
        + _text(2, details.group)
        + _text(3, details.kind)
        + b"".join(causes)
        + _number(5, details.retry_after_seconds)
        + _text(6, details.uid)
    )


def _cause(cause: _Cause) -> bytes:
    return _text(1, cause.reason) + _text(2, cause.message) + _text(3, cause.field)


def _text(number: int, text: str) -> bytes:
    return _message(number, text.encode())


def _message(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(content)) + content


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3 | _VARINT) + _varint(value)


def _varint(value: int) -> bytes:
    """Write a number that is not negative, seven bits a byte, the lowest first."""
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)
