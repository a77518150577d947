"""What kubectl's streaming verbs must do, whatever stands between kubectl and the API server.

Each check takes a ``Kubectl`` whose namespace holds the pods of ``tests.cluster.pods``, does one
thing, and raises AssertionError where the outcome is not what a user relies on.
"""

import hashlib
import os
import re
import tempfile
import time
from pathlib import Path
from uuid import uuid4

import httpx

from tests.cluster.bounded_reading import read_until
from tests.cluster.kubectl import Kubectl, describe
from tests.cluster.pods import CONSOLE, WEB
from tests.cluster.terminal import kubectl_on_a_terminal

LARGE_BYTES = 20_000_000
_MAIN = (WEB, "--container=main")
# The size comes by a stream of its own, and may come after the command has begun.
_SIZED = 'while [ "$(stty size)" = "0 0" ]; do sleep 0.1; done;'
# What a shell makes of SIGKILL.
_KILLED = 128 + 9


def exec_keeps_both_outputs_and_the_exit_code(kubectl: Kubectl) -> None:
    done = kubectl("exec", *_MAIN, "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout) == (7, b"out\n"), describe(done)
    assert done.stderr.startswith(b"err\n"), describe(done)
    assert kubectl("exec", *_MAIN, "--", "true").returncode == 0


def exec_names_a_command_that_is_not_there(kubectl: Kubectl) -> None:
    done = kubectl("exec", *_MAIN, "--", "no-such-command")
    assert done.returncode != 0, describe(done)
    assert b'"no-such-command": executable file not found' in done.stderr, describe(done)


def exec_names_a_container_that_is_not_there(kubectl: Kubectl) -> None:
    done = kubectl("exec", WEB, "--container=nobody", "--", "true")
    assert done.returncode != 0, describe(done)
    assert b"nobody" in done.stderr, describe(done)


def exec_passes_stdin_and_its_end(kubectl: Kubectl) -> None:
    done = kubectl("exec", "--stdin", *_MAIN, "--", "tr", "a-z", "A-Z", stdin=b"hello\n")
    assert (done.returncode, done.stdout) == (0, b"HELLO\n"), describe(done)


def exec_answers_while_stdin_stays_open(kubectl: Kubectl) -> None:
    with kubectl.running("exec", "--stdin", *_MAIN, "--", "cat") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for line in (b"one\n", b"two\n"):
            process.stdin.write(line)
            process.stdin.flush()
            read_until(process.stdout, line)
        process.stdin.close()
        assert process.wait(20) == 0


def exec_passes_20_mb_in(kubectl: Kubectl) -> None:
    content = os.urandom(LARGE_BYTES)
    done = kubectl("exec", "--stdin", *_MAIN, "--", "sha256sum", stdin=content)
    assert done.stdout.split()[:1] == [hashlib.sha256(content).hexdigest().encode()], describe(done)


def exec_passes_20_mb_out(kubectl: Kubectl) -> None:
    make = f"head -c {LARGE_BYTES} /dev/urandom > large && sha256sum large"
    wanted = kubectl.out("exec", *_MAIN, "--", "sh", "-c", make).split()[0]
    done = kubectl("exec", *_MAIN, "--", "cat", "large")
    assert len(done.stdout) == LARGE_BYTES, describe(done)
    assert hashlib.sha256(done.stdout).hexdigest() == wanted


def exec_on_a_terminal_has_its_size_and_exit_code(kubectl: Kubectl) -> None:
    command = ("exec", "-it", *_MAIN, "--", "sh", "-c", f"tty; {_SIZED} stty size; exit 5")
    with kubectl_on_a_terminal(kubectl, *command, rows=31, columns=99) as terminal:
        terminal.expect("/dev/pts/")
        terminal.expect("31 99")
        assert terminal.exit_code() == 5


def exec_on_a_terminal_follows_its_size(kubectl: Kubectl) -> None:
    show = f"{_SIZED} stty size; while read line; do stty size; done"
    with kubectl_on_a_terminal(
        kubectl, "exec", "-it", *_MAIN, "--", "sh", "-c", show, rows=31, columns=99
    ) as terminal:
        terminal.expect("31 99")
        terminal.resize(40, 120)
        # The size goes by another stream than the keys, and may come after them.
        for _ in range(50):
            terminal.type("\r")
            if "40 120" in terminal.expect("\n"):
                break
            time.sleep(0.1)
        else:
            terminal.expect("40 120", seconds=1)


def exec_on_a_terminal_talks_back(kubectl: Kubectl) -> None:
    with kubectl_on_a_terminal(kubectl, "exec", "-it", *_MAIN, "--", "sh") as terminal:
        terminal.type("echo $((40 + 2))\r")
        terminal.expect("42\r\n")
        terminal.type("exit 3\r")
        assert terminal.exit_code() == 3


def cp_copies_up_and_down(kubectl: Kubectl) -> None:
    content = os.urandom(3_000_000)
    remote = f"copied-{uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory() as directory:
        up, down = Path(directory, "up"), Path(directory, "down")
        up.write_bytes(content)
        kubectl.out("cp", str(up), f"{WEB}:{remote}", "--container=main")
        kubectl.out("cp", f"{WEB}:{remote}", str(down), "--container=main")
        assert down.read_bytes() == content


def logs_are_whole_or_their_tail(kubectl: Kubectl) -> None:
    ticker = (WEB, "--container=ticker")
    _wait_for_ticks(kubectl, 3)
    assert kubectl.out("logs", *ticker).startswith("tick 1\ntick 2\n")
    tail = kubectl.out("logs", *ticker, "--tail=2").splitlines()
    assert len(tail) == 2, tail
    stamped = kubectl.out("logs", *ticker, "--timestamps", "--limit-bytes=60")
    assert re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z tick 1\n", stamped), stamped


def logs_follow_what_is_written(kubectl: Kubectl) -> None:
    with kubectl.running("logs", "--follow", "--tail=1", WEB, "--container=ticker") as process:
        assert process.stdout is not None
        # Several at once where somebody was held up: wait for one that comes after all of them.
        whole, _, _ = read_until(process.stdout, b"\n").rpartition(b"\n")
        later = b"tick %d\n" % (int(whole.split()[-1]) + 4)
        read_until(process.stdout, later)


def logs_follow_to_the_containers_end(kubectl: Kubectl) -> None:
    name = _name("ends")
    _run(kubectl, name, "echo first; until [ -e enough ]; do sleep 0.1; done; echo last")
    with kubectl.running("logs", "--follow", name) as process:
        assert process.stdout is not None
        read_until(process.stdout, b"first\n")
        # Its container may end, and whatever runs in it be killed, before it has ended itself.
        done = kubectl("exec", name, "--", "touch", "enough")
        assert done.returncode in (0, _KILLED), describe(done)
        read_until(process.stdout, b"last\n")
        assert process.wait(20) == 0
    kubectl.out("delete", "pod", name, "--now")


def attach_gives_both_outputs_and_takes_input(kubectl: Kubectl) -> None:
    with kubectl.running("attach", "--stdin", WEB, "--container=shell") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        word = uuid4().hex.encode()
        process.stdin.write(word + b"\n")
        process.stdin.flush()
        read_until(process.stdout, b"got " + word + b"\n")
        read_until(process.stderr, b"heard " + word + b"\n")


def attach_to_a_terminal_talks_back(kubectl: Kubectl) -> None:
    with kubectl_on_a_terminal(kubectl, "attach", "-it", CONSOLE) as terminal:
        terminal.type("\r")
        terminal.expect("prompt> ")
        word = uuid4().hex
        terminal.type(f"{word}\r")
        terminal.expect(f"said {word}\r\n")


def port_forward_carries_several_connections(kubectl: Kubectl) -> None:
    name = f"forwarded-{uuid4().hex[:8]}"
    make = f"head -c 3000000 /dev/urandom > {name} && sha256sum {name}"
    wanted = kubectl.out("exec", *_MAIN, "--", "sh", "-c", make).split()[0]
    port = kubectl.out("exec", *_MAIN, "--", "cat", "port")
    with kubectl.running("port-forward", f"pod/{WEB}", f":{port}") as process:
        assert process.stdout is not None
        line = read_until(process.stdout, b"->")
        local = int(line.split(b":")[1].split()[0])
        for _ in range(3):
            # Each a connection of its own.
            got = httpx.get(f"http://127.0.0.1:{local}/{name}", trust_env=False, timeout=20)
            assert hashlib.sha256(got.content).hexdigest() == wanted


def port_forward_reports_a_port_where_no_one_listens(kubectl: Kubectl) -> None:
    # Port 1 is tcpmux, which no one runs.
    with kubectl.running("port-forward", f"pod/{WEB}", ":1") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        line = read_until(process.stdout, b"->")
        local = int(line.split(b":")[1].split()[0])
        try:
            httpx.get(f"http://127.0.0.1:{local}/", trust_env=False, timeout=20)
        except httpx.TransportError:
            pass
        else:
            raise AssertionError("something answered on port 1")
        read_until(process.stderr, b"connection refused")


def run_attached_passes_stdin_and_removes_the_pod(kubectl: Kubectl) -> None:
    name = _name("once")
    done = kubectl(
        *("run", name, "--image=none.invalid/none", "--restart=Never", "--stdin", "--rm"),
        *("--command", "--", "tr", "a-z", "A-Z"),
        stdin=b"hello\n",
    )
    assert done.returncode == 0, describe(done)
    assert b"HELLO\n" in done.stdout, describe(done)
    assert kubectl("get", "pod", name).returncode == 1, "the pod is still there"


def delete_ends_the_process(kubectl: Kubectl) -> None:
    name = _name("doomed")
    _run(kubectl, name, "echo $$; sleep 600")
    pid = int(_logs_of_running(kubectl, name))
    assert Path(f"/proc/{pid}").exists()
    kubectl.out("delete", "pod", name, "--now")
    assert not Path(f"/proc/{pid}").exists()


STREAMING_VERBS = (
    exec_keeps_both_outputs_and_the_exit_code,
    exec_names_a_command_that_is_not_there,
    exec_names_a_container_that_is_not_there,
    exec_passes_stdin_and_its_end,
    exec_answers_while_stdin_stays_open,
    exec_passes_20_mb_in,
    exec_passes_20_mb_out,
    exec_on_a_terminal_has_its_size_and_exit_code,
    exec_on_a_terminal_follows_its_size,
    exec_on_a_terminal_talks_back,
    cp_copies_up_and_down,
    logs_are_whole_or_their_tail,
    logs_follow_what_is_written,
    logs_follow_to_the_containers_end,
    attach_gives_both_outputs_and_takes_input,
    attach_to_a_terminal_talks_back,
    port_forward_carries_several_connections,
    port_forward_reports_a_port_where_no_one_listens,
    run_attached_passes_stdin_and_removes_the_pod,
    delete_ends_the_process,
)


def _name(prefix: str) -> str:
    return f"{prefix}-{uuid4().hex[:8]}"


def _run(kubectl: Kubectl, name: str, script: str) -> None:
    image = "--image=none.invalid/none"
    kubectl.out("run", name, image, "--restart=Never", "--command", "--", "sh", "-c", script)
    kubectl.out("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=30s")


def _logs_of_running(kubectl: Kubectl, name: str) -> bytes:
    """Return a container's first line, which a running one writes soon."""
    with kubectl.running("logs", "--follow", name) as process:
        assert process.stdout is not None
        return read_until(process.stdout, b"\n")


def _wait_for_ticks(kubectl: Kubectl, number: int) -> None:
    with kubectl.running("logs", "--follow", WEB, "--container=ticker") as process:
        assert process.stdout is not None
        read_until(process.stdout, b"tick %d\n" % number)
