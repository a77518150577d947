"""What is kept is read before anybody is served."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import yaml

from kzproxy.clock.system import SystemClock
from kzproxy.demo.loopback_ports import free_ports
from kzproxy.store.sqlite import SqliteStore
from tests.proxy.issuer_thread import issuer_in_thread
from tests.proxy.world import configuration
from tests.servers.authority import Authority
from tests.servers.scripted_api_server import scripted_api_server

KZPROXY = (sys.executable, "-m", "kzproxy")


async def spoil(file: Path) -> None:
    """Have a store of this version lack what it keeps."""
    await SqliteStore.open(file, SystemClock()).close()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("DROP TABLE entries")


async def test_a_store_that_can_be_opened_and_not_read_is_named_in_a_line(tmp_path: Path) -> None:
    made = subprocess.run([*KZPROXY, "store", "new-key"], capture_output=True, check=True)
    (tmp_path / "store.keys").write_bytes(made.stdout)
    authority = Authority.root()
    with (
        issuer_in_thread(tmp_path, authority) as issuer,
        scripted_api_server(tmp_path, authority) as api_server,
    ):
        settings = configuration(tmp_path, authority, issuer, api_server.upstream())
        settings["listen"]["address"] = f"127.0.0.1:{free_ports(1)[0]}"
        settings["store"] = {"file": "kept.db", "keysFile": "store.keys"}
        (tmp_path / "kzproxy.yaml").write_text(yaml.safe_dump(settings))
        await spoil(tmp_path / "kept.db")
        served = subprocess.run(
            [*KZPROXY, "serve", "--log-level", "error", "--config", tmp_path / "kzproxy.yaml"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert served.stderr == ("kzproxy: store.file: cannot be read: store: no such table: entries\n")
    assert served.returncode == 2
