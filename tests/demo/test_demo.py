"""``kzproxy demo``, as its user runs it, on a real cluster."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from kzproxy.demo.control_plane import ControlPlane
from kzproxy.demo.sample import WorkingHours, machine_zone
from tests.cluster.binaries import built_directory

pytestmark = pytest.mark.cluster

START_SECONDS = 120
STOP_SECONDS = 30
AUDIT_ID = r"audit id [0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# Nothing of the tester's own may lead anywhere, and nothing of it is to be used.
AMBIENT = {"KUBECONFIG": "/nonexistent/kubeconfig", "HTTPS_PROXY": "http://127.0.0.1:1"}


@dataclass(frozen=True)
class DemoCommand:
    """Runs ``kzproxy demo`` with its files in ``directory``."""

    directory: Path
    options: tuple[str, ...] = ()

    def arguments(self, *more: str) -> list[str]:
        program = [sys.executable, "-m", "kzproxy", "demo", "--dir", str(self.directory)]
        return [*program, *self.options, *more]

    def run(self, user: str, *command: str, given: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.arguments("--as", user, "--", *command),
            env=environment(),
            input=given,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )


def environment() -> Mapping[str, str]:
    return {**os.environ, **AMBIENT}


@contextmanager
def in_foreground(demo: DemoCommand) -> Iterator["subprocess.Popen[str]"]:
    """Run it until the block ends, which finds it ready."""
    built_directory()
    output, errors = demo.directory.with_suffix(".out"), demo.directory.with_suffix(".err")
    with output.open("w") as out, errors.open("w") as err:
        process = subprocess.Popen(demo.arguments(), env=environment(), stdout=out, stderr=err)
    try:
        deadline = time.monotonic() + START_SECONDS
        while "Decisions, as they fall:" not in output.read_text():
            assert process.poll() is None, errors.read_text()
            assert time.monotonic() < deadline, errors.read_text()
            time.sleep(0.1)
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(STOP_SECONDS)


def output_of(demo: DemoCommand) -> str:
    return demo.directory.with_suffix(".out").read_text()


def processes_of(demo: DemoCommand) -> dict[int, str]:
    """Return the processes whose command lines name the demo's directory."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if str(demo.directory) in words:
                found[int(entry.name)] = words
    return found


def hours_open() -> bool:
    return WorkingHours(zone_name=machine_zone(os.environ)).open_at(datetime.now(UTC))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoCommand]:
    """A demo that runs in the foreground, for all tests of this module."""
    demo = DemoCommand(tmp_path_factory.mktemp("demos") / "with a blank")
    before = hours_open()
    with in_foreground(demo):
        said = "open" if before else "closed"
        # Unless the hour struck meanwhile; later it may, and what was printed stays.
        assert before != hours_open() or f", {said} now." in output_of(demo)
        yield demo


def test_it_prints_three_commands_that_work_as_they_stand(demo):
    """Copied from the screen, but that the page agent stands where the browser would."""
    commands = re.findall(r"^  (\S*kubectl .*)$", output_of(demo), re.MULTILINE)
    assert len(commands) == 3
    results = []
    for command in commands:
        user = re.search(r"--context (\w+)", command)
        assert user
        scripted = command.replace("/kubeconfig'", f"/kubeconfig-as-{user[1]}'")
        assert scripted != command
        done = subprocess.run(
            scripted, shell=True, capture_output=True, text=True, timeout=60, check=False
        )
        results.append((user[1], done.returncode, done.stdout))
    (first, second, third) = results
    assert first[:2] == ("developer", 0)
    assert "web" in first[2]
    assert second[:2] == ("guest", 1)
    assert third[0] == "operator"


def test_a_developer_sees_the_pods_of_dev(demo):
    done = demo.run("developer", "kubectl", "get", "pods", "-n", "dev")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^web +1/1 +Running", done.stdout, re.MULTILINE)


def test_a_guest_is_told_why_not_and_the_audit_id(demo):
    done = demo.run("guest", "kubectl", "get", "pods", "-n", "dev")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("Error from server (Forbidden): ")
    assert "kzproxy rule guests-discover-only denies this" in done.stderr
    assert re.search(AUDIT_ID, done.stderr)


def test_a_guest_may_see_what_the_cluster_offers(demo):
    done = demo.run("guest", "kubectl", "api-resources", "-o", "name")
    assert done.returncode == 0
    assert "deployments.apps" in done.stdout.split()


def test_an_operator_works_in_prod_by_the_clock(demo):
    before = hours_open()
    done = demo.run("operator", "kubectl", "get", "pods", "-n", "prod")
    if before != hours_open():  # the hour struck meanwhile
        before = hours_open()
        done = demo.run("operator", "kubectl", "get", "pods", "-n", "prod")
    assert (done.returncode == 0) == before
    assert ("shop" in done.stdout) == before
    assert ("prod-operations wants time working-hours" in done.stderr) == (not before)


def test_an_operator_works_in_dev_at_any_time(demo):
    assert demo.run("operator", "kubectl", "get", "pods", "-n", "dev").returncode == 0


def test_secrets_of_prod_are_denied_to_operators_at_any_time(demo):
    done = demo.run("operator", "kubectl", "get", "secrets", "-n", "prod")
    assert done.returncode == 1
    assert "rule prod-secrets denies this" in done.stderr


def test_an_admin_breaks_the_glass_loudly(demo):
    done = demo.run("admin", "kubectl", "get", "secrets", "--all-namespaces")
    assert done.returncode == 0
    deadline = time.monotonic() + 20
    while not re.search(r"BREAK-GLASS admin +list secrets", output_of(demo)):
        assert time.monotonic() < deadline, output_of(demo)
        time.sleep(0.1)


def test_the_cluster_knows_the_person_and_the_device(demo):
    done = demo.run("developer", "kubectl", "auth", "whoami", "-o", "yaml")
    info = yaml.safe_load(done.stdout)["status"]["userInfo"]
    assert info["username"] == "kzproxy-demo:developer"
    assert info["groups"] == ["kzproxy-demo:developers", "system:authenticated"]
    assert info["extra"]["kzproxy.dev/device-id"] == ["demo-laptop"]


def test_a_command_keeps_its_exit_code_its_input_and_its_output(demo):
    done = demo.run("developer", "sh", "-c", "cat; echo said >&2; exit 7", given="given\n")
    assert (done.returncode, done.stdout, done.stderr) == (7, "given\n", "said\n")


def test_the_exit_code_of_a_command_in_a_pod_arrives(demo):
    words = ["kubectl", "exec", "-n", "dev", "web", "--", "sh", "-c", "exit 3"]
    assert demo.run("developer", *words).returncode == 3


def test_a_command_that_a_signal_ended_exits_as_shells_say_it(demo):
    assert demo.run("developer", "sh", "-c", "kill -KILL $$").returncode == 128 + signal.SIGKILL


def test_a_command_that_is_not_there_is_named(demo):
    done = demo.run("developer", "no-such-command")
    assert (done.returncode, done.stderr) == (
        127,
        "kzproxy demo: no-such-command: command not found\n",
    )


def test_a_second_one_in_the_foreground_names_the_first(demo):
    done = subprocess.run(
        demo.arguments(), env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert re.search(r"a demo already runs in .* \(pid \d+\)", done.stderr)


def test_a_demo_of_another_cluster_is_not_used_by_mistake(demo, control_plane: ControlPlane):
    options = ("--kubeconfig", str(control_plane.admin_kubeconfig), "--context", "admin")
    done = DemoCommand(demo.directory, options).run("admin", "kubectl", "get", "pods")
    assert done.returncode == 1
    assert "is for another cluster" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_all_that_it_started(tmp_path, number):
    demo = DemoCommand(tmp_path / "demo")
    with in_foreground(demo) as process:
        names = " ".join(processes_of(demo).values())
        for program in ("etcd", "kube-apiserver", "kube-controller-manager", "nodelet", "serve"):
            assert program in names
        process.send_signal(number)
        assert process.wait(STOP_SECONDS) == 0
    assert processes_of(demo) == {}
    assert demo.directory.with_suffix(".err").read_text().count("\n") == 3


def test_killed_it_takes_all_that_it_started_along(tmp_path):
    demo = DemoCommand(tmp_path / "demo")
    with in_foreground(demo) as process:
        process.kill()
    deadline = time.monotonic() + STOP_SECONDS
    while left := processes_of(demo):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def test_it_says_so_and_ends_when_kzproxy_dies(tmp_path):
    demo = DemoCommand(tmp_path / "demo")
    with in_foreground(demo) as process:
        (proxy,) = [pid for pid, words in processes_of(demo).items() if " serve " in words]
        os.kill(proxy, signal.SIGKILL)
        assert process.wait(STOP_SECONDS) == 1
    errors = demo.directory.with_suffix(".err").read_text()
    assert "kzproxy demo: kzproxy ended with code -9; the end of" in errors
    assert "Traceback" not in errors
    assert processes_of(demo) == {}


def test_alone_it_starts_everything_runs_the_command_and_ends_everything(tmp_path):
    """Two at a time: the second uses the demo of the first, which does not end under it."""
    built_directory()
    demo = DemoCommand(tmp_path / "demo")
    both = [
        subprocess.Popen(
            demo.arguments("--as", user, "--", "kubectl", "auth", "whoami", "-o", "name"),
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for user in ("developer", "guest")
    ]
    for process in both:
        _, errors = process.communicate(timeout=START_SECONDS)
        assert (process.returncode, errors) == (0, "")
    assert processes_of(demo) == {}


def test_another_cluster_is_set_up_and_left_as_it_was(tmp_path, control_plane, administrator):
    def ours() -> set[str]:
        label = {"labelSelector": "app.kubernetes.io/part-of=kzproxy-demo"}
        rbac = "/apis/rbac.authorization.k8s.io/v1"
        paths = ["/api/v1/namespaces", f"{rbac}/clusterroles", f"{rbac}/clusterrolebindings"]
        answers = [administrator.get(path, params=label).json()["items"] for path in paths]
        return {
            item["metadata"]["name"]
            for items in answers
            for item in items
            if "deletionTimestamp" not in item["metadata"]
        }

    options = ("--kubeconfig", str(control_plane.admin_kubeconfig), "--context", "admin")
    demo = DemoCommand(tmp_path / "demo", options)
    assert ours() == set()
    with in_foreground(demo):
        assert "(another cluster)" in output_of(demo)
        assert {"kzproxy-demo", "kzproxy-demo-dev", "kzproxy-demo-prod"} <= ours()
        done = demo.run("developer", "kubectl", "get", "pods", "-n", "kzproxy-demo-dev")
        assert done.returncode == 0, done.stderr
        assert "web" in done.stdout
        refused = demo.run("developer", "kubectl", "get", "pods", "-n", "default")
        assert refused.returncode == 1
    assert ours() == set()
    assert processes_of(demo) == {}
