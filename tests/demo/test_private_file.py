import os
from pathlib import Path

import pytest

from kzproxy.demo.private_file import write_private_file


@pytest.fixture
def _open_umask():
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_open_umask")
def test_a_private_file_is_its_owners_alone_whatever_was_there(tmp_path: Path):
    path = tmp_path / "token"
    path.touch(mode=0o666)
    write_private_file(path, b"secret")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"secret", 0o600)
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_replaced_and_not_followed(tmp_path: Path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"mine")
    (tmp_path / "token").symlink_to(elsewhere)
    write_private_file(tmp_path / "token", b"secret")
    assert elsewhere.read_bytes() == b"mine"
