"""``kzproxy kubeconfig`` with real files."""

import base64
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from kzproxy.cli.kubeconfig import plugin_command
from tests.servers.authority import Authority

ROOT = Path(__file__).parents[2]
SERVER = "https://127.0.0.1:8443"
REQUIRED = [f"--server={SERVER}", "--issuer=https://issuer.test", "--client-id=kzproxy"]
AUTHORITY = Authority.root()


def kubeconfig(directory: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the command in ``directory``, where ``config`` is the kubeconfig."""
    return subprocess.run(
        [sys.executable, "-m", "kzproxy", "kubeconfig", *arguments],
        cwd=directory,
        env={"KUBECONFIG": str(directory / "config"), "PYTHONPATH": str(ROOT), "PATH": "/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def arguments_written(directory: Path) -> list[str]:
    document = yaml.safe_load((directory / "config").read_text())
    found: list[str] = document["users"][-1]["user"]["exec"]["args"]
    return found


def test_a_context_is_named_after_its_server_and_made_current(tmp_path: Path) -> None:
    done = kubeconfig(tmp_path, *REQUIRED)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "The current context is now '127.0.0.1:8443'." in done.stderr
    assert done.stderr.endswith("Try: kubectl auth whoami\n")
    document = yaml.safe_load((tmp_path / "config").read_text())
    assert document["current-context"] == "127.0.0.1:8443"


def test_an_added_context_need_not_be_current(tmp_path: Path) -> None:
    kubeconfig(tmp_path, *REQUIRED)
    done = kubeconfig(tmp_path, *REQUIRED, "--context=second", "--no-set-current")
    assert done.stderr.endswith("Try: kubectl --context=second auth whoami\n")
    document = yaml.safe_load((tmp_path / "config").read_text())
    assert document["current-context"] == "127.0.0.1:8443"
    again = kubeconfig(tmp_path, *REQUIRED, "--context=second")
    assert "The context 'second' is there already." not in again.stderr
    assert "is now 'second' (it was '127.0.0.1:8443')" in again.stderr
    third = kubeconfig(tmp_path, *REQUIRED, "--context=second")
    assert "The context 'second' is there already." in third.stderr


def test_files_are_named_by_their_absolute_paths(tmp_path: Path) -> None:
    AUTHORITY.device("laptop").write_to(tmp_path, "device")
    (tmp_path / "ca.crt").write_bytes(AUTHORITY.pem)
    files = ["--device-cert=device.crt", "--device-key=device.key", "--issuer-ca=ca.crt"]
    done = kubeconfig(tmp_path, *REQUIRED, *files, "--server-ca=ca.crt")
    assert done.returncode == 0, done.stderr
    written = arguments_written(tmp_path)
    assert f"--device-key={tmp_path / 'device.key'}" in written
    assert f"--issuer-ca={tmp_path / 'ca.crt'}" in written
    document = yaml.safe_load((tmp_path / "config").read_text())
    data = document["clusters"][0]["cluster"]["certificate-authority-data"]
    assert base64.b64decode(data) == AUTHORITY.pem
    assert "PRIVATE KEY" not in (tmp_path / "config").read_text()


def test_printing_writes_nothing(tmp_path: Path) -> None:
    done = kubeconfig(tmp_path, *REQUIRED, "--output=-", "--namespace=dev")
    assert yaml.safe_load(done.stdout)["contexts"][0]["context"]["namespace"] == "dev"
    assert list(tmp_path.iterdir()) == []


def test_another_file_can_be_named(tmp_path: Path) -> None:
    assert kubeconfig(tmp_path, *REQUIRED, "--output", "other").returncode == 0
    assert [file.name for file in tmp_path.iterdir()] == ["other"]


def test_a_differing_entry_needs_force(tmp_path: Path) -> None:
    kubeconfig(tmp_path, *REQUIRED)
    refused = kubeconfig(tmp_path, *REQUIRED, "--scope=email")
    assert refused.returncode == 1
    assert "replace it with --force" in refused.stderr
    assert kubeconfig(tmp_path, *REQUIRED, "--scope=email", "--force").returncode == 0
    assert "--scope=email" in arguments_written(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        ([], "--issuer URL is required", 2),
        (REQUIRED[1:], "--server must be kzproxy's https:// URL, not ''", 2),
        (["--server=http://x", *REQUIRED[1:]], "--server must be kzproxy's https:// URL", 2),
        (["--server=https://u@x", *REQUIRED[1:]], "--server must be kzproxy's https:// URL", 2),
        (["--server=https://[::1", *REQUIRED[1:]], "--server must be kzproxy's https:// URL", 2),
        (["--server=https://x:abc", *REQUIRED[1:]], "--server must be kzproxy's https:// URL", 2),
        ([*REQUIRED, "--server-ca=missing.crt"], "missing.crt cannot be opened", 1),
        ([*REQUIRED, "--server-ca=not-pem"], "holds no certificates in PEM", 1),
        ([*REQUIRED, "--issuer-ca=not-pem"], "holds no certificates in PEM", 1),
        ([*REQUIRED, "--client-secret-file=missing"], "missing cannot be opened", 1),
        (
            [*REQUIRED, "--device-cert=one.crt", "--device-key=two.key"],
            "is not that of the certificate",
            1,
        ),
    ],
)
def test_mistakes_are_found_before_anything_is_written(
    tmp_path: Path, arguments: list[str], said: str, code: int
) -> None:
    AUTHORITY.device("one").write_to(tmp_path, "one")
    AUTHORITY.device("two").write_to(tmp_path, "two")
    (tmp_path / "not-pem").write_text("nothing of the kind")
    done = kubeconfig(tmp_path, *arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert done.stderr.startswith("kzproxy: ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "config").exists()


def test_kubectl_is_given_the_absolute_path(tmp_path: Path) -> None:
    program = tmp_path / "kzproxy"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    assert plugin_command(str(program)) == [str(program)]
    assert plugin_command(str(ROOT / "kzproxy" / "__main__.py")) == [
        sys.executable,
        "-P",
        "-m",
        "kzproxy",
    ]
