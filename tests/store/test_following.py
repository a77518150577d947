"""Views in memory over the real SQLite store."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from kzproxy.errors.kinds import ServiceUnavailable
from kzproxy.store import sqlite
from kzproxy.store.following import Following
from kzproxy.store.sqlite import SqliteStore
from kzproxy.store.store import Delete, Entry, Put
from tests.authentication.manual_clock import ManualClock


class Things:
    """A view that keeps values."""

    kind = "thing"

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.fails = 0

    def _fail(self) -> None:
        """Fail as often as ``fails`` says."""
        self.fails -= 1
        if self.fails >= 0:
            raise RuntimeError("a bug")

    def replaced(self, entries: Sequence[Entry]) -> None:
        self._fail()
        self.values = {entry.key: entry.value for entry in entries}

    def changed(self, key: str, entry: Entry | None) -> None:
        self._fail()
        if key == "bug":
            raise RuntimeError("a bug")
        self.values.pop(key, None)
        if entry is not None:
            self.values[key] = entry.value


class FailingStore(SqliteStore):
    """A store on a disk that may fail while everything is read anew."""

    fails = False

    async def entries(self, kind: str) -> tuple[Entry, ...]:
        if self.fails:
            raise ServiceUnavailable("no store", detail="disk I/O error")
        return await super().entries(kind)


class Worker:
    """What one worker has: its own store on the file, and a view."""

    def __init__(self, path: Path, clock: ManualClock) -> None:
        self.store = FailingStore.open(path, clock)
        self.following = Following(self.store, clock)
        self.things = Things()
        self.following.follow(self.things)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def workers(tmp_path: Path, clock: ManualClock):
    made = [Worker(tmp_path / "kept.db", clock) for _ in range(2)]
    for worker in made:
        await worker.following.start()
    yield made
    for worker in made:
        await worker.store.close()


def put(key: str, value: bytes = b"1") -> Put:
    return Put(kind="thing", key=key, value=value)


async def test_a_write_is_known_here_when_it_returns(workers: list[Worker]):
    await workers[0].following.write(put("a"))
    assert workers[0].things.values == {"a": b"1"}


async def test_a_write_at_another_worker_is_known_soon(workers: list[Worker]):
    one, two = workers
    following = asyncio.create_task(two.following.run())
    await one.following.write(put("a"), put("b"))
    await one.following.write(Delete(kind="thing", key="a"))
    async with asyncio.timeout(10):
        while two.things.values != {"b": b"1"}:
            await asyncio.sleep(0.01)
    following.cancel()


async def test_other_kinds_are_not_told(workers: list[Worker]):
    await workers[0].following.write(Put(kind="other", key="a", value=b"1"))
    assert workers[0].things.values == {}


async def test_whoever_is_far_behind_reads_everything_anew(
    workers: list[Worker], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sqlite, "KEPT_CHANGES", 3)
    one, two = workers
    await one.following.write(put("gone"))
    await two.following.catch_up()
    await one.following.write(Delete(kind="thing", key="gone"))
    for number in range(10):
        await one.following.write(put(str(number)))
    await two.following.catch_up()
    assert two.things.values == one.things.values
    assert "gone" not in two.things.values


async def test_what_was_missed_is_read_anew_until_that_succeeds(
    workers: list[Worker], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sqlite, "KEPT_CHANGES", 3)
    one, two = workers
    await one.following.write(put("gone"))
    await two.following.catch_up()
    await one.following.write(Delete(kind="thing", key="gone"))
    for number in range(10):
        await one.following.write(put(str(number)))
    two.store.fails = True
    with pytest.raises(ServiceUnavailable):
        await two.following.catch_up()
    two.store.fails = False
    await two.following.catch_up()
    assert "gone" not in two.things.values
    assert two.things.values == one.things.values


async def test_a_view_that_fails_keeps_nothing_from_the_others(workers: list[Worker]):
    worker = workers[0]
    await worker.following.write(put("bug"), put("a"))
    assert worker.things.values["a"] == b"1"


async def test_what_a_view_did_not_take_in_is_told_again_with_everything(workers: list[Worker]):
    worker = workers[0]
    worker.things.fails = 1
    await worker.following.write(put("a"))
    assert worker.things.values == {"a": b"1"}
    assert worker.following.problem() is None


async def test_nobody_can_tell_while_a_view_does_not_take_everything_in(workers: list[Worker]):
    one, two = workers
    one.things.fails = 2
    await one.following.write(put("a"))
    assert "each thing could not be taken in" in str(one.following.problem())
    await two.following.catch_up()
    assert two.following.problem() is None
    await one.following.catch_up()
    assert one.following.problem() is None
    assert one.things.values == {"a": b"1"}


async def test_a_view_that_fails_at_the_start_ends_nobody(tmp_path: Path, clock: ManualClock):
    worker = Worker(tmp_path / "kept.db", clock)
    worker.things.fails = 1
    await worker.following.start()
    assert worker.following.problem() is not None
    await worker.following.catch_up()
    assert worker.following.problem() is None
    await worker.store.close()


async def test_what_is_known_counts_for_fifteen_seconds_without_a_word(
    workers: list[Worker], clock: ManualClock
):
    worker = workers[0]
    assert worker.following.problem() is None
    clock.advance(timedelta(seconds=15))
    assert worker.following.problem() is None
    clock.advance(timedelta(seconds=1))
    assert "not been heard of for 16 s" in str(worker.following.problem())
    await worker.following.catch_up()
    assert worker.following.problem() is None


async def test_nothing_counts_before_it_is_read(tmp_path: Path, clock: ManualClock):
    worker = Worker(tmp_path / "kept.db", clock)
    assert worker.following.problem()
    await worker.store.close()


def over_in(hours: int, clock: ManualClock, key: str) -> Put:
    ends = clock.now() + timedelta(hours=hours)
    return Put(kind="thing", key=key, value=b"1", expires_at=ends)


async def test_what_was_over_by_a_clock_that_was_ahead_is_known_once_that_is_right_again(
    workers: list[Worker], tmp_path: Path, clock: ManualClock
):
    one, two = workers
    await one.following.write(over_in(1, clock, "a"))
    clock.jump(timedelta(hours=2))
    await two.following.start()  # as a worker does that begins now
    assert two.things.values == {}
    clock.jump(-timedelta(hours=2))
    await two.following.catch_up()
    assert two.things.values == {"a": b"1"}


async def test_what_is_over_is_deleted(workers: list[Worker], clock: ManualClock):
    one, two = workers
    start = await one.store.write(over_in(0, clock, "a"))
    following = asyncio.create_task(two.following.run())
    await asyncio.sleep(0)
    clock.advance(timedelta(minutes=11))
    async with asyncio.timeout(10):
        while not (changes := (await one.store.changes(start)).changes):
            await asyncio.sleep(0.01)
    assert [(change.key, change.entry) for change in changes] == [("a", None)]
    following.cancel()


async def test_nothing_is_deleted_by_a_clock_that_has_just_been_set_ahead(
    workers: list[Worker], clock: ManualClock
):
    one, two = workers
    await one.store.write(over_in(24, clock, "a"))
    following = asyncio.create_task(two.following.run())
    await asyncio.sleep(0)
    clock.advance(timedelta(minutes=9))
    clock.jump(timedelta(days=8))
    for _ in range(3):
        clock.advance(timedelta(minutes=2))
        await asyncio.sleep(0.2)
    clock.jump(-timedelta(days=8))
    following.cancel()
    assert await one.store.get("thing", "a") is not None
