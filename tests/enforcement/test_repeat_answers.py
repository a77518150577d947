"""Whatever kube-apiserver answers to a repeated request, it is as if that had had a task."""

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest

from kzproxy.transport.broken import StreamBroken
from tests.enforcement.served import PODS, Served, audit_id_of
from tests.proxy.world import PREFIX
from tests.servers.scripted_api_server import (
    ACCOUNT,
    Connection,
    answer,
    json_answer,
)

Behaviour = Callable[[Connection], None]
OK = answer(200, b'{"ok": true}')
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def sends(*parts: bytes) -> Behaviour:
    """Send each part as a record of its own."""

    def behave(connection: Connection) -> None:
        for part in parts:
            connection.send(part)

    return behave


def says_goodbye(connection: Connection) -> None:
    """End TLS, and keep the socket open until kzproxy does so too."""
    connection.tls.unwrap()


def then(*behaviours: Behaviour) -> Behaviour:
    def behave(connection: Connection) -> None:
        for each in behaviours:
            each(connection)

    return behave


def refusal(user: str) -> bytes:
    return json_answer(403, {"kind": "Status", "message": f'pods is forbidden: User "{user}" '})


BEHAVIOURS: dict[str, Behaviour] = {
    "whole": sends(OK),
    "chunked": sends(CHUNKED + b"2\r\nok\r\n0\r\n\r\n"),
    "chunked-in-parts": sends(CHUNKED + b"2\r\nok\r\n", b"0\r\n\r\n"),
    "chunked-cut-within-a-size": sends(CHUNKED + b"2", b"\r\nok\r\n0\r\n\r", b"\n"),
    "head-in-parts": sends(OK[:9], OK[9:30], OK[30:]),
    "head-then-body": sends(*OK.partition(b"\r\n\r\n")),
    "continue-and-answer": sends(b"HTTP/1.1 100 Continue\r\n\r\n" + OK),
    "hints-then-answer": sends(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", OK),
    "hints-only": then(sends(b"HTTP/1.1 103 Early Hints\r\n\r\n"), Connection.reset),
    "switching": sends(
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: SPDY/3.1\r\n\r\n"
    ),
    "surplus": sends(OK + answer(200, b"somebody else's")),
    "surplus-after-chunks": sends(CHUNKED + b"0\r\n\r\n" + OK),
    "connection-close": sends(answer(200, b"last", "connection: close")),
    "until-close": then(sends(b"HTTP/1.1 200 OK\r\n\r\nto the end"), says_goodbye),
    "until-close-cut": then(sends(b"HTTP/1.1 200 OK\r\n\r\nto the en"), Connection.reset),
    "unauthorized": sends(answer(401, b"")),
    "forbidden": sends(refusal(f"{PREFIX}ann")),
    "forbidden-account": sends(refusal(ACCOUNT)),
    "moved": sends(answer(301, b"", "location: https://elsewhere/")),
    "not-modified": sends(b"HTTP/1.1 304 Not Modified\r\netag: x\r\n\r\n"),
    "no-content": sends(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "not-found": sends(json_answer(404, {"message": "no"})),
    "failed": sends(json_answer(500, {"message": "no"})),
    "large": sends(answer(200, b"l" * 15_000)),
    "larger-than-a-record": sends(answer(200, b"l" * 60_000)),
    "not-http": sends(b"SSH-2.0-Go\r\n\r\n"),
    "two-lengths": sends(answer(200, b"ok", "content-length: 3")),
    "no-chunk": sends(CHUNKED + b"zz\r\n"),
    "reset": Connection.reset,
    "end": lambda connection: connection.tls.close(),
    "goodbye": says_goodbye,
    "cut-within-the-head": then(sends(OK[:20]), Connection.reset),
    "cut-within-the-body": then(sends(OK[:-3]), Connection.reset),
    "ended-within-the-body": then(sends(OK[:-3]), says_goodbye),
}


def counts(served: Served) -> Counter[str]:
    """Return what the metrics count, but for times and for what is common to all requests."""
    found: Counter[str] = Counter()
    for line in served.services.metrics.exposition().decode().splitlines():
        name, _, value = line.rpartition(" ")
        if name.startswith(COUNTED):
            found[name] = int(float(value))
    return found


async def becomes_of(served: Served, behaviour: Behaviour, asked: bytes, method: str) -> object:
    """Return all that is to be seen of one request, whose answer is ``behaviour``."""
    api_server = served.api_server
    api_server.script = lambda connection, _: connection.send(OK if method == "GET" else HEAD_OK)
    client = await served.warmed(served.get("ann", method=method))
    heads, connections = len(api_server.heads), api_server.connections
    before = counts(served)
    api_server.script = lambda connection, _: behaviour(connection)
    got: object
    try:
        async with asyncio.timeout(5):
            status, headers, body = await client.ask(asked)
        audit_id = headers.pop("audit-id")
        got = status, headers, body.replace(audit_id.encode(), b"<audit id>")
    except (StreamBroken, ConnectionError) as error:
        got = type(error)
    await served.check_accounts()
    outcome, counted = served.last_outcome(), counts(served) - before
    asked_for = len(api_server.heads) - heads
    api_server.script = lambda connection, _: connection.send(OK)
    assert (await (await served.connect()).ask(served.get("eve")))[0] == 200
    return (
        got,
        [outcome.get(name) for name in ("termination", "status_code", "message", "bytes_out")],
        asked_for,
        counted,
        # Whether the connection to kube-apiserver was kept for somebody else.
        api_server.connections - connections,
    )


HEAD_OK = b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n"
COUNTED = (
    "kzproxy_access_decisions",
    "kzproxy_requests",
    "kzproxy_request_duration_seconds_count",
    "kzproxy_stream_cuts",
    "kzproxy_upstream",
)


async def check_it_is_the_same(served: Served, behaviour: Behaviour, method: str = "GET") -> None:
    anew = served.get("ann", f"{PODS}?limit=1", method=method)
    with_a_task = await becomes_of(served, behaviour, anew, method)
    handled, *_ = served.noted.counts
    without = await becomes_of(served, behaviour, served.get("ann", method=method), method)

    assert without == with_a_task
    assert served.noted.handled == handled


@pytest.mark.parametrize("behaviour", BEHAVIOURS.values(), ids=BEHAVIOURS)
async def test_whatever_is_answered_becomes_the_same(served: Served, behaviour: Behaviour) -> None:
    await check_it_is_the_same(served, behaviour)


@pytest.mark.parametrize(
    "behaviour",
    [sends(HEAD_OK), sends(HEAD_OK + b"surplus"), sends(HEAD_OK[:30], HEAD_OK[30:])],
    ids=["whole", "surplus", "in-parts"],
)
async def test_an_answer_to_head_becomes_the_same(served: Served, behaviour: Behaviour) -> None:
    await check_it_is_the_same(served, behaviour, "HEAD")


@pytest.mark.parametrize(
    "end", [Connection.reset, lambda connection: connection.tls.close(), says_goodbye]
)
async def test_a_stale_connection_is_replaced(served: Served, end: Behaviour) -> None:
    client = await served.warmed(served.get("ann"))

    def once(connection: Connection, _: bytes) -> None:
        served.api_server.script = lambda connection, _: connection.send(answer(200, b"anew"))
        end(connection)

    served.api_server.script = once
    async with asyncio.timeout(5):
        status, headers, body = await client.ask(served.get("ann"))

    assert (status, body) == (200, b"anew")
    assert served.noted.handed_over == 1
    await served.check_accounts()
    # The same request, by its audit id, twice.
    assert [audit_id_of(head) for head in served.api_server.heads[1:]] == [headers["audit-id"]] * 2


async def test_a_request_with_a_body_of_no_bytes_becomes_the_same(served: Served) -> None:
    """Its connection to kube-apiserver is kept for the next, too."""
    head = served.get("ann", PODS, "Content-Length: 0")
    client = await served.warmed(head)
    for _ in range(3):
        assert (await client.ask(head))[0] == 200

    await served.check_accounts()
    assert served.api_server.connections == 1


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", f"{PODS}?watch=1"),
        ("GET", f"{PODS}/p/log"),
        ("GET", "/api/v1/namespaces/a/services/s/proxy/"),
        ("DELETE", f"{PODS}/p"),
        ("POST", f"{PODS}/p/exec?command=id"),
        ("GET", "/kzproxy.dev/v1/nothing"),
    ],
)
async def test_what_waits_or_writes_or_is_answered_here_has_its_task(
    served: Served, method: str, target: str
) -> None:
    client = await served.connect()
    for _ in range(3):
        status, _, _ = await client.ask(served.get("ann", target, method=method))
        assert status == (404 if "kzproxy" in target else 200)

    assert served.noted.counts == (3, 0, 0)
    await served.check_accounts()
