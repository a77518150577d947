import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from kzproxy.clock.system import SystemClock
from kzproxy.demo.component import Component, ControlPlaneError, Launcher
from tests.demo.processes import processes_in, wait_until_none_in

SOON = timedelta(seconds=0.2)


@pytest.fixture
def launcher() -> Iterator[Launcher]:
    launcher = Launcher()
    yield launcher
    launcher.close()


def shell(directory: Path, script: str) -> Component:
    command = ["/bin/sh", "-c", script]
    return Component("etcd", command, directory=directory, clock=SystemClock())


def started(launcher: Launcher, component: Component) -> Component:
    """Start a script that writes ``up`` once it is."""
    component.start(launcher)
    component.wait_until(lambda: "up\n" in component.log.read_text())
    return component


def test_a_component_that_ends_at_its_start_shows_its_last_words(
    launcher: Launcher, tmp_path: Path
):
    component = shell(tmp_path, "seq 100; echo because of this >&2; exit 3")
    component.start(launcher)
    with pytest.raises(ControlPlaneError) as refused:
        component.wait_until(lambda: False)
    words = str(refused.value)
    assert "etcd ended with code 3" in words
    assert words.endswith("99\n100\nbecause of this")
    assert "\n80\n" not in words


def test_a_component_that_is_never_ready_is_waited_for_so_long(launcher: Launcher, tmp_path: Path):
    component = started(launcher, shell(tmp_path, "echo up; exec sleep 60"))
    with pytest.raises(ControlPlaneError, match="etcd is not ready after 0 s"):
        component.wait_until(lambda: False, limit=SOON)
    component.stop()


def test_a_program_that_is_not_there_is_named(launcher: Launcher, tmp_path: Path):
    component = Component(
        "etcd", [str(tmp_path / "missing")], directory=tmp_path, clock=SystemClock()
    )
    component.start(launcher)
    with pytest.raises(ControlPlaneError, match="No such file or directory"):
        component.wait_until(lambda: False)


def test_stopping_ends_it_and_may_be_repeated(launcher: Launcher, tmp_path: Path):
    component = started(launcher, shell(tmp_path, "echo up; exec sleep 60"))
    assert processes_in(tmp_path) == {component.pid}
    component.stop()
    component.stop()
    assert processes_in(tmp_path) == set()


def test_stopping_kills_what_will_not_end(launcher: Launcher, tmp_path: Path):
    stubborn = "trap '' TERM; echo up; while :; do sleep 1; done"
    component = started(launcher, shell(tmp_path, stubborn))
    component.stop(limit=SOON)
    assert component.pid not in processes_in(tmp_path)
    wait_until_none_in(tmp_path)


def test_a_component_that_never_started_can_be_stopped(tmp_path: Path):
    shell(tmp_path, "true").stop()


def test_a_component_has_a_session_of_its_own(launcher: Launcher, tmp_path: Path):
    """Else Ctrl-C in the demo would end etcd before the API server."""
    component = started(launcher, shell(tmp_path, "echo up; exec sleep 60"))
    assert os.getsid(component.pid) == component.pid
    component.stop()


def test_a_component_outlives_the_thread_that_started_it(launcher: Launcher, tmp_path: Path):
    component = shell(tmp_path, "echo up; exec sleep 60")
    thread = threading.Thread(target=started, args=(launcher, component))
    thread.start()
    thread.join()
    component.wait_until(lambda: processes_in(tmp_path) == {component.pid})
    component.stop()


def test_a_component_knows_little_of_our_environment(
    launcher: Launcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.invalid")
    component = started(launcher, shell(tmp_path, "env; echo up; exec sleep 60"))
    assert "proxy.invalid" not in component.log.read_text()
    component.stop()


PARENT = """
import sys
from pathlib import Path
from kzproxy.clock.system import SystemClock
from kzproxy.demo.component import Component, Launcher

directory = Path(sys.argv[1])
command = ["/bin/sh", "-c", "trap '' TERM HUP INT; echo up; while :; do sleep 0.1; done"]
component = Component("child", command, directory=directory, clock=SystemClock())
component.start(Launcher())
component.wait_until(lambda: "up" in component.log.read_text())
print("started", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_component_ends_with_us_however_we_end(tmp_path: Path, death: signal.Signals):
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"started\n"
        assert processes_in(tmp_path)
        parent.send_signal(death)
        assert parent.wait(10) != 0
    wait_until_none_in(tmp_path)
