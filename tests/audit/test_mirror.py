"""The copy on standard output goes on by itself once it can be written again."""

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kzproxy.audit.mirror import MAX_BACKLOG_BYTES, Mirror
from tests.audit.faults import no_file_grows_over

BATCH = b'{"seq":%d,"padding":"' + b"x" * 65_000 + b'"}\n'
MORE_THAN_IS_KEPT = MAX_BACKLOG_BYTES // len(BATCH) + 10


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "copy"


@pytest.fixture
def descriptor(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    yield descriptor
    os.close(descriptor)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


def copied(path: Path) -> list[int]:
    return [json.loads(line)["seq"] for line in path.read_bytes().splitlines()]


@pytest.mark.parametrize("count", [3, MORE_THAN_IS_KEPT], ids=["some", "too much"])
async def test_what_is_kept_is_written_when_there_is_room_without_another_record(
    path: Path, descriptor: int, count: int
) -> None:
    mirror = Mirror(descriptor)
    with no_file_grows_over(100):  # less than a line
        for seq in range(count):
            mirror.offer(BATCH % seq, 1)
        await asyncio.sleep(1.5)
        assert path.stat().st_size == 100
    kept = count - mirror.dropped
    await until(lambda: path.stat().st_size == sum(len(BATCH % seq) for seq in range(kept)))
    assert copied(path) == list(range(kept))
    mirror.stop(5)


async def test_lines_are_copied_again_after_too_many_could_not_be_written(
    path: Path, descriptor: int, caplog: pytest.LogCaptureFixture
) -> None:
    mirror = Mirror(descriptor)
    with no_file_grows_over(0):
        for seq in range(MORE_THAN_IS_KEPT):
            mirror.offer(BATCH % seq, 1)
        await asyncio.sleep(0.1)
    dropped = mirror.dropped
    assert dropped > 0
    await until(lambda: path.stat().st_size > MAX_BACKLOG_BYTES - len(BATCH))
    for seq in range(1000, 1003):
        mirror.offer(BATCH % seq, 1)
    mirror.stop(5)
    assert mirror.dropped == dropped
    assert copied(path)[-3:] == [1000, 1001, 1002]
    assert f"lacks {dropped} lines" in caplog.text


async def test_a_reader_that_has_gone_costs_the_bound_and_no_more() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    mirror = Mirror(writer)
    for seq in range(MORE_THAN_IS_KEPT):
        mirror.offer(BATCH % seq, 1)
    await asyncio.sleep(1.2)  # it has been tried again
    before = mirror.dropped
    assert before > 0
    mirror.offer(BATCH % 1000, 1)
    assert mirror.dropped == before + 1
    mirror.stop(5)
    os.close(writer)


async def test_nothing_is_tried_again_after_the_end(path: Path, descriptor: int) -> None:
    mirror = Mirror(descriptor)
    with no_file_grows_over(0):
        mirror.offer(BATCH % 1, 1)
        await asyncio.sleep(0.1)
        mirror.offer(BATCH % 2, 1)
        mirror.stop(5)
    await asyncio.sleep(1.2)
    assert path.read_bytes() == b""
