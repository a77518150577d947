"""``kzproxy login``, ``whoami`` and ``logout`` at a provider that is not ours."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.plugin_runs import NEVER_COMES_BACK, ROOT, SERVER, Plugin
from tests.client.rude_issuer import Scripted, running_rude_issuer
from tests.servers.authority import Authority
from tests.servers.foreign_idp.process import ForeignIdp, running_foreign_idp


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.root("the provider's root")


@pytest.fixture(scope="module")
def foreign_idp(
    authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ForeignIdp]:
    directory = tmp_path_factory.mktemp("foreign-idp")
    (directory / "ca.crt").write_bytes(authority.pem)
    certificate, key = authority.server("localhost").write_to(directory, "idp")
    with running_foreign_idp(
        directory,
        certificate_file=certificate,
        private_key_file=key,
        ca_file=directory / "ca.crt",
    ) as idp:
        yield idp


class User:
    """A user with a kubeconfig made by ``kzproxy kubeconfig``, at a shell."""

    def __init__(self, plugin: Plugin, authority: Authority) -> None:
        self.plugin = plugin
        certificate, key = authority.device("laptop").write_to(plugin.directory, "device")
        plugin.arguments = (
            f"--server={SERVER}",
            f"--device-cert={certificate}",
            f"--device-key={key}",
        )
        given = [*plugin.issuer_arguments, *plugin.arguments]
        browser = f"--browser-command={plugin.browser_command}"
        done = self.runs("kubeconfig", "--context=kz", browser, *given)
        assert done.returncode == 0, done.stderr

    def runs(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        environ = self.plugin.environ
        del environ["KUBERNETES_EXEC_INFO"]
        environ["KUBECONFIG"] = str(self.plugin.directory / "config")
        return subprocess.run(
            [sys.executable, "-m", "kzproxy", *arguments],
            cwd=ROOT,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def user(foreign_idp: ForeignIdp, authority: Authority, tmp_path: Path) -> User:
    return User(Plugin(idp=foreign_idp, directory=tmp_path), authority)


def test_signing_in_by_hand_serves_kubectl(user: User) -> None:
    done = user.runs("login")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert done.stderr.endswith(f"You are signed in as alice for {SERVER}.\n")
    assert user.plugin.run().stderr == "", "kubectl finds the sign-in"
    assert user.plugin.tabs == 1


def test_signing_in_by_hand_asks_although_there_is_a_sign_in(user: User) -> None:
    user.runs("login")
    user.runs("login")
    assert user.plugin.tabs == 2


def test_signing_in_by_hand_ends_the_pause_after_a_failure(user: User) -> None:
    user.plugin.run(f"--browser-command={NEVER_COMES_BACK}", "--timeout=1")
    assert "you will not be asked again before" in user.plugin.run().stderr
    assert user.runs("login").returncode == 0
    assert user.plugin.token()


def test_a_failed_sign_in_is_a_line_and_exit_1(user: User) -> None:
    done = user.runs("login", f"--browser-command={NEVER_COMES_BACK}", "--timeout=1")
    assert done.returncode == 1
    assert done.stderr.endswith(
        "kzproxy: nobody signed in in the browser in time; run the command again\n"
    )


def test_what_an_issuer_says_of_a_failure_cannot_command_the_terminal(
    user: User, authority: Authority, tmp_path: Path
) -> None:
    with running_rude_issuer(tmp_path, authority) as rude:
        said = {"error_description": "down\x1b]0;title\x07"}
        place = "/.well-known/openid-configuration"
        rude.answers(place, [Scripted.json(said, status=503)])
        trusted = f"--issuer-ca={user.plugin.idp.ca_file}"
        done = user.runs("login", f"--issuer={rude.issuer}", "--client-id=kz", trusted)
    assert done.stderr.endswith("answers 503: down?]0;title?\n")


def test_options_alone_name_a_sign_in(user: User) -> None:
    browser = f"--browser-command={user.plugin.browser_command}"
    done = user.runs("login", *user.plugin.issuer_arguments, browser)
    assert done.stderr.endswith("You are signed in as alice for any cluster.\n")


def test_who_is_signed_in_is_said_without_asking_anybody(user: User) -> None:
    user.runs("login")
    asked = user.plugin.idp.events_file.read_text()
    done = user.runs("whoami")
    assert done.returncode == 0, done.stderr
    assert user.plugin.idp.events_file.read_text() == asked
    lines = done.stdout.splitlines()
    assert lines[0] == "alice"
    assert "  groups       developers" in lines
    assert f"  issuer       {user.plugin.idp.issuer}" in lines
    assert f"  server       {SERVER}" in lines
    assert "  device       urn:kzproxy:device:laptop" in lines
    assert any("renewed by itself" in line for line in lines)


def test_who_is_signed_in_is_said_to_programs(user: User) -> None:
    user.runs("login")
    done = user.runs("whoami", "-o", "json")
    said = json.loads(done.stdout)
    assert said["signedIn"] is True
    assert said["name"] == "alice"
    assert said["claims"]["groups"] == ["developers"]
    assert said["device"]["names"] == ["urn:kzproxy:device:laptop"]
    assert "nonce" not in said["claims"]
    entry = json.loads(user.plugin.entry_file.read_text())
    assert entry["id_token"] not in done.stdout
    assert entry["refresh_token"] not in done.stdout


def test_nobody_is_signed_in(user: User) -> None:
    done = user.runs("whoami")
    assert done.returncode == 1
    assert done.stderr == "kzproxy: you are not signed in; run `kzproxy login`\n"


def test_a_token_that_has_ended_for_good_is_exit_1(user: User) -> None:
    user.runs("login")
    user.plugin.change_entry(expires_at=1, refresh_at=0)
    assert user.runs("whoami").returncode == 0, "it can be refreshed"
    user.plugin.change_entry(expires_at=1, refresh_at=0, refresh_token="")
    done = user.runs("whoami")
    assert done.returncode == 1
    assert "then you sign in again" in done.stdout
    assert json.loads(user.runs("whoami", "-o", "json").stdout)["signedIn"] is False


def test_signing_out_takes_the_refresh_token_back_at_the_issuer(user: User) -> None:
    user.runs("login")
    kept = user.plugin.entry_file.read_text()
    file = user.plugin.entry_file
    done = user.runs("logout")
    assert done.returncode == 0
    assert done.stderr == "Signed out here and at the issuer.\n"
    assert not file.exists()
    assert len(user.plugin.idp.events("revocation")) >= 1
    # A thief's copy of the cache is worth nothing now.
    file.write_text(kept)
    file.chmod(0o600)
    user.plugin.change_entry(refresh_at=0, expires_at=1)
    user.plugin.token()
    assert user.plugin.tabs == 2


def test_signing_out_twice_is_no_error(user: User) -> None:
    done = user.runs("logout")
    assert (done.returncode, done.stderr) == (0, "Nobody was signed in.\n")


def test_signing_out_everywhere_ends_every_sign_in(user: User) -> None:
    user.runs("login")
    user.runs("login", "--scope=email")
    before = len(user.plugin.idp.events("revocation"))
    done = user.runs("logout", "--all")
    assert (done.returncode, done.stderr) == (0, "Signed out everywhere.\n")
    assert list(user.plugin.cache.glob("*.json")) == []
    # A sign-in for `email` alone has no refresh token to take back.
    assert len(user.plugin.idp.events("revocation")) == before + 1


def test_signing_out_where_the_issuer_is_away_is_exit_1_but_the_tokens_are_gone(
    user: User,
) -> None:
    user.runs("login")
    other = user.plugin.directory / "other.crt"
    other.write_bytes(Authority.root("another").pem)
    done = user.runs("logout", f"--issuer-ca={other}")
    assert done.returncode == 1
    assert "you are signed out here, but the issuer could not be told" in done.stderr
    assert list(user.plugin.cache.glob("*.json")) == []
