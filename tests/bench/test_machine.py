"""What is read of processes, and who runs where."""

import os
import subprocess
import sys
import time

from bench.machine import (
    Cores,
    cpu_seconds,
    pinned,
    process_cpu_seconds,
    process_tree,
    resident_bytes,
)


def test_the_proxy_has_a_core_for_itself_where_there_are_two() -> None:
    assert Cores.of([0, 1]) == Cores(proxy=0, upstream=1, load=1)


def test_upstream_and_load_are_apart_where_there_are_more() -> None:
    assert Cores.of([2, 3, 6, 7]) == Cores(proxy=2, upstream=3, load=6)


def test_nothing_is_pinned_on_one_core() -> None:
    assert Cores.of([0]) == Cores(proxy=None, upstream=None, load=None)
    assert pinned(None, ["true"]) == ["true"]


def test_a_pinned_process_runs_on_its_core_only() -> None:
    core = min(os.sched_getaffinity(0))
    code = "import os; print(*os.sched_getaffinity(0))"
    command = pinned(core, [sys.executable, "-c", code])

    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert said.split() == [str(core)]


def test_the_cpu_of_children_counts() -> None:
    burn = "import time\nwhile time.process_time() < 0.2: pass\nprint('done', flush=True)\ninput()"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"done\n"
        pids = list(process_tree(process.pid))

        assert len(pids) == 2
        assert 0.2 <= cpu_seconds(process.pid) < 5
        assert resident_bytes(process.pid) > resident_bytes(pids[1]) > 1_000_000
    finally:
        process.communicate(b"\n", timeout=20)


def test_our_own_cpu_is_what_the_clock_says() -> None:
    # Without our children: of those that other tests have left, one may end meanwhile.
    before = process_cpu_seconds(os.getpid())
    begun = time.process_time()
    while time.process_time() < begun + 0.05:
        pass

    assert 0.05 <= process_cpu_seconds(os.getpid()) - before < 1
