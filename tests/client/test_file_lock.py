"""One process at a time."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from kzproxy.client.failure import ClientFailure
from kzproxy.client.file_lock import FileLock
from kzproxy.clock.system import SystemClock
from tests.client.plugin_runs import ROOT

HOLD = """
import sys
from kzproxy.client.file_lock import FileLock
from kzproxy.clock.system import SystemClock
with FileLock(sys.argv[1], SystemClock()).held(0, lambda: None):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


def nothing() -> None:
    """Say nothing about waiting."""


def test_a_lock_given_back_can_be_had_again(path: Path) -> None:
    for _ in range(2):
        with FileLock(str(path), SystemClock()).held(0, nothing):
            assert path.stat().st_mode & 0o777 == 0o600


def test_a_lock_held_by_another_process_is_waited_for_in_vain(path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=-1, stdout=-1, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        lock = FileLock(str(path), SystemClock())
        with (
            pytest.raises(ClientFailure, match="another process has been signing in"),
            lock.held(0.1, nothing),
        ):
            pytest.fail("the lock is held")
        holder.kill()
        holder.wait()
        with lock.held(5, nothing):
            """A holder that was killed gives it back."""


def test_a_lock_file_that_is_a_link_is_refused(path: Path, tmp_path: Path) -> None:
    path.symlink_to(tmp_path / "elsewhere")
    with (
        pytest.raises(ClientFailure, match="cannot be opened"),
        FileLock(str(path), SystemClock()).held(0, nothing),
    ):
        pytest.fail("the lock is a link")


def test_a_file_system_without_locks_is_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a home directory on NFS may be."""

    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", flock)
    said = f"{path} cannot be locked: No locks available; name a directory of this machine's own"
    with (
        pytest.raises(ClientFailure, match=said),
        FileLock(str(path), SystemClock()).held(0, nothing),
    ):
        pytest.fail("nothing is locked")
