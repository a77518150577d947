"""What is written reaches the disk, whether anybody waits for that or not."""

import asyncio
import os
from datetime import timedelta
from pathlib import Path

from kzproxy.audit.chain import GENESIS
from kzproxy.audit.group_sync import GroupSync
from kzproxy.audit.sink import FileSink


class CountedSink(FileSink):
    syncs = 0

    def sync(self) -> None:
        super().sync()
        self.syncs += 1


async def test_after_a_failed_sync_and_a_new_file_reads_reach_the_disk_again(
    tmp_path: Path,
) -> None:
    """A pipe refuses fsync. What came while it was tried must not stand for all that follows."""
    reader, writer = os.pipe()
    broken = FileSink(writer, tmp_path / "broken", head=GENESIS, torn_bytes=0)
    syncs = GroupSync(broken, timeout=timedelta(seconds=5))
    waited_for: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    syncs.written([waited_for])
    syncs.written([])
    assert "cannot be made durable" in await waited_for

    sink = CountedSink.open(tmp_path / "log")
    syncs.replace(sink)
    syncs.written([])
    async with asyncio.timeout(30):  # when its time has come, and as long as a disk may take
        while not sink.syncs:
            await asyncio.sleep(0.01)
    syncs.stop(5)
    os.close(reader)


async def test_what_was_replaced_is_closed_with_the_rest(tmp_path: Path) -> None:
    """Its lock goes too, although the end came before the next sync was due."""
    moved = tmp_path / "moved"
    syncs = GroupSync(FileSink.open(moved), timeout=timedelta(seconds=5))
    syncs.replace(FileSink.open(tmp_path / "log"))
    syncs.stop(5)
    FileSink.open(moved).close()
