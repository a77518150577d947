"""`kzproxy login` and its neighbours, as a user runs them, at a real kzproxy's own sign-in."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.client.chromium import UrlPipe
from tests.proxy.sign_in_world import SignInWorld, running_sign_in_world
from tests.servers.authority import Authority
from tests.servers.scripted_api_server import scripted_api_server

PATIENCE_SECONDS = 60


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignInWorld]:
    directory, authority = tmp_path_factory.mktemp("login"), Authority.root()
    with (
        scripted_api_server(directory, authority) as server,
        running_sign_in_world(directory, authority, server.upstream()) as world,
    ):
        yield world


class User:
    """Somebody with a kubeconfig that ``kzproxy kubeconfig`` wrote."""

    def __init__(self, world: SignInWorld, home: Path, *options: str) -> None:
        self.world = world
        self.home = home
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "HOME": str(home),
            "KUBECONFIG": str(home / "config"),
            "KZPROXY_CACHE_DIR": str(home / "sign-ins"),
        }
        self.run(
            *("kubeconfig", f"--output={home / 'config'}"),
            f"--server=https://localhost:{world.proxy.port}",
            *(f"--server-ca={world.ca_file}", f"--sign-in-url={world.url}"),
            *options,
        )

    def begin(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "kzproxy", *arguments],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> str:
        process = self.begin(*arguments)
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 0, (out, err)
        return out + err

    def refused(self, *arguments: str) -> str:
        process = self.begin(*arguments)
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode != 0, (out, err)
        return out + err


def test_login_with_a_browser_then_whoami_then_logout(world: SignInWorld, tmp_path: Path):
    pipe = UrlPipe(tmp_path)
    user = User(world, tmp_path, f"--browser-command={pipe.command}")
    login = user.begin("login")
    with world.browser() as browser:
        back = browser.walk(pipe.url())
        assert isinstance(back, str)
        browser.http.get(back)
    out, err = login.communicate(timeout=PATIENCE_SECONDS)
    assert login.returncode == 0, (out, err)
    assert "idp:operator" in out + err
    assert "idp:operator" in user.run("whoami")
    session = json.loads(user.run("whoami", "--ask", "-o", "json"))
    assert "idp:operator" in json.dumps(session)
    assert "Signed out here and at kzproxy." in user.run("logout")
    assert "you are not signed in" in user.refused("whoami")
    assert world.events("auth.sign-out")[-1]["user"]["name"] == "idp:operator"


def test_login_with_a_device_code(world: SignInWorld, tmp_path: Path):
    user = User(world, tmp_path, "--flow=device-code")
    login = user.begin("login")
    assert login.stderr is not None
    _, uri, code = (login.stderr.readline().split()[-1] for _ in range(3))
    assert uri == f"{world.url}/device"
    with world.browser() as browser:
        confirm = browser.submit(browser.get("/device"), user_code=code)
        end = browser.onward(browser.submit(confirm, provider=world.idp.issuer))
        assert isinstance(end, httpx.Response)
        assert "You are signed in" in end.text
    out, err = login.communicate(timeout=PATIENCE_SECONDS)
    assert login.returncode == 0, (out, err)
    assert "idp:operator" in user.run("whoami")


def test_login_by_pasting_a_code(world: SignInWorld, tmp_path: Path):
    user = User(world, tmp_path, "--flow=paste")
    login = user.begin("login")
    assert login.stderr is not None
    url = ""
    while not url:
        line = login.stderr.readline()
        assert line, "no URL was shown"
        found = re.search(r"https://\S+", line)
        url = found[0] if found else ""
    with world.browser() as browser:
        end = browser.walk(url)
    assert isinstance(end, httpx.Response)
    [code] = re.findall(r'class="shown long"[^>]*>([^<]+)<', end.text)
    out, err = login.communicate(code + "\n", timeout=PATIENCE_SECONDS)
    assert login.returncode == 0, (out, err)
    assert "idp:operator" in user.run("whoami")
