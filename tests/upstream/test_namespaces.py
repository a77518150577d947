"""The labels of namespaces are followed, and not believed for longer than they can be."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest

from kzproxy.errors.kinds import ServiceUnavailable
from kzproxy.http.chunks import LAST_CHUNK, chunk
from kzproxy.transport.alongside import alongside
from kzproxy.upstream.api_server import ApiServer
from kzproxy.upstream.namespaces import OUTAGE_SECONDS, NamespaceLabels
from tests.authentication.manual_clock import ManualClock
from tests.servers.scripted_api_server import Connection, ScriptedApiServer, json_answer

WATCH = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


def namespace(name: str, version: int = 1, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "resourceVersion": str(version), "labels": labels}}


def page(*items: dict[str, Any], version: int = 1, more: str = "") -> bytes:
    metadata = {"resourceVersion": str(version)} | ({"continue": more} if more else {})
    return json_answer(200, {"metadata": metadata, "items": list(items)})


def event(kind: str, of: dict[str, Any]) -> bytes:
    return chunk(json.dumps({"type": kind, "object": of}).encode() + b"\n")


class Cluster:
    """What the stand-in knows of namespaces: a list, and events that are sent when they come."""

    def __init__(self, stand_in: ScriptedApiServer) -> None:
        self.items = [namespace("dev", 1, tier="dev"), namespace("prod", 1, tier="prod")]
        self.watchers: list[Connection] = []
        self.refusal = 0
        self.stand_in = stand_in
        stand_in.script = self.answer

    def answer(self, connection: Connection, head: bytes) -> None:
        target = head.split(b" ", 2)[1].decode()
        if self.refusal:
            connection.send(json_answer(self.refusal, {"message": "no"}))
        elif "watch=1" in target:
            connection.send(WATCH)
            self.watchers.append(connection)
        elif "continue=" in target:
            connection.send(page(*self.items[1:], version=7))
        elif "limit=" in target:
            connection.send(page(self.items[0], version=7, more="next page"))
        else:
            name = target.rpartition("/")[2]
            found = [each for each in self.items if each["metadata"]["name"] == name]
            connection.send(json_answer(200, found[0]) if found else json_answer(404, {}))

    async def watched(self, times: int = 1) -> Connection:
        await until(lambda: len(self.watchers) >= times)
        return self.watchers[-1]


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


@pytest.fixture
def cluster(stand_in: ScriptedApiServer) -> Cluster:
    return Cluster(stand_in)


@pytest.fixture
def told() -> list[frozenset[str]]:
    return []


@pytest.fixture
def labels(
    api_server: ApiServer, clock: ManualClock, told: list[frozenset[str]]
) -> NamespaceLabels:
    return NamespaceLabels(api_server, clock, told.append)


@pytest.fixture
async def following(cluster: Cluster, labels: NamespaceLabels) -> AsyncIterator[Connection]:
    await labels.read()
    async with alongside(labels.run()):
        yield await cluster.watched()


async def test_all_pages_are_read(
    cluster: Cluster, labels: NamespaceLabels, told: list[frozenset[str]]
) -> None:
    assert labels.of("dev") is None
    await labels.read()
    assert labels.of("dev") == (("tier", "dev"),)
    assert labels.of("prod") == (("tier", "prod"),)
    assert labels.of("other") is None
    assert told == [frozenset({"dev", "prod"})]
    assert all(b"as=PartialObjectMetadataList" in head for head in cluster.stand_in.heads)


async def test_events_change_what_is_known_and_are_told(
    following: Connection, labels: NamespaceLabels, told: list[frozenset[str]]
) -> None:
    told.clear()
    dev = labels.of("dev")
    following.send(event("ADDED", namespace("new", 8, b="2", a="1")))
    await until(lambda: labels.of("new") == (("a", "1"), ("b", "2")))
    following.send(event("MODIFIED", namespace("prod", 9)) + event("DELETED", namespace("new", 10)))
    await until(lambda: labels.of("new") is None)
    assert labels.of("prod") == ()
    assert labels.of("dev") is dev, "remembered decisions go by the object"
    assert told == [frozenset({"new"}), frozenset({"prod"}), frozenset({"new"})]


async def test_what_changes_nothing_is_not_told(
    following: Connection, labels: NamespaceLabels, told: list[frozenset[str]]
) -> None:
    told.clear()
    following.send(event("MODIFIED", namespace("dev", 8, tier="dev")))
    following.send(event("BOOKMARK", namespace("", 9)))
    following.send(event("ADDED", namespace("new", 10)))
    await until(lambda: labels.of("new") is not None)
    assert told == [frozenset({"new"})]
    assert labels.of("") is None


async def test_a_watch_that_ends_is_taken_up_where_it_ended(
    cluster: Cluster, following: Connection
) -> None:
    following.send(event("BOOKMARK", namespace("", 42)) + LAST_CHUNK)
    await cluster.watched(2)
    assert b"resourceVersion=42" in cluster.stand_in.heads[-1]


@pytest.mark.parametrize("how", ["event", "status"])
async def test_a_version_that_has_expired_is_listed_anew(
    cluster: Cluster, following: Connection, labels: NamespaceLabels, how: str
) -> None:
    cluster.items[0] = namespace("dev", 50, tier="other")
    if how == "event":
        following.send(event("ERROR", {"code": 410}) + LAST_CHUNK)
    else:
        cluster.refusal, asked = 410, len(cluster.stand_in.heads)
        following.send(LAST_CHUNK)
        await until(lambda: len(cluster.stand_in.heads) > asked)
        cluster.refusal = 0
    await until(lambda: labels.of("dev") == (("tier", "other"),))
    await cluster.watched(2)


async def test_a_namespace_that_is_not_known_yet_can_be_looked_up(
    cluster: Cluster, labels: NamespaceLabels
) -> None:
    assert await labels.look_up("dev") == (("tier", "dev"),)
    assert await labels.look_up("none") is None
    cluster.refusal = 403
    assert await labels.look_up("dev") is None


async def test_what_nobody_can_read_is_listed_anew(
    cluster: Cluster, following: Connection, labels: NamespaceLabels
) -> None:
    """Watched from the same version, the same event would come for ever."""
    cluster.items[0] = namespace("dev", 50, tier="other")
    following.send(event("MODIFIED", {"metadata": {"name": "dev", "labels": ["no", "map"]}}))
    await until(lambda: labels.of("dev") == (("tier", "other"),))
    await cluster.watched(2)


async def test_a_server_that_always_wants_a_new_list_is_asked_less_and_less(
    cluster: Cluster, labels: NamespaceLabels, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited, sleep = [], asyncio.sleep

    async def soon(seconds: float) -> None:
        waited.append(seconds)
        await sleep(0.01)

    def answer(connection: Connection, head: bytes) -> None:
        cluster.answer(connection, head)
        if b"watch=1" in head:
            connection.send(event("ERROR", {"code": 410}) + LAST_CHUNK)

    cluster.stand_in.script = answer
    monkeypatch.setattr(asyncio, "sleep", soon)
    async with alongside(labels.run()):
        await until(lambda: 5.0 in waited)
    assert [each for each in waited if each >= 0.2][:4] == [0.2, 1.0, 2.0, 5.0]


async def test_a_list_that_expires_between_two_pages_is_no_bug(
    cluster: Cluster, labels: NamespaceLabels
) -> None:
    def answer(connection: Connection, head: bytes) -> None:
        if b"continue=" in head:
            connection.send(json_answer(410, {"code": 410}))
        else:
            cluster.answer(connection, head)

    cluster.stand_in.script = answer
    with pytest.raises(ServiceUnavailable, match="listed anew"):
        await labels.read()


async def test_an_account_that_may_not_list_is_told_what_it_needs(
    cluster: Cluster, labels: NamespaceLabels
) -> None:
    cluster.refusal = 403
    with pytest.raises(ServiceUnavailable, match="deploy/rbac/namespaces"):
        await labels.read()


async def test_after_an_outage_nothing_is_known_and_after_that_all_is_again(
    cluster: Cluster,
    following: Connection,
    labels: NamespaceLabels,
    clock: ManualClock,
    told: list[frozenset[str]],
) -> None:
    cluster.refusal = 503
    following.send(LAST_CHUNK)
    await until(lambda: labels.problem)
    assert labels.of("dev") == (("tier", "dev"),), "it may be a restart"
    told.clear()

    clock.advance(timedelta(seconds=OUTAGE_SECONDS + 1))
    await until(lambda: labels.of("dev") is None)
    assert told == [frozenset({"dev", "prod"})]

    cluster.refusal = 0
    assert labels.is_lost
    assert await labels.look_up("dev") is None, "nobody would see its labels change"
    await until(lambda: labels.of("dev") is not None)
    await until(lambda: not labels.problem)
