"""Sessions are found by each way for as long as they are there, and by none afterwards."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from kzproxy.administrator.session import SessionRecord
from kzproxy.administrator.session_index import SessionIndex
from tests.administrator.kept_sessions import KeptSessions
from tests.authentication.manual_clock import ManualClock

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def record(tmp_path: Path, clock: ManualClock) -> AsyncIterator[SessionRecord]:
    kept = KeptSessions(tmp_path / "kept.db", clock)
    yield kept.record(1, device_id="laptop-1")
    await kept.store.close()


def test_one_that_changes_is_found_by_what_it_is_now(record: SessionRecord) -> None:
    index = SessionIndex()
    index.keep(record)
    index.keep(msgspec.structs.replace(record, device_id="laptop-2"))
    assert index.by_device == {"laptop-2": {record.id}}
    assert index.by_user == {record.user: {record.id}}
    assert index.by_key == {record.key_thumbprint: {record.id}}
    index.drop(record.id)
    index.drop(record.id)
    ways = (index.records, index.identities, index.by_user, index.by_device, index.by_key)
    assert ways == ({}, {}, {}, {}, {})


def test_who_calls_is_one_object_while_nothing_is_judged_otherwise(record: SessionRecord) -> None:
    index = SessionIndex()
    index.keep(record)
    before = index.identities[record.id]
    index.keep(msgspec.structs.replace(record, verified_at=record.verified_at + MINUTE))
    assert index.identities[record.id] is before
    index.keep(msgspec.structs.replace(record, groups=("dev",)))
    assert index.identities[record.id].groups == ("dev",)


def test_an_end_is_told_once_and_only_of_one_that_is_there(
    record: SessionRecord, clock: ManualClock
) -> None:
    index, now = SessionIndex(), clock.now()
    index.keep(record)
    for session_id in (record.id, "gone"):
        index.expect_end(session_id, now + MINUTE)
    assert list(index.expected_ends(now)) == []
    assert list(index.expected_ends(now + MINUTE)) == [record]
    assert list(index.expected_ends(now + MINUTE)) == []
    index.expect_end(record.id, now)
    index.keep(msgspec.structs.replace(record, ended_at=now))
    assert list(index.expected_ends(now + MINUTE)) == []


def test_one_end_is_expected_of_each_session_however_often_it_changes(
    record: SessionRecord, clock: ManualClock
) -> None:
    index, now = SessionIndex(), clock.now()
    for minute in range(100):
        index.keep(record)
        index.expect_end(record.id, now + minute * MINUTE)
        index.drop(record.id)  # as when everything is read anew
    assert index.pending == 1
    index.keep(record)
    assert list(index.expected_ends(now)) == [record]
    assert index.pending == 0


def test_an_end_that_comes_earlier_than_was_expected_is_told_then(
    record: SessionRecord, clock: ManualClock
) -> None:
    index, now = SessionIndex(), clock.now()
    index.keep(record)
    index.expect_end(record.id, now + 2 * MINUTE)
    index.expect_end(record.id, now + MINUTE)
    assert list(index.expected_ends(now + MINUTE)) == [record]
    assert list(index.expected_ends(now + 2 * MINUTE)) == []
