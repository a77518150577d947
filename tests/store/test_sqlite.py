"""The SQLite store, as files on a disk and as several workers see it."""

import asyncio
import resource
import sqlite3
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from kzproxy.errors.kinds import ServiceUnavailable
from kzproxy.store import sqlite
from kzproxy.store.sqlite import SqliteStore
from kzproxy.store.store import Conflict, Delete, Put
from tests.authentication.manual_clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kept.db"


@pytest.fixture
async def store(path: Path, clock: ManualClock) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore.open(path, clock)
    yield opened
    await opened.close()


@pytest.fixture
async def other(path: Path, clock: ManualClock, store: SqliteStore) -> AsyncIterator[SqliteStore]:
    """Another worker's, on the same file."""
    opened = SqliteStore.open(path, clock)
    yield opened
    await opened.close()


def put(key: str = "a", value: bytes = b"1", **others: object) -> Put:
    return Put(kind="thing", key=key, value=value, **others)  # type: ignore[arg-type]


async def test_what_is_written_is_there_for_every_worker(store: SqliteStore, other: SqliteStore):
    revision = await store.write(put())
    found = await other.get("thing", "a")
    assert found is not None
    assert (found.value, found.revision) == (b"1", revision)


async def test_what_is_written_outlives_the_process(path: Path, clock: ManualClock):
    first = SqliteStore.open(path, clock)
    await first.write(put())
    await first.close()
    second = SqliteStore.open(path, clock)
    assert await second.get("thing", "a") is not None
    await second.close()


async def test_the_file_is_its_owners_alone(store: SqliteStore, path: Path):
    await store.write(put())
    for file in path.parent.glob("kept.db*"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_what_was_written_is_on_the_disk_and_nobody_who_reads_holds_it_up(
    store: SqliteStore, other: SqliteStore
):
    """A revocation that was answered for is there after a power cut."""
    for each in (store, other):
        asked = each._connection.execute
        assert asked("PRAGMA synchronous").fetchone() == (2,)  # FULL
        assert asked("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_entries_are_of_one_kind_by_key(store: SqliteStore):
    await store.write(put("b"), put("a"), Put(kind="other", key="c", value=b"3"))
    assert [entry.key for entry in await store.entries("thing")] == ["a", "b"]


async def test_a_write_is_all_or_nothing(store: SqliteStore):
    await store.write(put("a"))
    with pytest.raises(Conflict):
        await store.write(put("b"), put("a", expected=None))
    assert await store.get("thing", "b") is None


@pytest.mark.parametrize("wrong", [None, 99])
async def test_what_was_not_expected_is_a_conflict(store: SqliteStore, wrong: int | None):
    await store.write(put(value=b"1"))
    with pytest.raises(Conflict):
        await store.write(put(value=b"2", expected=wrong))
    with pytest.raises(Conflict):
        await store.write(Delete(kind="thing", key="a", expected=99))
    found = await store.get("thing", "a")
    assert found is not None
    assert found.value == b"1"


async def test_of_two_who_change_the_same_one_wins(store: SqliteStore, other: SqliteStore):
    revision = await store.write(put())
    results = await asyncio.gather(
        store.write(put(value=b"2", expected=revision)),
        other.write(put(value=b"3", expected=revision)),
        return_exceptions=True,
    )
    assert [type(result) for result in results].count(Conflict) == 1


async def test_changes_are_told_in_order_once_for_each_entry(
    store: SqliteStore, other: SqliteStore
):
    start = await store.revision()
    await store.write(put("a"))
    await store.write(put("b"))
    last = await store.write(put("a", b"2"))
    found = await other.changes(start)
    assert [(change.key, change.entry and change.entry.value) for change in found.changes] == [
        ("b", b"1"),
        ("a", b"2"),
    ]
    assert found.revision == last
    assert (await other.changes(last)).changes == ()


async def test_a_deletion_is_a_change(store: SqliteStore, other: SqliteStore):
    start = await store.write(put())
    await store.write(Delete(kind="thing", key="a"))
    (change,) = (await other.changes(start)).changes
    assert change.entry is None
    assert await other.get("thing", "a") is None


async def test_the_deletion_of_nothing_is_none(store: SqliteStore):
    start = await store.revision()
    await store.write(Delete(kind="thing", key="a"))
    assert (await store.changes(start)).changes == ()


async def test_many_changes_come_in_parts(store: SqliteStore):
    await store.write(*(put(str(number)) for number in range(25)))
    seen, after = set(), 0
    while found := await store.changes(after, limit=10):
        if not found.changes:
            break
        seen |= {change.key for change in found.changes}
        after = found.revision
    assert len(seen) == 25


async def test_whoever_is_too_far_behind_is_told_so(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sqlite, "KEPT_CHANGES", 3)
    start = await store.write(put("first"))
    for number in range(5):
        await store.write(put(str(number)))
    found = await store.changes(start)
    assert found.gap
    assert found.revision == await store.revision()


async def test_whoever_lacks_a_single_change_that_is_kept_no_longer_is_told_so(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
):
    """A revocation may be the one; whoever lacks none of those reads nothing anew."""
    monkeypatch.setattr(sqlite, "KEPT_CHANGES", 3)
    revisions = [await store.write(put(str(number))) for number in range(6)]
    assert (await store.changes(revisions[1])).gap
    found = await store.changes(revisions[2])
    assert not found.gap
    assert [change.revision for change in found.changes] == revisions[3:]


async def test_a_revision_is_never_given_twice(store: SqliteStore):
    first = await store.write(put())
    await store.write(Delete(kind="thing", key="a"))
    assert await store.write(put()) > first + 1


async def test_what_has_expired_is_not_there(store: SqliteStore, clock: ManualClock):
    await store.write(put(expires_at=clock.now() + timedelta(minutes=1)))
    assert await store.get("thing", "a") is not None
    clock.advance(timedelta(minutes=1))
    assert await store.get("thing", "a") is None
    assert await store.entries("thing") == ()


async def test_what_has_expired_may_be_put_as_new(store: SqliteStore, clock: ManualClock):
    await store.write(put(expires_at=clock.now() + timedelta(minutes=1)))
    clock.advance(timedelta(minutes=1))
    await store.write(put(value=b"2", expected=None))
    found = await store.get("thing", "a")
    assert found is not None
    assert found.value == b"2"


async def test_a_sweep_deletes_what_has_expired_and_tells(store: SqliteStore, clock: ManualClock):
    await store.write(put("b"))
    start = await store.write(put("a", expires_at=clock.now() + timedelta(minutes=1)))
    clock.advance(timedelta(minutes=2))
    assert await store.sweep() == 1
    (change,) = (await store.changes(start)).changes
    assert (change.key, change.entry) == ("a", None)


async def test_one_at_a_time_holds_a_lease(
    store: SqliteStore, other: SqliteStore, clock: ManualClock
):
    assert await store.hold("work", "one", 30)
    assert not await other.hold("work", "two", 30)
    assert await store.hold("work", "one", 30)
    clock.advance(timedelta(seconds=30))
    assert await other.hold("work", "two", 30)
    assert not await store.hold("work", "one", 30)


async def test_a_lease_that_a_clock_was_ahead_for_lasts_no_longer_than_any(
    store: SqliteStore, other: SqliteStore, clock: ManualClock
):
    clock.jump(timedelta(hours=3))
    assert await store.hold("work", "one", 30)
    clock.jump(-timedelta(hours=3))
    for _ in range(3):
        assert not await other.hold("work", "two", 30)
        clock.advance(timedelta(seconds=10))
    assert await other.hold("work", "two", 30)
    assert not await store.hold("work", "one", 30)


async def test_one_whose_holder_lives_is_not_taken_from_it(
    store: SqliteStore, other: SqliteStore, clock: ManualClock
):
    clock.jump(timedelta(hours=3))
    assert await store.hold("work", "one", 30)
    clock.jump(-timedelta(hours=2))
    assert not await other.hold("work", "two", 30)
    clock.advance(timedelta(seconds=10))
    assert await store.hold("work", "one", 30)  # by a clock that is still ahead
    clock.jump(-timedelta(hours=1))
    assert not await other.hold("work", "two", 30)
    clock.advance(timedelta(seconds=25))
    assert not await other.hold("work", "two", 30)
    assert await store.hold("work", "one", 30)


async def test_one_that_is_given_up_is_anothers_whatever_the_clock_says(
    store: SqliteStore, other: SqliteStore, clock: ManualClock
):
    clock.jump(timedelta(hours=3))
    assert await store.hold("work", "one", 30)
    await other.let_go("work", "two")
    assert not await other.hold("work", "two", 30)
    await store.let_go("work", "one")
    clock.jump(-timedelta(hours=3))
    assert await other.hold("work", "two", 30)


async def test_a_worker_killed_in_a_write_leaves_nothing_of_it(path: Path, clock: ManualClock):
    """As ``kill -9`` does: the connection goes without a word in the middle of a transaction."""
    store = SqliteStore.open(path, clock)
    await store.write(put())
    dying = sqlite3.connect(path, isolation_level=None)
    dying.execute("BEGIN IMMEDIATE")
    dying.execute("DELETE FROM entries")
    dying.close()
    assert await store.get("thing", "a") is not None
    await store.close()


async def test_a_store_that_stays_locked_is_unavailable(
    path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sqlite, "_BUSY_SECONDS", 0.01)
    store = SqliteStore.open(path, clock)
    holding = sqlite3.connect(path, isolation_level=None)
    holding.execute("BEGIN IMMEDIATE")
    with pytest.raises(ServiceUnavailable):
        await store.write(put())
    holding.execute("ROLLBACK")
    holding.close()
    await store.write(put())
    await store.close()


def test_a_file_that_is_no_store_is_refused(path: Path, clock: ManualClock):
    path.write_bytes(b"not a database, but long enough to look into" * 100)
    with pytest.raises(OSError, match="cannot be used as a store"):
        SqliteStore.open(path, clock)


def test_a_store_of_a_later_version_is_refused(path: Path, clock: ManualClock):
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(OSError, match="version is 99"):
        SqliteStore.open(path, clock)


async def test_a_commit_that_fails_leaves_nothing_behind(store: SqliteStore, other: SqliteStore):
    # A disk may fail at the very end of a write, too.
    asked = store._connection.set_authorizer

    def refuse_commit(action: int, what: str | None, *_: object) -> int:
        is_commit = action == sqlite3.SQLITE_TRANSACTION and what == "COMMIT"
        return sqlite3.SQLITE_DENY if is_commit else sqlite3.SQLITE_OK

    asked(refuse_commit)
    with pytest.raises(ServiceUnavailable):
        await store.write(put(value=b"never written"))
    asked(None)
    assert await store.get("thing", "a") is None
    await store.write(put(value=b"2"))
    found = await other.get("thing", "a")
    assert found is not None
    assert found.value == b"2"


async def test_a_disk_that_is_full_is_told_until_something_is_written_again(
    store: SqliteStore, path: Path
) -> None:
    """What is kept can still be read then, so that nothing else tells of it."""
    await store.write(put())
    assert not store.unwritable
    with no_longer_than(path.with_name(f"{path.name}-wal").stat().st_size):
        with pytest.raises(ServiceUnavailable):
            await store.write(put(value=b"x" * (1 << 20)))
        assert store.unwritable
        assert await store.get("thing", "a")
        assert await store.sweep() == 0
        assert store.unwritable, "nothing was written"
    await store.write(put(value=b"2"))

    assert not store.unwritable


@contextmanager
def no_longer_than(size_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond; to SQLite the same as a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
