"""The build script, run as a newcomer runs it, with a stand-in for Go."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bench import programs
from kzproxy.client.token_cache import cache_directory
from kzproxy.demo.binaries import Binaries
from kzproxy.demo.component import ControlPlaneError
from soak import run
from tests.cluster import build

SCRIPT = Path(build.__file__)

# A stand-in for the Go toolchain: it says a version, and builds by writing a line into its output.
# What it is called with goes to ``calls``.
GO = """#!/bin/sh
case "$1" in
env)
  shift
  for name; do
    case "$name" in
    GOVERSION) echo go{version} ;;
    GOOS) echo linux ;;
    GOARCH) echo amd64 ;;
    esac
  done ;;
build)
  echo "$@" >> {calls}
  while [ $# -gt 1 ]; do
    if [ "$1" = -o ]; then sleep {seconds}; echo built > "$2"; fi
    shift
  done
  exit {code} ;;
esac
"""


class Newcomer:
    """Runs the script with a Go of some version, and a cache of its own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.cache = directory / "cache"
        self.calls = directory / "calls"

    def install_go(self, version: str, *, code: int = 0, seconds: float = 0) -> None:
        path = self._directory / "go"
        path.write_text(GO.format(version=version, calls=self.calls, code=code, seconds=seconds))
        path.chmod(0o755)

    def build(self) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, str(SCRIPT)],
            env={
                "PATH": f"{self._directory}:/bin:/usr/bin",
                "HOME": str(self._directory),
                "KZPROXY_CONTROLPLANE_CACHE": str(self.cache),
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def builds(self) -> int:
        return len(self.calls.read_text().splitlines()) if self.calls.exists() else 0


@pytest.fixture
def newcomer(tmp_path: Path) -> Newcomer:
    return Newcomer(tmp_path)


def test_it_builds_once_and_prints_the_directory_last(newcomer: Newcomer):
    newcomer.install_go("1.26.0")
    first, second = newcomer.build(), newcomer.build()
    assert (first.returncode, second.returncode) == (0, 0)
    directory = Path(first.stdout.splitlines()[-1])
    assert second.stdout == f"{directory}\n"
    assert newcomer.builds() == 2, "one binary of the components, and kubectl"
    assert (directory / "nodelet").read_text() == "built\n"
    assert (newcomer.cache / "current").resolve() == directory
    assert "building" in first.stderr
    assert second.stderr == ""


def test_another_go_makes_another_build(newcomer: Newcomer):
    newcomer.install_go("1.26.0")
    first = newcomer.build().stdout
    newcomer.install_go("1.27.1")
    assert newcomer.build().stdout != first


def test_two_at_once_build_once(newcomer: Newcomer):
    newcomer.install_go("1.26.0", seconds=0.3)
    printed: list[str] = []
    threads = [
        threading.Thread(target=lambda: printed.append(newcomer.build().stdout)) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(printed)) == 1
    assert newcomer.builds() == 2


def test_a_build_that_failed_is_not_taken_for_whole(newcomer: Newcomer):
    newcomer.install_go("1.26.0", code=1)
    failed = newcomer.build()
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "go build . failed" in failed.stderr
    newcomer.install_go("1.26.0")
    assert newcomer.build().returncode == 0
    assert newcomer.builds() == 3


def test_a_missing_go_is_one_clear_line(tmp_path: Path):
    bare = tmp_path / "bin"
    bare.mkdir()
    done = subprocess.run(
        [sys.executable, str(SCRIPT)],
        env={"PATH": str(bare), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert "Go 1.26.0 or newer is needed" in done.stderr


@pytest.mark.parametrize("version", ["1.25.9", "1.9"])
def test_an_old_go_is_one_clear_line(newcomer: Newcomer, version: str):
    newcomer.install_go(version)
    done = newcomer.build()
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert f"found {version}" in done.stderr
    assert newcomer.builds() == 0


def test_every_source_changes_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    sources = {path.relative_to(build.MODULE).as_posix() for path in build.sources()}
    assert {"go.mod", "go.sum", "main.go", "nodelet/exec.go"} <= sources
    copy = tmp_path / "controlplane"
    copy.mkdir()
    for name in ("go.mod", "go.sum", "main.go"):
        (copy / name).write_bytes((build.MODULE / name).read_bytes())
    monkeypatch.setattr(build, "MODULE", copy)
    before = build.key("1.26.0")
    assert build.key("1.26.0") == before
    (copy / "main.go").write_text("package main")
    assert build.key("1.26.0") != before


@pytest.mark.cluster
def test_the_go_sources_are_formatted_and_pass_their_tests():
    gofmt = subprocess.run(
        ["gofmt", "-l", "."], cwd=build.MODULE, capture_output=True, text=True, check=True
    )
    assert gofmt.stdout == ""
    # With the build's own flags, so that its cache serves. No vet: it would look at all of
    # Kubernetes first, two minutes once.
    tests = ["./nodelet", "./requestinfo"]
    done = subprocess.run(
        ["go", "test", "-vet=off", *build.build_flags(), *tests],
        cwd=build.MODULE,
        env={**os.environ, **build.go_environment()},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_build_or_run_makes_the_directory_of_the_users_sign_ins(tmp_path, monkeypatch):
    """The client refuses it where others may read it, as what a build makes."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KZPROXY_CONTROLPLANE_CACHE", raising=False)
    monkeypatch.setattr(sys, "argv", ["soak"])
    of_client = Path(cache_directory({}))
    assert of_client.is_relative_to(tmp_path)
    kept = [build.cache_directory(), programs.cache_directory(), run._options().directory]
    for directory in kept:
        assert directory.is_relative_to(tmp_path)
        assert of_client not in (directory, *directory.parents)
    with pytest.raises(ControlPlaneError) as nothing:
        Binaries.find({})
    assert str(kept[0] / "current") in str(nothing.value)
