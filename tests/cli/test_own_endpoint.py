"""Commands that ask kzproxy, where nobody is signed in yet; the rest is in tests/server."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_session_login import User
from tests.client.plugin_runs import ROOT, SERVER
from tests.client.session_runs import session_plugin
from tests.servers.authority import Authority
from tests.servers.sign_in_stand_in import SignInStandIn, running_sign_in


@pytest.fixture
def sign_in(tmp_path: Path) -> Iterator[SignInStandIn]:
    authority = Authority.root("the sign-in's root")
    ca_file = tmp_path / "ca.crt"
    ca_file.write_bytes(authority.pem)
    with running_sign_in(tmp_path, authority, ca_file) as stand_in:
        yield stand_in


@pytest.fixture
def user(sign_in: SignInStandIn, tmp_path: Path) -> User:
    return User(session_plugin(sign_in, tmp_path))


def pressing_tab(user: User, words: str) -> str:
    environ = {"_KZPROXY_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": "3"}
    done = subprocess.run(
        [sys.executable, "-m", "kzproxy"],
        cwd=ROOT,
        env={**user.environ, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


def test_completing_a_word_signs_nobody_in(user: User) -> None:
    assert pressing_tab(user, "kzproxy device show ") == "\n"
    assert user.plugin.tabs == 0
    assert not any(user.plugin.cache.glob("*.attempt"))


def test_completing_a_word_renews_nothing(user: User, sign_in: SignInStandIn) -> None:
    user.runs("login")
    user.plugin.change_entry(refresh_at=0, expires_at=1)
    assert pressing_tab(user, "kzproxy device show ") == "\n"
    assert sign_in.renewals == []
    assert user.plugin.tabs == 1


@pytest.mark.parametrize("command", [("device", "status"), ("device", "enroll"), ("reason",)])
def test_without_a_browser_or_a_terminal_nobody_is_asked(
    user: User, sign_in: SignInStandIn, command: tuple[str, ...]
) -> None:
    """As in a cron job, which would wait for minutes, and count as an attempt."""
    user.runs(
        *("kubeconfig", "--context=kz", f"--server={SERVER}", "--force"),
        *("--sign-in-url", sign_in.url, "--server-ca", str(sign_in.ca_file), "--timeout=5"),
    )
    done = user.runs(*command)
    assert done.returncode == 1
    assert "neither a browser nor a terminal to ask at; run `kzproxy login` first" in done.stderr
    assert sign_in.device_asked == []


@pytest.mark.parametrize("typed", ["", "\n", "  \n"])
def test_standard_input_without_a_token_enrols_nothing(
    user: User, sign_in: SignInStandIn, typed: str
) -> None:
    """As where the command that should print it has failed."""
    done = user.runs("device", "enroll", "--token", "-", typed=typed)
    assert (done.returncode, done.stderr) == (1, "kzproxy: there is no token on standard input\n")
    assert user.plugin.tabs == 0
    assert sign_in.nonces == 0
