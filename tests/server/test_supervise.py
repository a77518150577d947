"""What several workers lack is said once, before any of them is started."""

import os
import subprocess
import sys
from pathlib import Path

import yaml

from kzproxy.demo.loopback_ports import free_ports
from tests.proxy.issuer_thread import issuer_in_thread
from tests.proxy.world import configuration
from tests.servers.authority import Authority
from tests.servers.scripted_api_server import scripted_api_server


def test_a_directory_whose_name_is_too_long_for_a_socket_in_it_is_named(tmp_path: Path) -> None:
    place = tmp_path / ("t" * 100)
    place.mkdir()
    authority = Authority.root()
    file = tmp_path / "kzproxy.yaml"
    command = [sys.executable, "-m", "kzproxy", "serve", "--workers", "2", "--config", file]
    with (
        issuer_in_thread(tmp_path, authority) as issuer,
        scripted_api_server(tmp_path, authority) as api_server,
    ):
        settings = configuration(tmp_path, authority, issuer, api_server.upstream())
        settings["listen"]["address"] = f"127.0.0.1:{free_ports(1)[0]}"
        file.write_text(yaml.safe_dump(settings))
        refused = subprocess.run(
            command,
            env=os.environ | {"TMPDIR": str(place)},
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )

    assert refused.returncode == 2
    assert refused.stderr.startswith(f"kzproxy: TMPDIR: workers cannot answer in {place}/kzproxy-")
    assert refused.stderr.endswith(": AF_UNIX path too long\n")
    assert refused.stderr.count("\n") == 1
    assert list(place.iterdir()) == []
