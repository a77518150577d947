"""kzproxy says plainly why it does not start, and `config check` says the same without starting."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kzproxy.demo.control_plane import ControlPlane
from kzproxy.demo.loopback_ports import free_ports
from tests.cluster.kubectl import Kubectl
from tests.proxy.issuer_thread import issuer_in_thread
from tests.proxy.world import configuration
from tests.servers.authority import Authority

pytestmark = pytest.mark.cluster


@pytest.fixture
def settings(upstream_kubeconfig: Path, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """A configuration that serves; a test spoils it and calls ``kzproxy``."""
    authority = Authority.root()
    with issuer_in_thread(tmp_path, authority) as issuer:
        upstream = {"kubeconfig": {"file": str(upstream_kubeconfig)}}
        settings = configuration(tmp_path, authority, issuer, upstream)
        settings["listen"]["address"] = f"127.0.0.1:{free_ports(1)[0]}"
        yield settings


def kzproxy(
    directory: Path, settings: dict[str, Any], *arguments: str
) -> "subprocess.CompletedProcess[str]":
    (directory / "kzproxy.yaml").write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-m", "kzproxy", *arguments, str(directory / "kzproxy.yaml")]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def both(directory: Path, settings: dict[str, Any]) -> str:
    """Check and start; both must refuse with the same lines, which are returned."""
    checked = kzproxy(directory, settings, "config", "check")
    served = kzproxy(directory, settings, "serve", "--log-level", "error", "--config")
    assert (checked.returncode, served.returncode) == (2, 2)
    assert checked.stderr == served.stderr
    assert "Traceback" not in served.stderr
    return served.stderr


def kubeconfig(directory: Path, control_plane: ControlPlane, token: str) -> dict[str, Any]:
    server = yaml.safe_load(control_plane.admin_kubeconfig.read_text())["clusters"][0]["cluster"]
    (directory / "token").write_text(token)
    (directory / "api-ca.crt").write_bytes(control_plane.certificate_authority.read_bytes())
    return {
        "server": {
            "url": server["server"],
            "certificateAuthorityFile": "api-ca.crt",
            "tokenFile": "token",
        }
    }


def test_a_configuration_that_serves_is_ok(tmp_path: Path, settings: dict[str, Any]) -> None:
    checked = kzproxy(tmp_path, settings, "config", "check")
    as_json = kzproxy(tmp_path, settings, "config", "check", "--output=json")

    assert (checked.returncode, checked.stderr) == (0, "")
    assert "kzproxy acts as system:serviceaccount:kzproxy:kzproxy" in checked.stdout
    assert json.loads(as_json.stdout) == {
        "ok": True,
        "account": "system:serviceaccount:kzproxy:kzproxy",
        "mistakes": [],
    }


def test_an_admin_is_not_accepted_as_account(
    tmp_path: Path, settings: dict[str, Any], control_plane: ControlPlane
) -> None:
    settings["upstream"] = {"kubeconfig": {"file": str(control_plane.admin_kubeconfig)}}
    said = both(tmp_path, settings)

    assert "is in system:masters" in said
    assert "can list secrets without impersonating anybody" in said


def test_an_account_that_cannot_impersonate_is_not_accepted(
    tmp_path: Path, settings: dict[str, Any], control_plane: ControlPlane
) -> None:
    token = Kubectl.of(control_plane).out("create", "token", "default").strip()
    settings["upstream"] = kubeconfig(tmp_path, control_plane, token)
    said = both(tmp_path, settings)

    assert "kzproxy's account cannot impersonate" in said
    assert "apply deploy/rbac/constrained" in said


def test_a_credential_that_is_not_accepted_is_named(
    tmp_path: Path, settings: dict[str, Any], control_plane: ControlPlane
) -> None:
    settings["upstream"] = kubeconfig(tmp_path, control_plane, "not-a-token")
    said = both(tmp_path, settings)

    assert "kube-apiserver does not accept kzproxy's credential: 401" in said


def test_an_api_server_of_another_ca_is_not_believed(
    tmp_path: Path, settings: dict[str, Any], control_plane: ControlPlane
) -> None:
    settings["upstream"] = kubeconfig(tmp_path, control_plane, "irrelevant")
    (tmp_path / "api-ca.crt").write_bytes(Authority.root().pem)
    checked = kzproxy(tmp_path, settings, "config", "check")

    assert checked.returncode == 2
    assert "cannot reach kube-apiserver" in checked.stderr
    assert "certificate" in checked.stderr


def test_an_api_server_that_is_not_there_is_named(tmp_path: Path, settings: dict[str, Any]) -> None:
    (tmp_path / "token").write_text("t")
    port = free_ports(1)[0]
    settings["upstream"] = {"server": {"url": f"https://127.0.0.1:{port}", "tokenFile": "token"}}
    checked = kzproxy(tmp_path, settings, "config", "check")
    offline = kzproxy(tmp_path, settings, "config", "check", "--offline")

    assert checked.returncode == 2
    assert "cannot reach kube-apiserver" in checked.stderr
    assert "Connect call failed" in checked.stderr or "refused" in checked.stderr
    assert offline.returncode == 0


def test_a_certificate_without_its_key_is_named(tmp_path: Path, settings: dict[str, Any]) -> None:
    Authority.root().server("localhost").write_to(tmp_path, "other")
    settings["listen"]["privateKeyFile"] = "other.key"

    assert "tls.crt" in (said := both(tmp_path, settings))
    assert "key values mismatch" in said


def test_a_device_ca_that_is_none_is_named(tmp_path: Path, settings: dict[str, Any]) -> None:
    (tmp_path / "devices.pem").write_text("no certificate")
    settings["devices"] = {"certificateAuthorityFile": "devices.pem"}

    assert "devices.pem" in both(tmp_path, settings)


def test_an_address_that_is_taken_is_named(tmp_path: Path, settings: dict[str, Any]) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings["listen"]["address"] = f"127.0.0.1:{taken.getsockname()[1]}"
        served = kzproxy(tmp_path, settings, "serve", "--log-level", "error", "--config")

    assert served.returncode == 2
    assert "listen.address: cannot listen on 127.0.0.1:" in served.stderr


def test_mistakes_are_told_as_json_too(tmp_path: Path, settings: dict[str, Any]) -> None:
    settings["colour"] = "blue"
    checked = kzproxy(tmp_path, settings, "config", "check", "--output=json")

    told = json.loads(checked.stdout)
    assert (checked.returncode, told["ok"]) == (2, False)
    assert told["mistakes"][0]["line"] > 0
    assert "colour" in told["mistakes"][0]["message"]
