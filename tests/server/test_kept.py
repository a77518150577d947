"""What is kept is read before anybody is served."""

import json
import resource
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import yaml

from kzproxy.clock.system import SystemClock
from kzproxy.demo.loopback_ports import free_ports
from kzproxy.store.sqlite import SqliteStore
from tests.proxy.eventually import eventually
from tests.proxy.issuer_thread import issuer_in_thread
from tests.proxy.process import ProxyProcess
from tests.proxy.sign_in_world import running_sign_in_world
from tests.proxy.world import configuration
from tests.servers.authority import Authority
from tests.servers.scripted_api_server import scripted_api_server

KZPROXY = (sys.executable, "-m", "kzproxy")


async def spoil(file: Path, statement: str) -> None:
    """Have a store of this version be other than it was made."""
    await SqliteStore.open(file, SystemClock()).close()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(statement)


async def served_with(directory: Path, statement: str) -> "subprocess.CompletedProcess[str]":
    """Serve where people sign in, with a spoilt store."""
    made = subprocess.run([*KZPROXY, "store", "new-key"], capture_output=True, check=True)
    (directory / "store.keys").write_bytes(made.stdout)
    (directory / "idp.secret").write_text("a client secret")
    authority = Authority.root()
    with (
        issuer_in_thread(directory, authority) as issuer,
        scripted_api_server(directory, authority) as api_server,
    ):
        settings = configuration(directory, authority, issuer, api_server.upstream())
        ports = free_ports(2)
        settings["listen"]["address"] = f"127.0.0.1:{ports[0]}"
        settings["store"] = {"file": "kept.db", "keysFile": "store.keys"}
        provider = {"clientID": "kzproxy", "clientSecretFile": "idp.secret"}
        settings["signIn"] = {
            "address": f"127.0.0.1:{ports[1]}",
            "url": f"https://localhost:{ports[1]}",
            "providers": [provider | {"issuer": issuer.url}],
        }
        (directory / "kzproxy.yaml").write_text(yaml.safe_dump(settings))
        await spoil(directory / "kept.db", statement)
        return subprocess.run(
            [*KZPROXY, "serve", "--log-level", "error", "--config", directory / "kzproxy.yaml"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


async def test_a_store_that_can_be_opened_and_not_read_is_named_in_a_line(tmp_path: Path) -> None:
    served = await served_with(tmp_path, "DROP TABLE entries")

    assert served.stderr == "kzproxy: store.file: cannot be read: store: no such table: entries\n"
    assert served.returncode == 2


async def test_a_store_that_can_be_read_and_not_written_is_named_in_a_line(tmp_path: Path) -> None:
    fails = "CREATE TRIGGER full BEFORE INSERT ON entries BEGIN SELECT RAISE(ABORT, 'full'); END"
    served = await served_with(tmp_path, fails)

    assert served.stderr == "kzproxy: store.file: cannot be written: store: full\n"
    assert served.returncode == 2


def test_a_store_that_can_be_written_no_more_is_told_of_while_requests_are_served(
    tmp_path: Path,
) -> None:
    authority = Authority.root()
    with (
        scripted_api_server(tmp_path, authority) as api_server,
        running_sign_in_world(tmp_path, authority, api_server.upstream()) as world,
    ):
        proxy = world.proxy
        assert store_writes(proxy) == (200, "ok")
        # EFBIG for every further byte: to SQLite the same as a disk that is full.
        full = (tmp_path / "kept.db-wal").stat().st_size
        resource.prlimit(proxy.pid, resource.RLIMIT_FSIZE, (full, resource.RLIM_INFINITY))
        eventually(lambda: store_writes(proxy) == (200, "disk I/O error"))
        unbounded = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(proxy.pid, resource.RLIMIT_FSIZE, unbounded)
        eventually(lambda: store_writes(proxy) == (200, "ok"))


def store_writes(proxy: ProxyProcess) -> tuple[int, str]:
    status, ready = proxy.ops("/readyz")
    return status, json.loads(ready)["checks"]["store-writes"]
