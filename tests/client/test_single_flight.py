"""Many kubectl at once: one asks, the others have what came of it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.audit.faults import no_file_grows_over
from tests.client.plugin_runs import KUBECTL_SAYS, NEVER_COMES_BACK, ROOT, Plugin

PARALLEL = 20
PATIENCE_SECONDS = 60.0

# Ctrl-C while the directory of what was just written down is put on the disk.
INTERRUPTED = """
import os, runpy
replace = os.replace
def interrupted(source, target):
    replace(source, target)
    if target.endswith(".attempt"):
        raise KeyboardInterrupt
os.replace = interrupted
runpy.run_module("kzproxy", run_name="__main__")
"""

Ended = tuple[int, str, str]


def all_ended(processes: "Sequence[subprocess.Popen[str]]") -> list[Ended]:
    """Wait for every process; return exit code, stdout and stderr of each."""
    return [
        (process.wait(), out, err)
        for process in processes
        for out, err in [process.communicate(timeout=PATIENCE_SECONDS)]
    ]


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def attempt_recorded(plugin: Plugin) -> bool:
    return any(plugin.cache.glob("*.attempt"))


def test_twenty_kubectl_open_one_tab_and_have_one_token(plugin: Plugin) -> None:
    ended = all_ended([plugin.start() for _ in range(PARALLEL)])
    assert [code for code, _, _ in ended] == [0] * PARALLEL, ended
    tokens = {json.loads(out)["status"]["token"] for _, out, _ in ended}
    assert len(tokens) == 1
    assert plugin.tabs == 1
    assert sum("your browser should open" in err for _, _, err in ended) == 1


def test_twenty_kubectl_whose_user_cancels_open_one_tab(plugin: Plugin) -> None:
    denying = f"--browser-command={plugin.browser_command} --deny"
    ended = all_ended([plugin.start(denying) for _ in range(PARALLEL)])
    assert [code for code, _, _ in ended] == [1] * PARALLEL, ended
    assert plugin.tabs == 1
    assert all("the issuer refused: End-User aborted interaction" in err for _, _, err in ended)


def test_a_refresh_token_that_is_rotated_is_used_once(plugin: Plugin) -> None:
    """The provider ends the sign-in if an old refresh token is used again."""
    plugin.token()
    plugin.change_entry(refresh_at=0)
    before = plugin.refreshes
    ended = all_ended([plugin.start() for _ in range(PARALLEL)])
    assert [code for code, _, _ in ended] == [0] * PARALLEL, ended
    assert len({json.loads(out)["status"]["token"] for _, out, _ in ended}) == 1
    assert plugin.refreshes == before + 1
    plugin.change_entry(refresh_at=0)
    plugin.token()
    assert plugin.refreshes == before + 2
    assert plugin.tabs == 1


def test_where_nothing_can_be_kept_no_refresh_token_is_used_up(plugin: Plugin) -> None:
    """On a full disk: what comes in its place would be lost, and the sign-in with it."""
    plugin.token()
    plugin.change_entry(refresh_at=0)
    before = plugin.refreshes
    with no_file_grows_over(64):
        done = plugin.run()
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert plugin.refreshes == before
    plugin.token()
    assert (plugin.refreshes, plugin.tabs) == (before + 1, 1)


def test_after_a_failure_no_tab_is_opened_for_a_while(plugin: Plugin) -> None:
    denying = f"--browser-command={plugin.browser_command} --deny"
    plugin.run(denying)
    for _ in range(3):
        done = plugin.run(denying)
        assert done.returncode == 1
        assert "you will not be asked again before" in done.stderr
        assert "run `kzproxy login` now" in done.stderr
    assert plugin.tabs == 1


def test_a_killed_sign_in_gives_the_lock_back_but_is_not_forgotten(plugin: Plugin) -> None:
    asking = plugin.start(f"--browser-command={NEVER_COMES_BACK}")
    try:
        wait_until(lambda: attempt_recorded(plugin))
    finally:
        asking.kill()
        asking.communicate()
    done = plugin.run()
    assert done.returncode == 1
    assert "but it was not finished; you will not be asked again before" in done.stderr
    assert plugin.tabs == 0


def test_a_user_who_interrupts_is_asked_again(plugin: Plugin) -> None:
    asking = plugin.start(f"--browser-command={NEVER_COMES_BACK}")
    try:
        wait_until(lambda: attempt_recorded(plugin))
        asking.send_signal(signal.SIGINT)
        _, said = asking.communicate(timeout=PATIENCE_SECONDS)
    finally:
        asking.kill()
        asking.wait()
    assert asking.returncode == 130
    assert "Traceback" not in said
    assert plugin.token()
    assert plugin.tabs == 1


def test_a_user_who_interrupts_as_soon_as_it_is_written_down_is_asked_again(plugin: Plugin) -> None:
    interrupted = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, *plugin.command()[3:]],
        cwd=ROOT,
        env=plugin.environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert interrupted.returncode == 130, interrupted.stderr
    assert not attempt_recorded(plugin)
    assert plugin.token()
    assert plugin.tabs == 1


@pytest.mark.parametrize(("interactive", "told"), [(True, 1), (False, 0)])
def test_who_waits_long_is_told_once_if_they_are_there(
    plugin: Plugin, *, interactive: bool, told: int
) -> None:
    plugin.exec_info = {**KUBECTL_SAYS, "spec": {"interactive": interactive}}
    asking = plugin.start(f"--browser-command={NEVER_COMES_BACK}", "--timeout=15")
    try:
        wait_until(lambda: attempt_recorded(plugin))
        waiting = plugin.run()
    finally:
        asking.communicate(timeout=PATIENCE_SECONDS)
    assert waiting.returncode == 1
    assert waiting.stderr.count("another kubectl is signing in; waiting for it") == told
    assert "signing in failed in another process: nobody signed in" in waiting.stderr
    assert plugin.tabs == 0


def test_a_failure_from_a_clock_that_was_ahead_stops_no_renewal(plugin: Plugin) -> None:
    """As after a start without a network: the clock is put right once there is one."""
    plugin.token()
    plugin.change_entry(refresh_at=0, expires_at=int(time.time()))
    ahead = {"version": 1, "count": 0, "at": time.time() + 7200, "message": "no route to host"}
    attempt = plugin.entry_file.with_suffix(".attempt")
    attempt.write_text(json.dumps(ahead))
    attempt.chmod(0o600)
    plugin.token()
    assert plugin.tabs == 1


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_cache_file_that_others_can_read_is_refused(plugin: Plugin, mode: int) -> None:
    plugin.token()
    plugin.entry_file.chmod(mode)
    done = plugin.run()
    assert done.returncode == 1
    assert f"can be used by others (mode {mode:04o})" in done.stderr
    assert f"chmod 600 {plugin.entry_file}" in done.stderr
    assert plugin.tabs == 1


def test_a_cache_directory_that_others_can_use_is_refused(plugin: Plugin) -> None:
    plugin.token()
    plugin.cache.chmod(0o755)
    done = plugin.run()
    assert done.returncode == 1
    assert f"chmod 700 {plugin.cache}" in done.stderr


def test_a_cache_of_another_user_is_refused(plugin: Plugin) -> None:
    if os.geteuid() == 0:
        plugin.cache.mkdir(mode=0o700)
        os.chown(plugin.cache, 65534, 65534)
        uid = 65534
    else:  # what only root can give away, root has
        plugin.cache_directory = Path("/")
        uid = 0
    done = plugin.run()
    assert done.returncode == 1
    assert f"belongs to another user (uid {uid}): remove it" in done.stderr
    assert plugin.tabs == 0


def test_a_corrupt_cache_file_is_set_aside_and_the_user_signs_in_again(plugin: Plugin) -> None:
    plugin.token()
    file = plugin.entry_file
    file.write_text('{"version": 1, "id_token": ')
    assert plugin.token()
    assert plugin.tabs == 2
    assert file.with_name(file.name + ".corrupt").exists()
