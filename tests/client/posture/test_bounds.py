"""Nothing hangs and nothing grows, whatever the machine has in place of what is looked for."""

import os
import threading
from pathlib import Path

import pytest

from kzproxy.client.posture import commands
from kzproxy.client.posture.bounded import in_time
from kzproxy.client.posture.commands import SystemCommands
from kzproxy.client.posture.finding import Unknowable
from kzproxy.client.posture.tree import Tree
from kzproxy.clock.system import SystemClock

# Only so that what hangs fails: how soon a thread has its turn is the machine's affair.
PATIENCE_SECONDS = 60


def test_a_job_that_hangs_costs_nothing_but_its_own_answer():
    hanging = threading.Event()
    jobs = {"hangs": hanging.wait, "answers": lambda: True}

    # Enough for the other's thread to have its turn, on whatever machine.
    told = in_time(jobs, SystemClock(), each_seconds=1.0, all_seconds=PATIENCE_SECONDS)
    hanging.set()

    assert told["answers"] is True
    assert str(told["hangs"]) == "it took too long to find out"


def test_all_jobs_together_have_a_bound_of_their_own():
    hanging = threading.Event()

    told = in_time({"hangs": hanging.wait}, SystemClock(), each_seconds=999, all_seconds=0.05)
    hanging.set()

    assert isinstance(told["hangs"], Unknowable)


def test_a_job_that_fails_costs_nothing_but_its_own_answer():
    def fails():
        raise RecursionError

    bounds = {"each_seconds": PATIENCE_SECONDS, "all_seconds": PATIENCE_SECONDS}
    told = in_time({"fails": fails, "answers": lambda: 1}, SystemClock(), **bounds)

    assert str(told["fails"]) == "looking for it failed (RecursionError)"
    assert told["answers"] == 1


def test_a_program_that_does_not_answer_is_ended():
    with pytest.raises(Unknowable, match="did not answer in time"):
        SystemCommands({}, SystemClock()).run("sleep", "60")


def test_a_program_that_talks_without_end_is_ended():
    with pytest.raises(Unknowable, match="did not answer in time"):
        SystemCommands({}, SystemClock()).run("yes")


def test_a_program_is_asked_without_the_users_variables_and_with_its_session(monkeypatch):
    monkeypatch.setattr(commands, "TIMEOUT_SECONDS", PATIENCE_SECONDS)
    environment = {"LD_PRELOAD": "/evil.so", "PATH": "/evil", "XDG_RUNTIME_DIR": "/run/user/1"}

    said = SystemCommands(environment, SystemClock()).run("env")

    assert said.code == 0
    lines = set(said.output.split())
    assert "XDG_RUNTIME_DIR=/run/user/1" in lines
    assert "LC_ALL=C" in lines
    assert not [line for line in lines if "evil" in line]


def test_a_program_that_is_not_there_is_said_to_be_missing():
    with pytest.raises(Unknowable, match="there is no program kzproxy-no-such-program"):
        SystemCommands({}, SystemClock()).run("kzproxy-no-such-program")


def test_a_huge_file_is_not_read_whole(tree):
    place = tree.root / "huge"
    with place.open("wb") as file:
        file.truncate(2**40)

    with pytest.raises(Unknowable, match="larger than 65536 bytes"):
        Tree(tree.root).text("/huge")


def test_a_file_without_end_is_not_read_for_ever():
    with pytest.raises(Unknowable, match="no ordinary file"):
        Tree(Path("/")).text("/dev/zero")


def test_a_pipe_is_not_waited_for(tree):
    os.mkfifo(tree.root / "pipe")

    with pytest.raises(Unknowable, match="no ordinary file"):
        Tree(tree.root).text("/pipe")


def test_a_directory_with_too_many_names_is_not_listed(tree):
    for number in range(4097):
        (tree.root / str(number)).touch()

    with pytest.raises(Unknowable, match="more than 4096 names"):
        Tree(tree.root).names("/")


@pytest.mark.parametrize("path", ["/x\0y", "/" + "n" * 5000])
def test_a_path_that_cannot_be_cannot_be_read(tree, path):
    with pytest.raises(Unknowable):
        Tree(tree.root).text(path)
    assert not Tree(tree.root).exists(path)
    with pytest.raises(Unknowable):
        Tree(tree.root).changed_at(path)
