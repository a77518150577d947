"""Somebody's command is run as it would be without the demo, but for the cluster it meets."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from kzproxy.demo.command import CommandNotRun, command_environment, run_command
from kzproxy.demo.directory import DemoDirectory, RunningDemo
from kzproxy.demo.signals import Signals

RUNNING = RunningDemo(pid=1, kubectl="/built/kubectl", cluster="")


@pytest.fixture
def directory(tmp_path) -> DemoDirectory:
    directory = DemoDirectory(tmp_path / "demo")
    directory.prepare()
    return directory


def test_its_environment_leads_to_the_demo_and_keeps_the_rest(directory):
    given = {"PATH": "/usr/bin", "KUBECONFIG": "/mine", "EDITOR": "vi"}
    environment = command_environment(directory, RUNNING, "guest", given)
    first, rest = environment["PATH"].split(os.pathsep)
    assert environment["KUBECONFIG"] == str(directory.scripted_kubeconfig("guest"))
    assert (environment["EDITOR"], rest) == ("vi", "/usr/bin")
    # No etcd: that lies beside the real one.
    (link,) = Path(first).iterdir()
    assert (link.name, str(link.readlink())) == ("kubectl", "/built/kubectl")


def test_a_newer_kubectl_takes_the_place_of_the_last_one(directory):
    command_environment(directory, RUNNING, "guest", {})
    newer = RunningDemo(pid=1, kubectl="/newer/kubectl", cluster="")
    path = command_environment(directory, newer, "guest", {})["PATH"].split(os.pathsep)[0]
    assert str((Path(path) / "kubectl").readlink()) == "/newer/kubectl"


async def ran(*command: str) -> int:
    task = asyncio.current_task()
    assert task
    with Signals(task) as signals:
        return await run_command(command, os.environ, signals)


@pytest.mark.parametrize(
    ("program", "code"),
    [("raise SystemExit(7)", 7), ("pass", 0), ("import os; os.kill(os.getpid(), 9)", 137)],
)
async def test_its_exit_code_is_kept(program, code):
    assert await ran(sys.executable, "-c", program) == code


@pytest.mark.parametrize(("name", "code"), [("missing", 127), ("not-executable", 126)])
async def test_one_that_cannot_be_run_is_named(tmp_path, name, code):
    (tmp_path / "not-executable").touch()
    with pytest.raises(CommandNotRun, match=name) as caught:
        await ran(str(tmp_path / name))
    assert caught.value.code == code
