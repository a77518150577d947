"""One demo in one directory, for its owner alone, and not ended under those who use it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kzproxy.demo.directory import DemoDirectory, RunningDemo, default_directory
from kzproxy.demo.failure import DemoFailure

RUNNING = RunningDemo(pid=4711, kubectl="/somewhere/kubectl", cluster="")


@pytest.fixture
def directory(tmp_path) -> DemoDirectory:
    made = DemoDirectory(tmp_path / "demo")
    made.prepare()
    return made


def test_it_is_made_for_its_owner_alone(directory):
    assert directory.root.stat().st_mode & 0o777 == 0o700


def test_one_that_is_open_to_others_is_refused_with_the_mend(directory):
    directory.root.chmod(0o755)
    with pytest.raises(DemoFailure, match="chmod 700"):
        directory.prepare()


def test_a_file_in_its_place_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DemoFailure, match="cannot be used"):
        DemoDirectory(tmp_path / "file").prepare()


def test_a_second_demo_is_told_the_pid_of_the_first(directory):
    told = rf"already runs in .*\(pid {os.getpid()}\)"
    with directory.owned(), pytest.raises(DemoFailure, match=told), directory.owned():
        pass
    with directory.owned():
        pass


def test_nothing_is_used_before_it_is_announced(directory):
    with directory.used() as found:
        assert found is None
    with directory.owned():
        with directory.used() as found:
            assert found is None
        directory.announce(RUNNING)
        with directory.used() as found:
            assert found == RUNNING
    with directory.used() as found:
        assert found is None


def test_what_a_killed_demo_left_is_not_believed(directory):
    program = (
        "import os, pathlib, sys\n"
        "from kzproxy.demo.directory import DemoDirectory, RunningDemo\n"
        "directory = DemoDirectory(pathlib.Path(sys.argv[1]))\n"
        "with directory.owned():\n"
        "    directory.announce(RunningDemo(pid=os.getpid(), kubectl='x', cluster=''))\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(directory.root)], check=False)
    assert done.returncode == -9
    assert (directory.root / "running.json").exists()
    with directory.used() as found:
        assert found is None
    with directory.owned(), directory.used() as found:
        assert found is None


def test_it_is_not_withdrawn_under_a_command_that_uses_it(directory):
    with directory.owned():
        directory.announce(RUNNING)
        with directory.used(), directory.used():
            assert not directory.withdraw_unless_used()
        assert directory.withdraw_unless_used()
        with directory.used() as found:
            assert found is None


def test_a_damaged_announcement_counts_as_none(directory):
    with directory.owned():
        for damaged in (b"", b"{}", b"[]", b'{"pid": "x", "kubectl": "y", "cluster": ""}'):
            (directory.root / "running.json").write_bytes(damaged)
            with directory.used() as found:
                assert found is None


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"XDG_STATE_HOME": "/state"}, "/state/kzproxy/demo"),
        ({"XDG_STATE_HOME": "relative"}, "~/.local/state/kzproxy/demo"),
        ({}, "~/.local/state/kzproxy/demo"),
    ],
)
def test_where_it_is_by_default(environment, expected):
    assert str(default_directory(environment)) == str(Path(expected).expanduser())
