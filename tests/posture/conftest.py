import pytest

from tests.authentication.manual_clock import ManualClock
from tests.posture.scene import Scene, opened


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
async def store(tmp_path, clock):
    store = opened(tmp_path, clock)
    yield store
    await store.close()


@pytest.fixture
async def scene(store, clock):
    scene = Scene(store, clock)
    await scene.following.start()
    return scene
