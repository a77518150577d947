"""The pool: what one exchange leaves behind must not reach the next, which is somebody else's."""

import asyncio
import threading

import pytest

from kzproxy.errors.kinds import DownstreamClosed, HeadTooLarge, UpstreamInvalid
from kzproxy.http.messages import NoBody, RequestHead
from kzproxy.upstream.api_server import ApiServer
from kzproxy.upstream.impersonation import Outgoing, own_request
from tests.servers.scripted_api_server import Connection, ScriptedApiServer, answer, json_answer


def get(target: str) -> RequestHead:
    return RequestHead(method="GET", target=target, headers=(("host", "upstream"),), body=NoBody())


async def test_a_connection_is_used_again(
    api_server: ApiServer, stand_in: ScriptedApiServer
) -> None:
    for number in range(3):
        stand_in.script = lambda c, _, number=number: c.send(json_answer(200, number))
        assert (await api_server.ask(get("/")))[1] == b"%d" % number
    assert stand_in.connections == 1


async def test_a_connection_that_was_failed_is_not_used_again(
    api_server: ApiServer, stand_in: ScriptedApiServer
) -> None:
    """A client that leaves in the last moment fails the connection after its answer was whole."""
    connection = await api_server.begin(own_request(get("/first")))
    await api_server.receive_head(connection, own_request(get("/first")))
    connection.buffered_body()
    assert connection.clean
    connection.stream.fail(DownstreamClosed("the client closed the connection"))
    api_server.end(connection)

    _, body = await api_server.ask(get("/second"))

    assert body == b'{"ok": true}'
    assert stand_in.connections == 2


def refuse() -> None:
    raise LookupError("no longer permitted")


async def test_a_request_that_may_no_longer_be_sent_once_connected_is_not(
    api_server: ApiServer, stand_in: ScriptedApiServer
) -> None:
    with pytest.raises(LookupError):
        await api_server.begin(own_request(get("/")), refuse)

    assert stand_in.heads == []


async def test_a_read_that_may_no_longer_be_sent_is_not_sent_again(
    api_server: ApiServer, stand_in: ScriptedApiServer
) -> None:
    await api_server.ask(get("/first"))
    stand_in.script = lambda connection, _: connection.tls.close()
    connection = await api_server.begin(own_request(get("/second")))
    with pytest.raises(LookupError):
        await api_server.receive_head(connection, own_request(get("/second")), confirm=refuse)
    api_server.end(connection)

    assert len(stand_in.heads) == 2


@pytest.mark.parametrize("seen", [True, False], ids=["noticed", "not-yet-noticed"])
async def test_what_comes_after_an_answer_is_nobodys_answer(
    api_server: ApiServer, stand_in: ScriptedApiServer, seen: bool
) -> None:
    asked, sent = threading.Event(), threading.Event()

    def twice(connection: Connection, _: bytes) -> None:
        connection.send(answer(200, b"first"))
        asked.wait(5)
        connection.send(answer(200, b"nobody asked for this"))
        sent.set()

    stand_in.script = twice
    assert (await api_server.ask(get("/first")))[1] == b"first"
    asked.set()
    while not sent.is_set():
        await asyncio.sleep(0.01) if seen else threading.Event().wait(0.01)
    stand_in.script = lambda c, _: c.send(answer(200, b"second"))

    assert (await api_server.ask(get("/second")))[1] == b"second"
    assert stand_in.connections == 2


async def test_an_answer_in_chunks_is_taken_out_of_them(
    api_server: ApiServer, stand_in: ScriptedApiServer
) -> None:
    """Go's server frames so what is over 2 KiB, as a review of an account in many groups is."""
    stand_in.script = lambda c, _: c.send(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        b'8\r\n{"groups\r\n4\r\n":1}\r\n0\r\n\r\n'
    )

    assert (await api_server.ask(get("/")))[1] == b'{"groups":1}'


async def test_a_head_that_kube_apiserver_would_not_read_is_not_sent(
    api_server: ApiServer, stand_in: ScriptedApiServer
) -> None:
    """It reads 1 MiB; a thousand groups with a prefix of a kilobyte are more."""
    groups = tuple(("impersonate-group", f"{'p' * 1024}:{number}") for number in range(1000))
    head = RequestHead(
        method="GET", target="/", headers=(("host", "upstream"), *groups), body=NoBody()
    )
    with pytest.raises(HeadTooLarge, match="groups"):
        await api_server.ask(head)

    assert stand_in.heads == []
    assert (await api_server.ask(get("/")))[1] == b'{"ok": true}'


def asking(method: str, *, upgrade: str = "") -> Outgoing:
    """Write a request without a body, which alone may be sent twice."""
    head = RequestHead(
        method=method, target="/", headers=(("host", "u"),), body=NoBody(), upgrade=upgrade
    )
    return own_request(head)


@pytest.mark.parametrize(
    ("outgoing", "times"),
    [
        (asking("GET"), 2),
        (asking("HEAD"), 2),
        (asking("DELETE"), 1),
        (asking("POST"), 1),
        (asking("PATCH"), 1),
        (asking("GET", upgrade="websocket"), 1),
    ],
    ids=lambda value: f"{value.method}{value.upgrade}" if isinstance(value, Outgoing) else "",
)
async def test_on_a_connection_that_ended_only_what_does_nothing_twice_is_sent_again(
    api_server: ApiServer, stand_in: ScriptedApiServer, outgoing: Outgoing, times: int
) -> None:
    await api_server.ask(get("/first"))
    stand_in.script = lambda connection, _: connection.tls.close()
    connection = await api_server.begin(outgoing)
    with pytest.raises(UpstreamInvalid):
        await api_server.receive_head(connection, outgoing)
    api_server.end(connection)

    assert len(stand_in.heads) == 1 + times


async def test_what_was_answered_in_part_is_not_sent_again(
    api_server: ApiServer, stand_in: ScriptedApiServer
) -> None:
    def begun(connection: Connection, _: bytes) -> None:
        connection.send(b"HTTP/1.1 200")
        connection.tls.close()

    await api_server.ask(get("/first"))
    stand_in.script = begun
    connection = await api_server.begin(asking("GET"))
    with pytest.raises(UpstreamInvalid):
        await api_server.receive_head(connection, asking("GET"))
    api_server.end(connection)

    assert len(stand_in.heads) == 2
