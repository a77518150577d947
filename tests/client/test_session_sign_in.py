"""Signing in at kzproxy beside other processes that use the same session."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kzproxy.client.file_lock import FileLock
from kzproxy.clock.system import SystemClock
from tests.client.plugin_runs import ROOT, SERVER
from tests.client.session_runs import SessionPlugin, session_plugin
from tests.servers.authority import Authority
from tests.servers.sign_in_stand_in import running_sign_in

PATIENCE_SECONDS = 30.0


@pytest.fixture
def session(authority: Authority, ca_file: Path, tmp_path: Path) -> Iterator[SessionPlugin]:
    with running_sign_in(tmp_path, authority, ca_file) as stand_in:
        plugin = session_plugin(stand_in, tmp_path)
        plugin.arguments = (f"--server={SERVER}",)
        yield plugin


def login(session: SessionPlugin, other: Callable[[], object], *more: str) -> None:
    """Run ``kzproxy login``, and have ``other`` happen in the process that it waits for."""
    command = session.plain_command(*more)
    command[command.index("credential")] = "login"
    lock = FileLock(str(session.entry_file.with_suffix(".lock")), SystemClock())
    with lock.held(PATIENCE_SECONDS, lambda: None):
        process = subprocess.Popen(
            command, cwd=ROOT, env=session.environ, stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        said = process.stderr.readline()
        other()
    _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert "waiting for it" in said, said + err
    assert process.returncode == 0, err


def renew(session: SessionPlugin) -> None:
    session.change_session(token="token-renewed")


def end(session: SessionPlugin) -> None:
    session.change_entry(refresh_token="", expires_at=0, refresh_at=0)
    session.change_session(token="", end_message="Your session was ended by root.")


def sign_in_anew(session: SessionPlugin) -> None:
    """With the same key: it goes on in the same session."""
    session.change_session(token="token-signed-in")
    session.change_entry(signed_in_at=int(time.time()) + 1)


def signed_in_at(session: SessionPlugin) -> int:
    return int(json.loads(session.entry_file.read_text())["signed_in_at"])


@pytest.mark.parametrize("happens", [renew, end])
def test_a_session_that_others_renew_or_end_is_no_sign_in(
    session: SessionPlugin, happens: Callable[[SessionPlugin], None]
) -> None:
    session.status()
    login(session, lambda: happens(session))
    assert session.tabs == 2
    assert str(session.status()["token"]) not in ("", "token-renewed")


def test_a_sign_in_of_another_process_is_enough(session: SessionPlugin) -> None:
    session.status()
    login(session, lambda: sign_in_anew(session))
    assert session.tabs == 1
    assert session.session["token"] == "token-signed-in"


def test_a_sign_in_of_another_process_is_no_step_up(session: SessionPlugin) -> None:
    session.status()
    login(session, lambda: sign_in_anew(session), "--acr=phr")
    assert session.tabs == 2
    assert session.stand_in.asked[-1]["acr_values"] == "phr"


def test_a_renewal_keeps_when_the_user_signed_in(session: SessionPlugin) -> None:
    session.status()
    assert signed_in_at(session) == pytest.approx(time.time(), abs=PATIENCE_SECONDS)
    session.change_entry(signed_in_at=1000, refresh_at=0)
    session.status()
    _, (code, _, _) = session.runs_of_one_parent(2)
    assert code == 0
    assert len(session.stand_in.renewals) == 2
    assert signed_in_at(session) == 1000
