"""An upgrade puts other files in place of those that a running kzproxy was started from."""

import json
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml

from tests.proxy.eventually import eventually
from tests.proxy.process import ProxyProcess
from tests.proxy.sign_in_world import POLICY, SignInWorld, running_sign_in_world
from tests.servers.authority import Authority
from tests.servers.scripted_api_server import scripted_api_server

PACKAGE = Path(__file__).parents[2] / "kzproxy"
EXPRESSION = 'request.namespace == "default"'


@dataclass
class Installed:
    """A kzproxy that serves from a copy of the package, which a test may replace."""

    world: SignInWorld
    package: Path

    def take_away(self) -> None:
        shutil.rmtree(self.package)

    def replace(self) -> None:
        self.take_away()
        copy_package(self.package)

    def put_policy(self, *, when: str) -> None:
        first, *others = POLICY["rules"]
        changed = POLICY | {"rules": [first | {"when": when}, *others]}
        self.put(yaml.safe_dump(changed))

    def put(self, policy: str) -> None:
        file = self.world.directory / "policy.yaml"
        file.with_suffix(".new").write_text(policy)
        file.with_suffix(".new").rename(file)

    def configuration(self) -> str:
        """What is said for operators of the last reload."""
        return str(json.loads(self.world.proxy.ops("/readyz")[1]))

    def reloads(self, outcome: str) -> float:
        _, text = self.world.proxy.ops("/metrics")
        found = re.search(
            rf'^kzproxy_config_reloads_total{{outcome="{outcome}"}} (.*)$', text, re.MULTILINE
        )
        return float(found[1]) if found else 0.0


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


def test_expressions_are_judged_by_what_they_were_read_with(installed: Installed) -> None:
    machine = installed.world.machine().signed_in()
    installed.put_policy(when=EXPRESSION)
    eventually(lambda: installed.reloads("success") == 1, lambda: installed.world.proxy.diagnostics)
    installed.take_away()
    assert machine.ask().status == 200
    assert machine.ask("/api/v1/namespaces/other/pods").status == 403


def test_what_needs_nothing_new_is_put_in_force(installed: Installed) -> None:
    machine = installed.world.machine().signed_in()
    installed.replace()
    installed.put(yaml.safe_dump(POLICY | {"rules": POLICY["rules"][1:]}))
    eventually(lambda: installed.reloads("success") == 1, lambda: installed.world.proxy.diagnostics)
    assert machine.ask().status == 403


def test_no_part_of_another_version_is_loaded(installed: Installed) -> None:
    machine = installed.world.machine().signed_in()
    installed.replace()
    installed.put_policy(when=EXPRESSION)
    eventually(lambda: installed.reloads("failure") == 1, lambda: installed.world.proxy.diagnostics)
    assert "its files were replaced since it was started" in installed.configuration()
    assert "restart kzproxy" in installed.configuration()
    assert machine.ask("/api/v1/namespaces/other/pods").status == 200

    installed.put(yaml.safe_dump(POLICY | {"rules": POLICY["rules"][1:]}))
    eventually(lambda: installed.reloads("success") == 1, lambda: installed.world.proxy.diagnostics)
    assert machine.ask().status == 403


def test_nor_does_one_that_is_gone_look_like_a_bug(installed: Installed) -> None:
    installed.take_away()
    installed.put_policy(when=EXPRESSION)
    eventually(lambda: installed.reloads("failure") == 1, lambda: installed.world.proxy.diagnostics)
    assert "restart kzproxy" in installed.configuration()
    assert "bug" not in installed.world.proxy.diagnostics
