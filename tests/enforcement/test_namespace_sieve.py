"""Of namespaces a caller is shown those that it may see, however kube-apiserver lists them."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from kzproxy.attributes.api_object import Labels
from kzproxy.enforcement.namespace_sieve import WatchSieve, sieved_list
from kzproxy.enforcement.turns import Turns
from kzproxy.errors.kinds import UpstreamInvalid
from kzproxy.http.chunked_lines import ChunkedLines
from kzproxy.http.chunks import LAST_CHUNK, chunk
from kzproxy.http.messages import Chunked, Length, NoBody, ResponseHead
from kzproxy.http.websocket_frames import Opcode, server_frame
from tests.enforcement.ticks import Ticks

HEAD = ResponseHead(
    status=200, reason="OK", headers=(("content-type", "application/json"),), body=Chunked()
)


def namespace(name: str, **labels: str) -> dict[str, Any]:
    metadata = {"name": name, "uid": f"u-{name}"} | ({"labels": labels} if labels else {})
    return {"kind": "Namespace", "metadata": metadata, "spec": {"finalizers": ["kubernetes"]}}


def table(*namespaces: dict[str, Any]) -> dict[str, Any]:
    rows = [{"cells": [each["metadata"]["name"], "Active"], "object": each} for each in namespaces]
    return {"kind": "Table", "metadata": {"resourceVersion": "5"}, "rows": rows}


def listing(*namespaces: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {
        "kind": "NamespaceList",
        "apiVersion": "v1",
        "metadata": {"resourceVersion": "5"} | metadata,
        "items": list(namespaces),
    }


def shows(name: str, labels: Labels) -> bool:
    return name.startswith("dev") or ("shared", "yes") in labels


DEV, PROD, SHARED = namespace("dev"), namespace("prod"), namespace("tools", shared="yes")


async def sieved(document: dict[str, Any]) -> dict[str, Any]:
    body = await sieved_list(HEAD, json.dumps(document).encode(), shows, Turns())
    found: dict[str, Any] = json.loads(body)
    return found


async def test_a_list_shows_some_whole_and_others_not_at_all() -> None:
    assert await sieved(listing(DEV, PROD, SHARED)) == listing(DEV, SHARED)


async def test_a_table_does_too() -> None:
    assert await sieved(table(PROD, DEV, SHARED)) == table(DEV, SHARED)


async def test_an_empty_list_stays_one() -> None:
    assert await sieved(listing()) == listing()
    assert (await sieved(listing() | {"items": None}))["items"] == []


async def test_a_page_is_not_shown_since_where_to_go_on_names_the_last_of_it() -> None:
    with pytest.raises(UpstreamInvalid):
        await sieved(listing(DEV, PROD, remainingItemCount=7, **{"continue": "prod"}))
    assert await sieved(listing(DEV, **{"continue": ""})) == listing(DEV, **{"continue": ""})


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{}",
        b'{"kind": "Status"}',
        json.dumps(listing({"metadata": {}})).encode(),
        json.dumps(table() | {"rows": [{"cells": ["prod"], "object": None}]}).encode(),
        b"k8s\0",
    ],
)
async def test_what_nobody_can_read_is_not_shown(body: bytes) -> None:
    with pytest.raises(UpstreamInvalid):
        await sieved_list(HEAD, body, shows, Turns())


async def test_many_lists_at_once_leave_others_their_turns() -> None:
    """Of all of them together a turn of the loop has a hundred judged, and each gets on."""
    ticks, turns, ended = Ticks(), Turns(), []

    def counted(name: str, _: Labels) -> bool:
        ticks.note()
        return name == "dev"

    async def one(number: int) -> None:
        body = json.dumps(listing(*[DEV] * 300)).encode()
        await sieved_list(HEAD, body, counted, turns)
        ended.append(number)

    with ticks:
        await asyncio.gather(*[one(number) for number in range(20)])
    assert max(ticks.noted.values()) == 100
    assert sum(ticks.noted.values()) == 6000
    assert ended == list(range(20))


@pytest.mark.parametrize(
    "headers",
    [
        (("content-type", "application/vnd.kubernetes.protobuf"),),
        (("content-type", "application/json"), ("content-encoding", "gzip")),
        (),
    ],
)
def test_only_plain_json_in_chunks_can_be_sieved(headers: tuple[tuple[str, str], ...]) -> None:
    sieve = WatchSieve(shows)
    with pytest.raises(UpstreamInvalid):
        sieve.check(ResponseHead(status=200, reason="OK", headers=headers, body=Chunked()))
    with pytest.raises(UpstreamInvalid):
        sieve.check(ResponseHead(status=200, reason="OK", headers=HEAD.headers, body=Length(3)))
    sieve.check(HEAD)


def event(kind: str, of: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": of}).encode() + b"\n"


def watched(*events: bytes) -> list[tuple[str, str]]:
    """Return type and name of what comes through, fed byte by byte."""
    sieve, lines, found = WatchSieve(shows), ChunkedLines(10_000), []
    body = b"".join(map(chunk, events)) + LAST_CHUNK
    for at in range(len(body)):
        found += lines.feed(sieve.feed(body[at : at + 1]))
    assert lines.done
    read = map(json.loads, found)
    return [(each["type"], each["object"].get("metadata", {}).get("name", "")) for each in read]


def test_a_watch_shows_the_events_of_some() -> None:
    assert watched(
        event("ADDED", DEV),
        event("ADDED", PROD),
        event("MODIFIED", PROD),
        event("DELETED", DEV),
        event("DELETED", PROD),
    ) == [("ADDED", "dev"), ("DELETED", "dev")]


def websocket(*frames: bytes) -> bytes:
    """Return what comes through of what kube-apiserver says after its 101, fed byte by byte."""
    sieve, said = WatchSieve(shows), b"".join(frames)
    sieve.check(ResponseHead(status=101, reason="", headers=(), body=NoBody(), upgrade="websocket"))
    return b"".join([sieve.feed(said[at : at + 1]) for at in range(len(said))])


def text(kind: str, of: dict[str, Any]) -> bytes:
    return server_frame(Opcode.TEXT, event(kind, of))


def test_a_watch_over_a_websocket_shows_the_events_of_some() -> None:
    """So the Java client of fabric8 watches, unless it is told not to."""
    ping, end = server_frame(Opcode.PING, b"p"), server_frame(Opcode.CLOSE, b"")
    unlabelled = namespace("tools")
    found = websocket(
        *(ping, text("ADDED", DEV), text("ADDED", PROD), text("ADDED", SHARED)),
        *(text("MODIFIED", unlabelled), text("DELETED", PROD), end),
    )
    gone = {"metadata": {"name": "tools", "uid": "u-tools"}, "kind": "Namespace"}
    told = json.dumps({"type": "DELETED", "object": gone}, separators=(",", ":")).encode()
    shown = text("ADDED", DEV) + text("ADDED", SHARED) + server_frame(Opcode.TEXT, told)
    assert found == ping + shown + end


@pytest.mark.parametrize(
    "said",
    [server_frame(Opcode.BINARY, event("ADDED", DEV)), server_frame(Opcode.TEXT, b"dev"), b"dev"],
)
def test_what_nobody_can_read_of_a_websocket_ends_the_watch(said: bytes) -> None:
    with pytest.raises(UpstreamInvalid):
        websocket(said)


def test_no_other_upgrade_is_sieved() -> None:
    head = ResponseHead(
        status=101, reason="", headers=HEAD.headers, body=NoBody(), upgrade="spdy/3.1"
    )
    with pytest.raises(UpstreamInvalid):
        WatchSieve(shows).check(head)


def test_rows_of_a_table_are_sieved_in_a_watch() -> None:
    assert len(watched(event("ADDED", table(DEV)), event("ADDED", table(PROD)))) == 1


def test_the_columns_of_a_table_come_with_the_first_that_is_shown() -> None:
    """kube-apiserver says them with its first event alone."""
    columns = {"columnDefinitions": [{"name": "Name"}]}
    first, second = table(PROD) | columns, table(DEV) | {"columnDefinitions": None}
    sieve, lines = WatchSieve(shows), ChunkedLines(10_000)
    body = b"".join(chunk(event("ADDED", each)) for each in (first, second, second))
    shown = [json.loads(line)["object"] for line in lines.feed(sieve.feed(body))]
    assert shown == [table(DEV) | columns, second]


def test_one_that_may_be_seen_no_longer_goes_and_may_come_again() -> None:
    assert watched(
        event("ADDED", SHARED),
        event("MODIFIED", namespace("tools")),
        event("MODIFIED", namespace("tools", more="1")),
        event("MODIFIED", SHARED),
    ) == [("ADDED", "tools"), ("DELETED", "tools"), ("MODIFIED", "tools")]


@pytest.mark.parametrize("form", [lambda each: each, table])
def test_what_it_is_by_then_is_not_told(form: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    sieve, lines = WatchSieve(shows), ChunkedLines(10_000)
    seen = form(namespace("tools", shared="yes"))
    hidden = form(namespace("tools", plans="secret"))
    body = chunk(event("ADDED", seen)) + chunk(event("MODIFIED", hidden))
    first, last = lines.feed(sieve.feed(body))
    assert json.loads(first)["object"] == seen
    assert json.loads(last)["type"] == "DELETED"
    assert b'"uid":"u-tools"' in last
    assert b"plans" not in last
    assert b"finalizers" not in last


def test_bookmarks_and_errors_come_through() -> None:
    bookmark = {"kind": "Namespace", "metadata": {"resourceVersion": "9"}}
    gone = {"kind": "Status", "code": 410}
    assert watched(event("BOOKMARK", bookmark), event("ERROR", gone)) == [
        ("BOOKMARK", ""),
        ("ERROR", ""),
    ]


def test_an_event_that_nobody_can_read_ends_the_watch() -> None:
    with pytest.raises(UpstreamInvalid):
        watched(b'{"type": "ADDED", "object": {"kind": "Namespace"}}\n')
