"""An entry that nobody can read is remembered, said once, and ends nothing."""

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.store.store import Entry
from kzproxy.store.unreadable import UnreadableEntries


def entry(value: bytes, key: str = "a", revision: int = 1) -> Entry:
    return Entry(kind="thing", key=key, value=value, revision=revision)


def read(of: UnreadableEntries, one: Entry) -> int | None:
    return of.read(one, int, follows="nothing goes")


def test_what_can_be_read_is_returned_and_not_remembered():
    entries = UnreadableEntries()
    assert read(entries, entry(b"7")) == 7
    assert entries.words() == ""
    assert entries.counts() == {}


def test_what_cannot_is_counted_named_and_logged_once(caplog: pytest.LogCaptureFixture):
    entries = UnreadableEntries()
    with caplog.at_level(logging.ERROR):
        assert read(entries, entry(b"x")) is None
        assert read(entries, entry(b"x")) is None
    assert len(caplog.records) == 1
    assert "thing a cannot be read, so nothing goes" in caplog.text
    assert entries.counts() == {("thing",): 1}
    assert entries.words() == "cannot be read: thing a; see the log for what follows"


def test_it_is_forgotten_when_it_is_mended_or_gone():
    entries = UnreadableEntries()
    for key in "abc":
        read(entries, entry(b"x", key))
    assert read(entries, entry(b"1", "a", revision=2)) == 1
    entries.gone("thing", "b")
    assert entries.counts() == {("thing",): 1}
    entries.left("other", frozenset())
    assert entries.counts() == {("thing",): 1}
    entries.left("thing", frozenset({"a"}))
    assert entries.words() == ""


def test_of_many_a_few_are_named():
    entries = UnreadableEntries()
    for key in "abcde":
        read(entries, entry(b"x", key))
    assert "thing a, thing b, thing c and 2 more" in entries.words()


@given(value=st.binary(max_size=60))
def test_no_value_ends_it(value: bytes):
    entries = UnreadableEntries()
    found = entries.read(entry(value), json.loads, follows="nothing goes")
    assert found is not None or entries.words() or value.strip() == b"null"
