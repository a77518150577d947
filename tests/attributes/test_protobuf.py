"""Texts in Kubernetes' protobuf, read in one way or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.attributes.protobuf import field_bytes, field_text, read_object
from kzproxy.errors.kinds import BadRequest


def text(number: int, value: bytes) -> bytes:
    return bytes([number << 3 | 2, len(value)]) + value


def varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def envelope(raw: bytes) -> bytes:
    return b"k8s\0" + text(1, text(1, b"v1") + text(2, b"Kind")) + text(2, raw) + text(3, b"")


@given(name=st.text(max_size=15))
def test_a_text_inside_an_object_is_found(name: str) -> None:
    spec = text(1, name.encode())
    raw = text(1, b"") + text(2, spec) + b"\x18\x07" + b"\x25abcd" + b"\x29abcdefgh"
    assert field_text(field_bytes(read_object(envelope(raw)), 2), 1) == name
    assert field_text(field_bytes(read_object(envelope(raw)), 9), 1) == ""


def test_a_long_text_is_read_to_its_end() -> None:
    assert field_text(b"\x0a\x81\x01" + b"a" * 129 + text(2, b"b"), 1) == "a" * 129


@pytest.mark.parametrize(
    "message",
    [
        text(1, b"a") + text(1, b"b"),
        b"\x08\x01",
        b"\x0a\x05ab",
        b"\x0b\x0c",
        b"\x4b\0\0\0\0",
        b"\xff" * 11,
        b"\x0a",
        text(1, b"\xff"),
        text(1, b"a") + varint((2**32 + 1) << 3 | 2) + b"\x01b",
        text(1, b"a") + varint(2) + b"\x01b",
    ],
    ids=[
        "twice",
        "a number",
        "cut off",
        "a group",
        "a group with something in it",
        "endless",
        "no size",
        "no UTF-8",
        "twice in 32 bits",
        "field 0",
    ],
)
def test_what_has_no_reading_or_two_is_refused(message: bytes) -> None:
    with pytest.raises(BadRequest):
        field_text(message, 1)


def test_without_its_envelope_nothing_is_read() -> None:
    for other in (b'{"spec": {}}', b"K8s\0" + text(2, b""), b"k8s\1" + text(2, b""), text(2, b"")):
        with pytest.raises(BadRequest):
            read_object(other)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        field_bytes(data, 2)
    except BadRequest:
        return
