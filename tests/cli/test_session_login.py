"""``kzproxy login``, ``whoami`` and ``logout`` where kzproxy, or a stand-in, keeps the session."""

import json
import os
import pty
import re
import select
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import yaml

from tests.client.plugin_runs import ROOT, SERVER
from tests.client.session_runs import SessionPlugin, session_plugin
from tests.servers.authority import Authority
from tests.servers.sign_in_stand_in import SignInStandIn, running_sign_in

PATIENCE_SECONDS = 30.0


class User:
    """A user with a kubeconfig made by ``kzproxy kubeconfig``, at a shell."""

    def __init__(self, plugin: SessionPlugin) -> None:
        self.plugin = plugin
        self.config = plugin.directory / "config"
        plugin.arguments = (f"--server={SERVER}",)
        done = self.runs(
            *("kubeconfig", "--context=kz", f"--server={SERVER}"),
            *("--sign-in-url", plugin.stand_in.url, "--server-ca", str(plugin.stand_in.ca_file)),
            f"--browser-command={plugin.browser_command}",
        )
        assert done.returncode == 0, done.stderr

    @property
    def environ(self) -> dict[str, str]:
        environ = self.plugin.environ
        del environ["KUBERNETES_EXEC_INFO"]
        return {**environ, "KUBECONFIG": str(self.config)}

    def runs(self, *arguments: str, typed: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "kzproxy", *arguments],
            cwd=ROOT,
            env=self.environ,
            input=typed,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def code_at(self, url: str) -> str:
        """Open ``url`` as a browser does, and return the code on its last page."""
        trust = ssl.create_default_context(cafile=self.plugin.stand_in.ca_file)
        with httpx.Client(verify=trust, timeout=PATIENCE_SECONDS) as client:
            found = re.search("<code>(.*)</code>", client.get(url).text)
        assert found
        return found[1]


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    authority = Authority.root("the sign-in's root")
    ca_file = tmp_path / "ca.crt"
    ca_file.write_bytes(authority.pem)
    with running_sign_in(tmp_path, authority, ca_file) as stand_in:
        yield User(session_plugin(stand_in, tmp_path))


@pytest.fixture
def sign_in(user: User) -> SignInStandIn:
    return user.plugin.stand_in


def test_the_context_names_the_sign_in_and_its_authorities_and_holds_no_secret(user: User) -> None:
    text = user.config.read_text()
    [entry] = yaml.safe_load(text)["users"]
    arguments = entry["user"]["exec"]["args"]
    assert f"--sign-in-url={user.plugin.stand_in.url}" in arguments
    assert f"--issuer-ca={user.plugin.stand_in.ca_file}" in arguments
    assert not any(argument.startswith(("--client-id", "--prompt")) for argument in arguments)
    assert "PRIVATE KEY" not in text


def test_signing_in_says_for_how_long_it_holds(user: User) -> None:
    done = user.runs("login")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    *_, signed_in, holds = done.stderr.splitlines()
    assert signed_in == f"You are signed in as oidc:alice for {SERVER}."
    assert re.fullmatch(r"The session holds for (12 h|11 h 59 min) at most, until .*", holds)
    assert user.plugin.run().stderr == "", "kubectl finds the sign-in"


def test_signing_in_tells_programs_which_session_it_is(user: User) -> None:
    said = json.loads(user.runs("login", "-o", "json").stdout)
    assert said["name"] == "oidc:alice"
    assert said["session"]["id"] == user.plugin.session["id"]
    assert datetime.fromisoformat(said["session"]["endsAt"]).tzinfo is not None


def test_a_stronger_and_fresher_sign_in_can_be_asked_for(
    user: User, sign_in: SignInStandIn
) -> None:
    done = user.runs("login", "--acr", "phr urn:x", "--max-age", "5m", "--prompt", "login")
    assert done.returncode == 0, done.stderr
    asked = sign_in.asked[-1]
    assert (asked["acr_values"], asked["max_age"], asked["prompt"]) == ("phr urn:x", "300", "login")
    assert "scope" not in asked
    user.runs("login", "--max-age", "0s", "--flow", "device-code")
    assert sign_in.device_asked[-1]["max_age"] == "0"


def test_an_age_without_a_unit_is_a_mistake(user: User) -> None:
    done = user.runs("login", "--max-age", "300")
    assert done.returncode == 2
    assert "'300' is not a duration such as 90s" in done.stderr


@contextmanager
def pasting(user: User) -> "Iterator[tuple[int, subprocess.Popen[bytes]]]":
    """Run ``kzproxy login --flow=paste`` on a terminal of its own."""
    screen, seat = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "kzproxy", "login", "--flow=paste"],
        cwd=ROOT,
        env=user.environ,
        stdin=seat,
        stdout=seat,
        stderr=seat,
        start_new_session=True,
    )
    os.close(seat)
    try:
        yield screen, process
    finally:
        process.kill()
        process.wait()
        os.close(screen)


def test_a_code_can_be_pasted_at_a_terminal_and_is_not_echoed(user: User) -> None:
    with pasting(user) as (screen, process):
        shown = read_until(screen, "code: ")
        [url] = re.findall(r"https://\S+", shown)
        assert "redirect_uri=https%3A%2F%2Flocalhost" in url
        code = user.code_at(url)
        os.write(screen, f"  {code} \n".encode())
        after = read_until(screen, "at most")
        assert process.wait(PATIENCE_SECONDS) == 0
    assert "You are signed in as oidc:alice" in after
    assert code not in shown + after


def test_the_end_of_input_is_no_code(user: User) -> None:
    with pasting(user) as (screen, process):
        read_until(screen, "code: ")
        os.write(screen, b"\x04")
        assert "no code was given" in read_until(screen, "again")
        assert process.wait(PATIENCE_SECONDS) == 1


def test_a_code_of_another_sign_in_is_of_no_use(user: User, sign_in: SignInStandIn) -> None:
    """Somebody talks the user into pasting it: PKCE gives it away."""
    foreign = {"redirect_uri": f"{sign_in.url}/code", "code_challenge": "x", "state": "y"}
    _, page = sign_in.authorize(foreign)
    done = user.runs("login", "--flow=paste", typed=page.removeprefix("<code>")[:22] + "\n")
    assert done.returncode == 1
    assert "kzproxy refused: the code is not good" in done.stderr


def test_no_code_is_no_sign_in(user: User) -> None:
    done = user.runs("login", "--flow=paste", typed="\n")
    assert done.returncode == 1
    assert "no code was given; run the command again" in done.stderr


def test_who_is_signed_in_is_said_without_asking_anybody(
    user: User, sign_in: SignInStandIn
) -> None:
    user.runs("login")
    forms = len(sign_in.forms)
    done = user.runs("whoami")
    assert done.returncode == 0, done.stderr
    assert len(sign_in.forms) == forms
    lines = done.stdout.splitlines()
    assert lines[0] == "oidc:alice"
    assert f"  session      {user.plugin.session['id']}" in lines
    assert any(line.startswith("  client       urn:kzproxy:client:") for line in lines)
    assert any("certificate  ends" in line for line in lines)
    assert any("renewed by itself" in line for line in lines)
    said = json.loads(user.runs("whoami", "-o", "json").stdout)
    assert said["session"]["id"] == user.plugin.session["id"]
    assert said["device"]["names"][0].startswith("urn:kzproxy:client:")
    assert str(user.plugin.session["token"]) not in json.dumps(said)


def test_a_session_that_is_over_is_said_to_be_with_the_reason(
    user: User, sign_in: SignInStandIn
) -> None:
    user.runs("login")
    user.plugin.let_time_pass()
    sign_in.refusal = {"error": "invalid_grant", "error_description": "Ended by root."}
    user.plugin.run("--browser-command=")
    done = user.runs("whoami")
    assert done.returncode == 1
    assert done.stderr == "kzproxy: Ended by root.; run `kzproxy login`\n"


@pytest.mark.parametrize("what", ["ends_at", "certificate_ends_at"])
@pytest.mark.parametrize("token_holds", [True, False])
def test_a_session_that_this_machine_knows_to_be_over_is_no_sign_in(
    user: User, what: str, *, token_holds: bool
) -> None:
    user.runs("login")
    now = int(time.time())
    user.plugin.change_session(**{what: now - 60})
    if not token_holds:
        user.plugin.change_entry(expires_at=now - 90, refresh_at=now - 150)
    done = user.runs("whoami")
    assert done.returncode == 1
    assert "renewed by itself" not in done.stdout
    assert "then you sign in again" in done.stdout
    machine = user.runs("whoami", "-o", "json")
    assert machine.returncode == 1
    said = json.loads(machine.stdout)
    assert (said["signedIn"], said["refreshable"]) == (False, False)


def test_a_certificate_that_an_mdm_has_replaced_counts_as_it_is_now(
    user: User, sign_in: SignInStandIn, tmp_path: Path
) -> None:
    device = sign_in.devices.device("laptop-7")
    certificate, key = device.write_to(tmp_path, "device")
    done = user.runs(
        *("kubeconfig", "--context=kz", f"--server={SERVER}", "--force"),
        *("--sign-in-url", sign_in.url, "--server-ca", str(sign_in.ca_file)),
        *(f"--device-cert={certificate}", f"--device-key={key}"),
        f"--browser-command={user.plugin.browser_command}",
    )
    assert done.returncode == 0, done.stderr
    user.runs("login")
    user.plugin.change_session(certificate_ends_at=int(time.time()) - 60)
    assert user.runs("whoami").returncode == 0, "the next one is in the file already"
    ended = datetime.now(UTC) - timedelta(minutes=5)
    certificate.write_bytes(sign_in.devices.issue(not_after=ended).pem)
    assert user.runs("whoami").returncode == 1


def test_signing_out_ends_the_session_at_kzproxy_and_keeps_the_key(
    user: User, sign_in: SignInStandIn
) -> None:
    user.runs("login")
    renewal = json.loads(user.plugin.entry_file.read_text())["refresh_token"]
    done = user.runs("logout")
    assert (done.returncode, done.stderr) == (0, "Signed out here and at kzproxy.\n")
    assert sign_in.revoked == [renewal]
    assert list(user.plugin.cache.glob("*.json")) == []
    assert len(list(user.plugin.cache.glob("*.client-key.pem"))) == 1
    assert user.runs("logout", "--forget-key").returncode == 0
    assert list(user.plugin.cache.glob("*.client-key.pem")) == []


def test_signing_out_everywhere_ends_every_session(user: User, sign_in: SignInStandIn) -> None:
    user.runs("login")
    user.plugin.run("--server=https://other.test")  # refused: kubectl talks to another
    user.runs("login", "--server=https://other.test")
    done = user.runs("logout", "--all", "--forget-key")
    assert (done.returncode, done.stderr) == (0, "Signed out everywhere.\n")
    assert len(sign_in.revoked) == 2
    left = {file.suffix for file in user.plugin.cache.iterdir()}
    assert left <= {".lock"}


@pytest.mark.parametrize("everywhere", [(), ("--all",)])
def test_signing_out_leaves_no_token_in_a_file_that_was_set_aside(
    user: User, everywhere: tuple[str, ...]
) -> None:
    """It was not understood, but the renewal token stands in it all the same."""
    user.runs("login")
    file = user.plugin.entry_file
    file.write_text(file.read_text()[:-1])
    user.runs("whoami")
    assert len(list(user.plugin.cache.glob("*.corrupt"))) == 1
    assert user.runs("logout", *everywhere).returncode == 0
    assert list(user.plugin.cache.glob("*.json*")) == []


def test_signing_out_everywhere_forgets_what_is_set_aside_meanwhile(user: User) -> None:
    user.runs("login")
    user.plugin.entry_file.write_text("{")
    assert user.runs("logout", "--all").returncode == 0
    assert list(user.plugin.cache.glob("*.json*")) == []


def read_until(screen: int, wanted: str) -> str:
    shown = ""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while wanted not in shown:
        assert time.monotonic() < deadline, shown
        if select.select([screen], [], [], 0.2)[0]:
            shown += os.read(screen, 65536).decode()
    return shown
