"""The foreign provider ends with the tests that started it."""

import contextlib
import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from tests.servers.authority import Authority
from tests.servers.foreign_idp.process import HERE

ROOT = Path(__file__).parents[3]
PATIENCE_SECONDS = 30

HOLD = """
import sys, time
from pathlib import Path
from tests.servers.foreign_idp.process import running_foreign_idp
directory = Path(sys.argv[1])
with running_foreign_idp(
    directory,
    certificate_file=directory / "idp.crt",
    private_key_file=directory / "idp.key",
    ca_file=directory / "ca.crt",
) as idp:
    print(idp.issuer, flush=True)
    sys.stdin.read()
"""


def test_it_ends_when_its_tests_are_killed(tmp_path: Path) -> None:
    Authority.root().server("localhost").write_to(tmp_path, "idp")
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=-1, stdout=-1, text=True) as tests:
        assert tests.stdout
        issuer = urlsplit(tests.stdout.readline().strip())
        address = ("127.0.0.1", issuer.port or 0)
        socket.create_connection(address, timeout=5).close()
        tests.kill()
    deadline = time.monotonic() + PATIENCE_SECONDS
    with contextlib.suppress(ConnectionRefusedError):
        while True:
            socket.create_connection(address, timeout=5).close()
            assert time.monotonic() < deadline, "it outlives its tests"
            time.sleep(0.05)


def test_what_is_installed_is_locked_by_content_and_from_no_registry_in_particular() -> None:
    lock = json.loads((HERE / "package-lock.json").read_text())
    installed = [package for name, package in lock["packages"].items() if name]
    assert installed
    assert all(package["integrity"].startswith("sha512-") for package in installed)
    assert not any("resolved" in package for package in installed)
