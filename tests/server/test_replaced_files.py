"""An upgrade puts other files in place of those that a running kzproxy was started from."""

import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.proxy.process import ProxyProcess
from tests.proxy.sign_in_world import SignInWorld, running_sign_in_world
from tests.servers.authority import Authority
from tests.servers.scripted_api_server import scripted_api_server

PACKAGE = Path(__file__).parents[2] / "kzproxy"


@dataclass
class Installed:
    """A kzproxy that serves from a copy of the package, which a test may replace."""

    world: SignInWorld
    package: Path

    def take_away(self) -> None:
        shutil.rmtree(self.package)


def copy_package(place: Path) -> None:
    shutil.copytree(PACKAGE, place, ignore=shutil.ignore_patterns("__pycache__"))


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installed]:
    package = tmp_path / "installed" / "kzproxy"
    copy_package(package)
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setattr(ProxyProcess, "program", (sys.executable, "-P", "-m", "kzproxy"))
    authority = Authority.root()
    with (
        scripted_api_server(tmp_path, authority) as api_server,
        running_sign_in_world(tmp_path, authority, api_server.upstream()) as world,
    ):
        yield Installed(world, package)


def test_pages_are_those_that_it_was_started_with(installed: Installed) -> None:
    installed.take_away()
    world, page_uri = installed.world, f"{installed.world.url}/code"
    machine = world.machine()
    with world.browser() as browser:
        end = browser.walk(machine.authorization(redirect_uri=page_uri))
        assert browser.get("/device").status_code == 200
    assert isinstance(end, httpx.Response)
    assert "idp:operator" in end.text
    [code] = re.findall(r'class="shown long"[^>]*>([^<]+)<', end.text)
    machine.take(machine.redeem(code, redirect_uri=page_uri))
    assert machine.ask().status == 200
    assert machine.take(machine.renew()).ask().status == 200
