import os
import subprocess
import sys
from pathlib import Path

import pytest

SESSION = """
import pytest

@pytest.mark.cluster
{decorator}
def test_of_the_cluster(): pass

def test_of_something_else(): pass
"""

TWO_PROCESSES = ("--numprocesses", "2")
ROOT = Path(__file__).resolve().parents[2]


def session(directory: Path, *arguments: str, decorator: str = "", ci: str = ""):
    """Run a small pytest session with the plugin, and return it."""
    (directory / "test_it.py").write_text(SESSION.format(decorator=decorator))
    (directory / "pytest.ini").write_text("[pytest]\nmarkers = cluster\n")
    command = [sys.executable, "-m", "pytest", "-p", "tests.cluster.census", *arguments]
    return subprocess.run(
        command,
        cwd=directory,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "CI": ci},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_session_counts_its_cluster_tests(tmp_path: Path):
    done = session(tmp_path, "--require-cluster")
    assert done.returncode == 0
    assert "cluster tests: 1 of 1 ran" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "ci"), [(["--require-cluster"], ""), ([], "true")], ids=["option", "CI"]
)
@pytest.mark.parametrize("how", ["skipped", "deselected"])
def test_a_session_that_requires_cluster_tests_fails_where_none_ran(
    tmp_path: Path, how: str, arguments: list[str], ci: str
):
    if how == "skipped":
        done = session(tmp_path, *arguments, ci=ci, decorator="@pytest.mark.skip")
    else:
        done = session(tmp_path, "-k", "else", *arguments, ci=ci)
    assert done.returncode == 1
    assert "FAILED: cluster tests are required here" in done.stdout


def test_processes_that_share_the_tests_are_counted_together(tmp_path: Path):
    done = session(tmp_path, "--require-cluster", *TWO_PROCESSES)
    assert done.returncode == 0
    assert "cluster tests: 1 of 1 ran" in done.stdout


def test_processes_that_share_the_tests_fail_where_none_ran_in_any(tmp_path: Path):
    skipped = session(tmp_path, "--require-cluster", *TWO_PROCESSES, decorator="@pytest.mark.skip")
    deselected = session(tmp_path, "--require-cluster", *TWO_PROCESSES, "-k", "else")
    for done in (skipped, deselected):
        assert done.returncode == 1
        assert "FAILED: cluster tests are required here" in done.stdout


def test_a_session_elsewhere_does_not_fail_for_lack_of_them(tmp_path: Path):
    done = session(tmp_path, "-k", "else")
    assert done.returncode == 0
    assert "cluster tests: 0 of 1 ran" in done.stdout


def test_cluster_tests_are_left_out_only_aloud(tmp_path: Path):
    done = session(tmp_path, "--without-cluster", ci="true")
    assert done.returncode == 0
    assert "cluster tests were left out" in done.stdout
