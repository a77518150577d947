"""What the tests of the administrator share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.administrator.signal_world import Worker, worker_of
from tests.authentication.manual_clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def worker(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Worker]:
    made = await worker_of(tmp_path, clock)
    yield made
    await made.close()
