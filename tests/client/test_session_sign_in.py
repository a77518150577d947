"""A session that is signed in to, renewed and ended by several processes of one user."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kzproxy.client.enrolling import Enrolling
from kzproxy.client.file_lock import FileLock
from kzproxy.client.issuer_http import IssuerUnreachable
from kzproxy.client.plugin_arguments import parse_arguments
from kzproxy.client.token_cache import TokenCache
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


def taken_into_use(session: SessionPlugin) -> bool:
    """Do what ``kzproxy device enroll`` does once the device is approved."""
    settings = parse_arguments([*session.issuer_arguments, *session.arguments])
    cache = TokenCache(str(session.cache))
    clock = SystemClock()
    with Enrolling(settings, cache, session.environ, clock, interactive=False) as enrolling:
        return enrolling.taken_into_use()


def test_a_device_is_taken_into_use_although_the_token_has_ended(session: SessionPlugin) -> None:
    """``--wait`` waits for an hour, a token holds for five minutes."""
    old = session.status()
    session.change_entry(expires_at=int(time.time()) - 1, refresh_at=int(time.time()) - 61)
    assert taken_into_use(session)
    [renewal] = session.stand_in.renewals
    assert "csr" in renewal
    assert session.status()["clientCertificateData"] != old["clientCertificateData"]
    assert session.tabs == 1


def test_without_a_session_no_device_is_taken_into_use(session: SessionPlugin) -> None:
    session.status()
    end(session)
    assert not taken_into_use(session)
    session.entry_file.unlink()
    assert not taken_into_use(session)
    assert session.stand_in.renewals == []


def test_who_enrolls_a_machine_is_not_asked_to_sign_in(session: SessionPlugin) -> None:
    """It may be nobody: a job with a one-time token, on a machine with an old session."""
    session.status()
    session.stand_in.sessions[-1].ended = True
    assert not taken_into_use(session)
    assert session.tabs == 1
    assert json.loads(session.entry_file.read_text())["refresh_token"] == ""


def test_a_device_is_not_taken_into_use_while_the_server_is_away(
    session: SessionPlugin, tmp_path: Path
) -> None:
    """Although the token holds: it is bound to the certificate that is no device's."""
    session.status()
    session.ca_file = tmp_path / "other.crt"
    session.ca_file.write_bytes(Authority.root("another").pem)
    with pytest.raises(IssuerUnreachable, match="cannot be reached"):
        taken_into_use(session)
    session.ca_file = None
    session.status()
    assert session.tabs == 1
