"""The bytes of a Status in protobuf; tests/server/test_protobuf_status.py asks kube-apiserver."""

import json
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from kzproxy.http.protobuf_status import error_event, status_document

# A watch of Events from before etcd's last compaction, as kube-apiserver 1.36 ends it.
TOO_OLD = {
    "kind": "Status",
    "apiVersion": "v1",
    "metadata": {},
    "status": "Failure",
    "message": "The resourceVersion for the provided watch is too old.",
    "reason": "Expired",
    "code": 410,
}
RECORDED = (
    b"\x00\x00\x00x\n\x05ERROR\x12o\nmk8s\x00\n\x0c\n\x02v1\x12\x06Status\x12U"
    b"\n\x06\n\x00\x12\x00\x1a\x00\x12\x07Failure\x1a6The resourceVersion for the provided watch"
    b' is too old."\x07Expired0\x9a\x03\x1a\x00"\x00'
)
TEXT = st.text(st.characters(codec="utf-8"), max_size=300)
Field = tuple[int, int | bytes]


def varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position


def fields(data: bytes) -> Iterator[Field]:
    """Read a message by the rules of protobuf's encoding alone."""
    position = 0
    while position < len(data):
        key, position = varint(data, position)
        value, position = varint(data, position)
        if key & 7 == 2:
            yield key >> 3, data[position : position + value]
            position += value
        else:
            assert key & 7 == 0
            yield key >> 3, value


def only(data: bytes, number: int) -> bytes:
    (value,) = [value for each, value in fields(data) if each == number]
    assert isinstance(value, bytes)
    return value


def test_an_error_event_is_as_kube_apiserver_sent_it() -> None:
    assert error_event(json.dumps(TOO_OLD).encode()) == RECORDED


@given(message=TEXT, uid=TEXT, code=st.integers(0, 2**31 - 1))
def test_whatever_is_written_reads_the_same(message: str, uid: str, code: int) -> None:
    causes = [{"reason": "AuditID", "message": uid}, {"field": message}]
    details = {"uid": uid, "causes": causes, "retryAfterSeconds": code}
    body = {"message": message, "details": details, "code": code}
    document = status_document(json.dumps(body).encode())

    assert document.startswith(b"k8s\x00")
    status = only(document[4:], 2)
    told = only(status, 5)
    assert only(status, 3) == message.encode()
    assert (6, code) in list(fields(status))
    assert (5, code) in list(fields(told))
    assert only(told, 6) == uid.encode()
    written = [value for number, value in fields(told) if number == 4]
    assert [dict(fields(each)) for each in written if isinstance(each, bytes)] == [
        {1: b"AuditID", 2: uid.encode(), 3: b""},
        {1: b"", 2: b"", 3: message.encode()},
    ]
