"""What transmitters say of their streams is known to all workers, and after a restart."""

from pathlib import Path

from kzproxy.administrator.signal_streams import KIND
from kzproxy.store.store import Put
from tests.administrator.signal_world import Worker, worker_of
from tests.authentication.manual_clock import ManualClock

NAMES = frozenset({"okta", "jamf"})


async def test_the_last_word_counts_at_every_worker(
    worker: Worker, tmp_path: Path, clock: ManualClock
) -> None:
    assert worker.streams.enabled(NAMES) == {}
    other = await worker_of(tmp_path, clock, 2)
    await worker.streams.note("okta", enabled=False)
    await other.kept.following.catch_up()
    assert other.streams.enabled(NAMES) == {("okta",): 0}
    await other.streams.note("okta", enabled=True)
    await other.streams.note("jamf", enabled=False)
    await other.close()
    await worker.kept.following.catch_up()
    assert worker.streams.enabled(NAMES) == {("okta",): 1, ("jamf",): 0}

    again = await worker_of(tmp_path, clock, 3)
    assert again.streams.enabled(NAMES) == {("okta",): 1, ("jamf",): 0}
    assert again.streams.enabled({"okta"}) == {("okta",): 1}, "one that is configured no longer"
    await again.close()


async def test_what_cannot_be_read_counts_as_one_that_is_not_sent(worker: Worker) -> None:
    await worker.streams.note("okta", enabled=True)
    await worker.kept.following.write(Put(kind=KIND, key="okta", value=b"{}"))
    assert worker.streams.enabled(NAMES) == {("okta",): 0}
    assert worker.kept.following.unreadable.counts() == {(KIND,): 1}
