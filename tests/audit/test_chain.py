"""A chain holds, or the first line that does not follow is named."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.audit.chain import GENESIS, BrokenChain, Head, head_of, seal, verify_chain

BATCHES = st.lists(st.lists(st.just(b'{"kind":"x"}') | st.just(b'{"kind":"yy"}'), max_size=5))


def chain(length: int = 6) -> list[bytes]:
    lines, _ = seal(GENESIS, "0", [b'{"kind":"n%d"}' % number for number in range(length)])
    return lines


@given(BATCHES)
def test_batches_sealed_one_after_the_other_are_one_chain(batches: list[list[bytes]]) -> None:
    head, written = GENESIS, list[bytes]()
    for batch in batches:
        lines, head = seal(head, 'w"1', batch)
        written += lines
    verified = verify_chain(written)
    assert verified.head == head
    assert verified.lines == head.seq == len(written)
    assert verified.start == GENESIS


def test_nothing_is_a_chain() -> None:
    assert verify_chain([]).head == GENESIS


def test_prev_is_what_sha256sum_says_of_the_line_before(tmp_path: Path) -> None:
    """So that a chain can be checked with nothing but coreutils."""
    import hashlib
    import json

    first, second = chain(2)
    assert json.loads(second)["prev"] == hashlib.sha256(first).hexdigest()
    assert json.loads(first)["prev"] == "0" * 64


def test_a_later_file_goes_on_from_the_head_of_the_one_before() -> None:
    lines = chain()
    early, late = verify_chain(lines[:3]), verify_chain(lines[3:])
    assert late.start == early.head == head_of(lines[2])


@given(st.data())
def test_any_change_of_any_byte_is_found(data: st.DataObject) -> None:
    """In every line but the last: nothing follows that one yet."""
    lines = chain(4)
    number = data.draw(st.integers(0, len(lines) - 2))
    offset = data.draw(st.integers(0, len(lines[number]) - 1))
    changed = bytearray(lines[number])
    changed[offset] ^= data.draw(st.integers(1, 255))
    lines[number] = bytes(changed)
    with pytest.raises(BrokenChain) as broken:
        verify_chain(lines)
    assert broken.value.line_number in {number + 1, number + 2}


@given(st.integers(1, 4))
def test_a_removed_line_is_found(number: int) -> None:
    lines = chain()
    del lines[number]
    with pytest.raises(BrokenChain, match="seq is") as broken:
        verify_chain(lines)
    assert broken.value.line_number == number + 1


def test_a_repeated_line_is_found() -> None:
    lines = chain()
    with pytest.raises(BrokenChain, match="line 4"):
        verify_chain([*lines[:3], *lines[2:]])


def test_two_lines_that_changed_places_are_found() -> None:
    lines = chain()
    lines[2], lines[3] = lines[3], lines[2]
    with pytest.raises(BrokenChain, match="line 3"):
        verify_chain(lines)


def test_a_line_of_another_worker_is_found() -> None:
    lines = chain(3)
    foreign, _ = seal(head_of(lines[-1]), "1", [b'{"kind":"x"}'])
    with pytest.raises(BrokenChain, match="worker is '1', expected '0'"):
        verify_chain([*lines, *foreign])


def test_a_first_record_that_goes_on_from_something_is_found() -> None:
    lines, _ = seal(Head(0, "a" * 64), "0", [b'{"kind":"x"}'])
    with pytest.raises(BrokenChain, match="not zero"):
        verify_chain(lines)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"{}\n",
        b"[]\n",
        b"null\n",
        b"not json\n",
        b"[" * 100_000 + b"\n",
        b"\xff\xfe\n",
        b'{"v":1,"seq":0,"prev":"","worker":"0"}\n',
        b'{"v":1,"seq":"1","prev":"","worker":"0"}\n',
        b'{"v":2,"seq":1,"prev":"","worker":"0"}\n',
        b'{"v":1,"seq":1,"prev":"","worker":"0"}',
    ],
)
def test_what_is_no_line_of_a_decision_log_is_refused(line: bytes) -> None:
    with pytest.raises(BrokenChain, match="line 1"):
        verify_chain([line])
    with pytest.raises(ValueError, match="line"):
        head_of(line)
