from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.authentication.manual_clock import ManualClock
from tests.devices.kept_devices import KeptDevices


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest_asyncio.fixture
async def kept(tmp_path: Path, clock: ManualClock) -> AsyncIterator[KeptDevices]:
    worker = KeptDevices(tmp_path / "kept.db", clock)
    await worker.following.start()
    yield worker
    await worker.close()
