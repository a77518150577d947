import pytest

from tests.client.posture.machines import FixtureTree


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    return FixtureTree(root)
