"""What state a device is in, on a running kzproxy: shown, asked of providers, and judged by."""

import asyncio
import contextlib
import http.server
import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kzproxy.attributes.device import Fact
from kzproxy.clock.system import SystemClock
from kzproxy.devices.device_record import ApprovedBy
from kzproxy.posture.record import KeptCheck, PostureRecord, posture_put
from kzproxy.posture.source import SourceKind
from kzproxy.store.sqlite import SqliteStore
from tests.proxy.issuer_thread import issuer_in_thread
from tests.proxy.process import running_proxy
from tests.proxy.raw_client import RawClient
from tests.proxy.world import POLICY, PREFIX, World, configuration, request
from tests.server.test_devices import (
    DEVICES,
    MDM,
    ask,
    configmaps,
    endless_watches,
    enrolled,
    keep,
    record,
    with_devices,
    write,
)
from tests.servers.authority import Authority
from tests.servers.scripted_api_server import scripted_api_server

PODS = {"verbs": ["list", "watch"], "apiGroups": [""], "resources": ["pods"]}
RULES = [
    *POLICY["rules"],
    {
        "id": "guarded-pods",
        "effect": "allow",
        "subjects": {"groups": [f"{PREFIX}guarded"]},
        "match": [PODS],
        "conditions": {"device": {"checks": {"passed": ["secure_boot"]}}},
    },
    {
        "id": "locked-pods",
        "effect": "allow",
        "subjects": {"groups": [f"{PREFIX}locked"]},
        "match": [PODS],
        "conditions": {"device": {"checks": {"passed": ["screen_lock"]}}},
    },
]
WATCH = "/api/v1/namespaces/dev/pods?watch=true"


class Mdm:
    """Stands in for an MDM: what it answers by path, over HTTP on this machine."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, str]] = []


@contextlib.contextmanager
def running_mdm() -> Iterator[tuple[Mdm, int]]:
    mdm = Mdm()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            mdm.asked.append((self.path, self.headers.get("X-Key", "")))
            answer = mdm.answers.get(self.path)
            body = json.dumps(answer).encode()
            self.send_response(200 if answer is not None else 404)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield mdm, server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def mdm() -> Iterator[tuple[Mdm, int]]:
    with running_mdm() as running:
        yield running


@pytest.fixture(scope="module")
def world(mdm: tuple[Mdm, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("posture")
    authority = Authority.root()
    with (
        issuer_in_thread(directory, authority) as issuer,
        scripted_api_server(directory, authority) as api_server,
    ):
        api_server.script = endless_watches
        settings = configuration(directory, authority, issuer, api_server.upstream())
        with_devices(settings, directory, authority)
        (directory / "mdm.headers").write_text("X-Key: secret-key\n")
        settings["posture"] = {
            "ttlSeconds": {"screen_lock": 8},
            "providers": [
                {
                    "name": "mdm",
                    "kind": "mdm",
                    "url": f"http://127.0.0.1:{mdm[1]}/d/{{id}}",
                    "headersFile": "mdm.headers",
                    "everySeconds": 5,
                    "mapping": {
                        "checks": {"firewall": {"pointer": "/fw", "passed": ["on"]}},
                        "os": "/os",
                    },
                },
                {
                    "name": "inventory",
                    "kind": "mdm",
                    "url": f"http://127.0.0.1:{mdm[1]}/s/{{serial}}",
                    "everySeconds": 5,
                    "mapping": {"checks": {"managed": {"pointer": "/managed", "passed": [True]}}},
                },
            ],
        }
        (directory / "policy.yaml").write_text(json.dumps(POLICY | {"rules": RULES}))
        with running_proxy(directory, settings) as proxy:
            yield World(directory, authority, issuer, proxy)


def say(world: World, device: str, age: float = 0, **facts: Fact) -> None:
    """Have a device report, as it would to another worker."""
    said = PostureRecord(
        device_id=device,
        source="self+key",
        kind=SourceKind.SELF_KEY,
        observed_at=datetime.now(UTC) - timedelta(seconds=age),
        checks={name: KeptCheck(fact=fact, why="told so") for name, fact in facts.items()},
        os="ubuntu",
        os_version="24.04",
    )
    write(world, posture_put(said))


def shown(world: World, device: str) -> dict[str, Any]:
    """Return what an administrator is shown of a device's checks, by name."""
    posture = ask(world, "GET", f"{DEVICES}/{device}").json.get("posture", {})
    return {check["name"]: check for check in posture.get("checks", [])}


def until(condition: Any, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_a_device_said_is_shown_with_its_reasons(world: World) -> None:
    enrolled(world, "p1", "alice")
    say(world, "p1", disk_encrypted=Fact.PASSED, screen_lock=Fact.FAILED)
    until(lambda: shown(world, "p1"))

    checks = shown(world, "p1")

    assert (checks["disk_encrypted"]["fact"], checks["disk_encrypted"]["source"]) == (
        "passed",
        "self+key",
    )
    assert (checks["screen_lock"]["fact"], checks["screen_lock"]["why"]) == ("failed", "told so")
    until(lambda: shown(world, "p1")["screen_lock"]["fact"] == "unknown")
    assert shown(world, "p1")["screen_lock"]["why"] == "it was told too long ago"


@contextlib.contextmanager
def watching(world: World, files: tuple[Path, Path], group: str) -> Iterator[RawClient]:
    with world.client(certificate=files) as client:
        client.send(request("GET", WATCH, world.token("vera", group)))
        assert client.head()[0] == 200
        yield client


def test_a_fact_that_turns_ends_the_watches_that_rest_on_it_and_no_others(world: World) -> None:
    mine, other = enrolled(world, "p3", "vera"), enrolled(world, "p4", "wim")
    for device in ("p3", "p4"):
        say(world, device, secure_boot=Fact.PASSED, disk_encrypted=Fact.PASSED)
    until(lambda: shown(world, "p3") and shown(world, "p4"))
    with (
        watching(world, mine, "guarded") as cut,
        watching(world, mine, "readers") as unguarded,
        watching(world, other, "guarded") as neighbour,
    ):
        say(world, "p3", secure_boot=Fact.PASSED, disk_encrypted=Fact.FAILED)
        assert cut.is_quiet()

        say(world, "p3", secure_boot=Fact.FAILED, disk_encrypted=Fact.FAILED)
        end = cut.to_end()

        assert b"passed secure_boot" in end
        assert unguarded.is_quiet()
        assert neighbour.is_quiet()
    with world.client(certificate=mine) as client:
        refused = client.ask(request("GET", WATCH, world.token("vera", "guarded")))
    assert refused.status == 403
    assert "secure_boot failed" in refused.message


def test_a_fact_that_grows_old_ends_the_watch_that_rests_on_it(world: World) -> None:
    files = enrolled(world, "p5", "vera")
    say(world, "p5", screen_lock=Fact.PASSED)
    until(lambda: shown(world, "p5"))

    with watching(world, files, "locked") as client:
        end = client.to_end()

    assert b"screen_lock" in end
    assert shown(world, "p5")["screen_lock"]["fact"] == "unknown"


def test_a_fresh_report_keeps_the_watch_alive_over_the_old_ones_end(world: World) -> None:
    files = enrolled(world, "p6", "vera")
    say(world, "p6", screen_lock=Fact.PASSED)
    until(lambda: shown(world, "p6"))

    with watching(world, files, "locked") as client:
        for _ in range(10):
            time.sleep(1)
            say(world, "p6", screen_lock=Fact.PASSED)
        assert client.is_quiet()


def test_a_provider_is_asked_and_its_word_counts(world: World, mdm: tuple[Mdm, int]) -> None:
    mdm[0].answers["/d/p2"] = {"fw": "on", "os": "macos"}
    enrolled(world, "p2", "bob")
    until(lambda: shown(world, "p2"))

    posture = ask(world, "GET", f"{DEVICES}/p2").json["posture"]

    assert posture["os"] == "macos"
    assert posture["checks"][0]["source"] == "mdm"
    assert ("/d/p2", "secret-key") in mdm[0].asked
    events = [one for one in world.proxy.records() if one.get("event") == "device.posture"]
    (event,) = [one for one in events if one["device"]["id"] == "p2"]
    assert (event["by"], event["details"]) == (
        "mdm",
        {"changed": "firewall unknown -> passed, os unknown -> macos"},
    )
    assert "posture-mdm" in world.proxy.ops("/readyz")[1]
    status, metrics = world.proxy.ops("/metrics")
    assert status == 200
    assert 'kzproxy_posture_provider_answers_total{outcome="success",provider="mdm"}' in metrics


def test_a_device_inherits_nothing_by_a_serial_number_that_it_claims(
    world: World, mdm: tuple[Mdm, int]
) -> None:
    mdm[0].answers["/s/SER-1"] = {"managed": True}
    for name, how in (("s1", ApprovedBy.TOKEN), ("s2", ApprovedBy.ADMINISTRATOR)):
        claims = record(world.authority.device(name), name, "vera")
        keep(world, msgspec.structs.replace(claims, serial="SER-1", approved_how=how))
    until(lambda: shown(world, "s2"))
    assert shown(world, "s2")["managed"]["source"] == "inventory"
    mdm[0].asked.clear()
    until(lambda: mdm[0].asked.count(("/s/SER-1", "")) > 1, 30)
    assert shown(world, "s1") == {}
    assert "serialConfirmed" not in ask(world, "GET", f"{DEVICES}/s1").json

    confirmed = ask(world, "POST", f"{DEVICES}/s1/approve").json

    assert (confirmed["serialConfirmed"], confirmed["approvedHow"]) == (True, "admin")
    until(lambda: shown(world, "s1"), 30)


def test_a_device_of_the_mdms_ca_is_asked_about_by_its_name(
    world: World, mdm: tuple[Mdm, int]
) -> None:
    files = MDM.issue(common_names=["C02XL0"]).write_to(world.directory, "managed")
    assert configmaps(world, files, "emil").status == 200

    until(lambda: ("/d/C02XL0", "secret-key") in mdm[0].asked, 30)


def test_nothing_is_kept_of_a_device_that_is_forgotten(world: World) -> None:
    issued = world.authority.device("p7")
    keep(world, record(issued, "p7", "vera"))
    say(world, "p7", firewall=Fact.PASSED)
    until(lambda: shown(world, "p7"))

    assert ask(world, "DELETE", f"{DEVICES}/p7").status == 200

    until(lambda: not kept(world, "posture", "p7/self+key"))
    keep(world, record(issued, "p7", "vera"))
    assert shown(world, "p7") == {}


def kept(world: World, kind: str, key: str) -> bool:
    """Whether the store has it."""

    async def got() -> bool:
        store = SqliteStore.open(world.directory / "kept.db", SystemClock())
        entry = await store.get(kind, key)
        await store.close()
        return entry is not None

    return asyncio.run(got())


def test_a_provider_that_is_somewhere_else_now_is_asked_there(
    world: World, mdm: tuple[Mdm, int]
) -> None:
    enrolled(world, "p8", "wim")
    file = world.directory / "kzproxy.yaml"
    text = file.read_text()
    try:
        file.write_text(text.replace("/d/{id}", "/moved/{id}"))
        until(lambda: ("/moved/p8", "secret-key") in mdm[0].asked)
    finally:
        file.write_text(text)


def test_no_key_of_a_provider_is_in_any_log(world: World) -> None:
    log = world.proxy.decision_log.read_text() + world.proxy.diagnostics
    assert "secret-key" not in log


def test_a_mistake_in_the_section_is_named_with_its_place(world: World) -> None:
    file = world.directory / "kzproxy.yaml"
    text = file.read_text()
    try:
        file.write_text(text.replace("posture:", "posture:\n  patchDays: -1"))
        until(lambda: "must be from 0 to 3650" in world.proxy.diagnostics)
    finally:
        file.write_text(text)
    assert ask(world, "GET", f"{DEVICES}").status == 200
