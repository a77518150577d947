"""Sessions that kzproxy keeps, as users and administrators see and end them."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kzproxy.administrator.session import SessionRecord
from kzproxy.administrator.session_entry import session_put
from kzproxy.clock.system import SystemClock
from kzproxy.store.sqlite import SqliteStore
from kzproxy.store.store import Put
from tests.proxy.eventually import eventually
from tests.proxy.issuer_thread import issuer_in_thread
from tests.proxy.process import running_proxy
from tests.proxy.raw_client import Answer
from tests.proxy.world import World, configuration, request
from tests.servers.authority import Authority
from tests.servers.scripted_api_server import scripted_api_server

SESSION, SESSIONS = "/kzproxy.dev/v1/session", "/kzproxy.dev/v1/sessions"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("sessions")
    authority = Authority.root()
    made = subprocess.run(
        [sys.executable, "-m", "kzproxy", "store", "new-key"], capture_output=True, check=True
    )
    (directory / "store.keys").write_bytes(made.stdout)
    with (
        issuer_in_thread(directory, authority) as issuer,
        scripted_api_server(directory, authority) as api_server,
    ):
        settings = configuration(directory, authority, issuer, api_server.upstream())
        settings["store"] = {"file": "kept.db", "keysFile": "store.keys"}
        with running_proxy(directory, settings) as proxy:
            yield World(directory, authority, issuer, proxy)


def session(number: int, user: str, device: str = "") -> SessionRecord:
    now = datetime.now(UTC)
    return SessionRecord(
        id=f"{number:032x}",
        username=user,
        issuer="https://idp.example.com",
        subject=user,
        began_at=now,
        ends_at=now + timedelta(hours=1),
        seen_at=now,
        verified_at=now,
        key_thumbprint="ab" * 32,
        device_id=device,
        refresh=b"a sealed token",
    )


def keep(world: World, *records: SessionRecord) -> None:
    """Write sessions as another worker does, and wait until this one has them."""

    async def write() -> None:
        store = SqliteStore.open(world.directory / "kept.db", SystemClock())
        await store.write(*(session_put(record, None) for record in records))
        await store.close()

    asyncio.run(write())
    deadline = time.monotonic() + 10
    while ask(world, "GET", f"{SESSIONS}/{records[-1].id}").status != 200:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ask(world: World, method: str, target: str, *groups: str) -> Answer:
    with world.client() as client:
        return client.ask(request(method, target, world.token("root", *(groups or ("testers",)))))


def listed(world: World, query: str = "") -> set[str]:
    return {one["id"] for one in ask(world, "GET", SESSIONS + query).json["sessions"]}


def test_the_issuers_own_token_is_no_session(world: World) -> None:
    shown = ask(world, "GET", SESSION).json
    assert (shown["mode"], shown["user"]) == ("direct", "t:root")
    assert ask(world, "DELETE", SESSION).status == 400


def test_sessions_are_shown_to_whom_policy_permits_alone(world: World) -> None:
    assert ask(world, "GET", SESSIONS, "readers").status == 403
    assert ask(world, "GET", SESSIONS).status == 200


def test_what_another_worker_keeps_is_shown_here(world: World) -> None:
    keep(world, session(1, "t:alice", "laptop"), session(2, "t:bob"))
    assert {session(1, "").id, session(2, "").id} <= listed(world)
    assert listed(world, "?user=t%3Aalice") == {session(1, "").id}
    assert listed(world, "?device=laptop") == {session(1, "").id}
    shown = ask(world, "GET", f"{SESSIONS}/{session(1, '').id}")
    assert shown.json["device"] == "laptop"
    assert b"sealed" not in shown.body


def test_an_ended_session_is_kept_for_those_who_ask(world: World) -> None:
    keep(world, session(11, "t:carol"))
    answer = ask(world, "DELETE", f"{SESSIONS}/{session(11, '').id}?message=laptop%20lost")
    assert answer.json == {"ended": [session(11, "").id]}
    assert session(11, "").id not in listed(world)
    assert session(11, "").id in listed(world, "?ended=true")
    shown = ask(world, "GET", f"{SESSIONS}/{session(11, '').id}").json
    assert (shown["cause"], shown["endedBy"], shown["holds"]) == ("revoked", "t:root", False)
    assert "laptop lost" in shown["because"]
    decision, _ = world.proxy.finished(answer.audit_id)
    assert (decision["decision"], decision["request"]["verb"]) == ("permit", "delete")


def test_all_sessions_of_a_user_or_a_device_end_together(world: World) -> None:
    keep(world, session(21, "t:dora", "d1"), session(22, "t:dora"), session(23, "t:emil", "d1"))
    assert set(ask(world, "DELETE", f"{SESSIONS}?user=t%3Adora").json["ended"]) == {
        session(21, "").id,
        session(22, "").id,
    }
    assert ask(world, "DELETE", f"{SESSIONS}?device=d1").json["ended"] == [session(23, "").id]


@pytest.mark.parametrize(
    ("method", "query"),
    [
        ("GET", "?user=t%3Afay&ended=true"),
        ("DELETE", "?device=lost&message=laptop+lost"),
        ("DELETE", "?user=t%3Afay&device=lost"),
    ],
)
def test_the_log_says_whose_sessions_an_administrator_looked_at_or_ended(
    world: World, method: str, query: str
) -> None:
    answer = ask(world, method, SESSIONS + query)
    assert answer.status == 200
    decision, _ = world.proxy.finished(answer.audit_id)
    assert decision["request"]["target"] == SESSIONS + query


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("DELETE", SESSIONS, 400),
        ("DELETE", f"{SESSIONS}?message=all", 400),
        ("GET", f"{SESSIONS}?user=a&user=b", 400),
        ("GET", f"{SESSIONS}?colour=red", 400),
        ("DELETE", f"{SESSIONS}/{'0' * 32}?user=a", 400),
        ("DELETE", f"{SESSIONS}?user=a&message={'x' * 201}", 400),
        ("DELETE", f"{SESSIONS}?user=a&message=%1b%5b2J", 400),
        ("GET", f"{SESSIONS}/{'f' * 32}", 404),
        ("GET", f"{SESSIONS}/nonsense", 404),
        ("PUT", SESSIONS, 405),
    ],
)
def test_what_is_not_clear_ends_nothing(
    world: World, method: str, target: str, status: int
) -> None:
    assert ask(world, method, target).status == status


def test_a_store_that_cannot_be_opened_is_said(tmp_path: Path) -> None:
    authority = Authority.root()
    with (
        issuer_in_thread(tmp_path, authority) as issuer,
        scripted_api_server(tmp_path, authority) as api_server,
    ):
        settings = configuration(tmp_path, authority, issuer, api_server.upstream())
        (tmp_path / "kept.db").write_bytes(b"no database" * 500)
        (tmp_path / "store.keys").write_text("AAAA\n")
        settings["store"] = {"file": "kept.db", "keysFile": "store.keys"}
        settings["listen"]["address"] = "127.0.0.1:0"
        file = tmp_path / "kzproxy.yaml"
        file.write_text(json.dumps(settings))
        command = [sys.executable, "-m", "kzproxy", "serve", "--config", str(file)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ended.returncode == 2
        assert "line 1 is not 32 bytes in Base64" in ended.stderr
        assert "AAAA" not in ended.stderr
        made = [sys.executable, "-m", "kzproxy", "store", "new-key"]
        (tmp_path / "store.keys").write_bytes(subprocess.check_output(made))
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ended.returncode == 2
        assert "cannot be used as a store" in ended.stderr


def poison(world: World, key: str) -> None:
    async def write() -> None:
        store = SqliteStore.open(world.directory / "kept.db", SystemClock())
        await store.write(Put(kind="revocation", key=key, value=b'{"of": "a newer version"}'))
        await store.close()

    asyncio.run(write())


def eventually_asked(world: World, status: int) -> Answer:
    deadline = time.monotonic() + 10
    while (answer := ask(world, "GET", SESSIONS)).status != status:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return answer


def test_a_revocation_that_cannot_be_read_refuses_everybody_until_it_is_dropped(
    world: World,
) -> None:
    poison(world, "0123")
    refused = eventually_asked(world, 503)
    assert "cannot tell whether your sign-in still holds" in refused.json["message"]
    status, ready = world.proxy.ops("/readyz")
    detail = json.loads(ready)
    assert (status, detail["ready"]) == (503, False)
    assert "everybody is refused: revocation 0123 cannot be read" in detail["checks"]["store"]
    assert "revocation 0123" in detail["checks"]["store-entries"]
    metric = 'kzproxy_store_unreadable_entries{kind="revocation"} 1.0'
    assert metric in world.proxy.ops("/metrics")[1]
    world.proxy.stop()
    world.proxy.launch()
    eventually(lambda: "serving on" in world.proxy.diagnostics.rpartition("stopped")[2])
    assert ask(world, "GET", SESSIONS).status == 503
    assert "the store's entry revocation 0123 cannot be read" in world.proxy.diagnostics
    dropping = [sys.executable, "-m", "kzproxy", "store", "drop", "revocation", "0123"]
    dropping += ["--file", str(world.directory / "kept.db")]
    dropped = subprocess.run(dropping, capture_output=True, text=True, check=True)
    assert dropped.stdout == "dropped revocation 0123\n"
    eventually_asked(world, 200)
    assert world.proxy.ops("/readyz")[0] == 200
    again = subprocess.run(dropping, capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert "has no entry revocation 0123" in again.stderr
