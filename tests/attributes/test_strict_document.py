"""What is read of a body is what every other reader reads of it too."""

import json
import string

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.attributes.strict_document import MAX_DEPTH, read_json, read_yaml
from kzproxy.errors.kinds import BadRequest

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text(string.printable),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(string.ascii_letters), inner),
    max_leaves=20,
)


@given(VALUES)
def test_json_is_read_as_it_was_written(value: object) -> None:
    assert read_json(json.dumps(value).encode()) == value


@given(VALUES)
def test_json_is_read_as_yaml_too(value: object) -> None:
    assert read_yaml(json.dumps(value).encode()) == value


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for read in (read_json, read_yaml):
        try:
            read(data)
        except BadRequest:
            continue


@given(st.text(string.ascii_letters + string.digits + "~=.:-+_/ ", max_size=8))
def test_a_plain_scalar_that_is_a_string_is_one_to_yaml_1_1_as_well(text: str) -> None:
    document = f"a: {text}\n".encode()
    try:
        read = read_yaml(document)
    except BadRequest:
        return
    assert read == yaml.safe_load(document)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"{}{}",
        b"{} x",
        b'{"a":1,"a":2}',
        b'{"a":{"b":1,"b":1}}',
        b'{"a":1,"\\u0061":2}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b"{'a':1}",
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":"\xff"}',
        b'{"a":"\\ud800"}',
        b'{"\\udc00":1}',
        b'{"a":"\x01"}',
        b"[" * (MAX_DEPTH + 2) + b"]" * (MAX_DEPTH + 2),
        b"[" * 100_000,
        b'{"a":' + b"9" * 5000 + b"}",
        '{"a":1}'.encode("utf-16"),
    ],
)
def test_json_with_another_reading_is_refused(data: bytes) -> None:
    with pytest.raises(BadRequest):
        read_json(data)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: &x 1",
        "a: &x 1\nb: *x",
        "<<: {a: 1}",
        '"<<": {a: 1}',
        "a: !!str 1",
        "a: !foo b",
        "a: !!binary YQ==",
        "a: 1\na: 2",
        "a: {b: 1, b: 2}",
        "a: y",
        "a: Yes",
        "a: ON",
        "a: True",
        "a: TRUE",
        "a: ~",
        "a: Null",
        "a: 012",
        "a: 0o7",
        "a: 0x10",
        "a: 1_000",
        "a: 1:30",
        "a: 1e3",
        "a: 1.5",
        "a: +1",
        "a: -0",
        "a: .inf",
        "a: =",
        "a: 2001-01-01",
        "a: 9999999999999999999",
        "1: a",
        "yes: a",
        "? [a]\n: b",
        "? {a: b}\n: c",
        "a: 1\n---\nb: 2",
        "---\n---\na: 1",
        'a: "\\ud800"',
        '"\\udc00": a',
        "%YAML 1.1\n---\na: 1",
        "%TAG ! tag:x,2000:\n---\na: 1",
        "\ufeffa: 1",
        "a:\ttrue",
        "a: 1\r\n",
        "a: b\x85c: d",
        "a: b\u2028c: d",
        "a: b\u2029c: d",
        # Go's reader takes the colon for a part of the key, which then is another.
        "a: {b:}",
        "a: {b:, c: d}",
        "a: {b :}",
        "a: {? b\n :}",
        "a: [b:]",
        "a: [b",
        "a: b: c",
        "[" * 5000,
    ],
)
def test_yaml_with_another_reading_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        read_yaml(text.encode())


def test_plain_yaml_is_read() -> None:
    text = """
# A comment.
---
apiVersion: apps/v1
metadata: {name: web, labels: {a: "1"}, annotations: {}}
spec:
  replicas: 2
  hostNetwork: true
  nothing:
  containers:
  - name: main
    image: example.org/web:v1@sha256:00
    args: ['it''s', "a\\tb"]
    script: |
      for x in y; do
        true
      done
"""
    assert read_yaml(text.encode()) == yaml.safe_load(text)


@pytest.mark.parametrize(
    "text", ["a: 0x5ec2e7", "a: 's3cret\n", "a: &s3cret b", "a: [s3cret", "b: c: s3cret"]
)
def test_what_is_said_of_yaml_that_is_refused_quotes_nothing_of_it(text: str) -> None:
    with pytest.raises(BadRequest) as refused:
        read_yaml(f"kind: Secret\n{text}\n".encode())
    said = refused.value.message + refused.value.detail
    assert "s3cret" not in said
    assert "5ec2e7" not in said
