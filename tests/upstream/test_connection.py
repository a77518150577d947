"""An exchange that is begun and answered without a task: all in one record, or left to one."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from kzproxy.errors.kinds import HeadTooLarge, UpstreamInvalid, UpstreamTimeout
from kzproxy.http.messages import Length, NoBody, RequestHead
from kzproxy.transport.deadlines import Deadlines
from kzproxy.transport.direct_loop import DirectEventLoop
from kzproxy.upstream.answer_memo import Answer
from kzproxy.upstream.api_server import ApiServer
from kzproxy.upstream.connection import UpstreamConnection
from kzproxy.upstream.impersonation import Outgoing, own_request
from tests.authentication.manual_clock import ManualClock
from tests.servers.scripted_api_server import Connection, ScriptedApiServer, answer

ROOT = RequestHead(method="GET", target="/", headers=(("host", "upstream"),), body=NoBody())
GET = own_request(ROOT)
OK = answer(200, b"ok")
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


class Waiting:
    """Is handed the first that comes of an answer."""

    def __init__(self) -> None:
        self.handed: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def received(self, data: bytes) -> None:
        self.handed.set_result(data)

    def broken(self, error: Exception) -> None:
        self.handed.set_exception(error)


@pytest.fixture(autouse=True)
async def closing(deadlines: Deadlines) -> AsyncIterator[None]:
    """Close what a test leaves open."""
    yield
    for stream in deadlines._streams | deadlines._resting:
        stream.close()


async def begun(api_server: ApiServer, outgoing: Outgoing = GET) -> UpstreamConnection:
    """Begin on a connection that another exchange has left."""
    await api_server.ask(ROOT)
    connection = api_server.begin_now(outgoing)
    assert connection is not None
    return connection


async def first_of(connection: UpstreamConnection) -> bytes:
    waiting, loop = Waiting(), asyncio.get_running_loop()
    connection.receive_by(waiting, 60)
    assert isinstance(loop, DirectEventLoop)
    assert loop.direct.expected == 1
    return await asyncio.wait_for(waiting.handed, 5)


def sending(stand_in: ScriptedApiServer, *parts: bytes) -> None:
    """Have the second request answered so, each part in a record of its own."""

    def script(connection: Connection, _: bytes) -> None:
        for part in parts if len(stand_in.heads) > 1 else (OK,):
            connection.send(part)

    stand_in.script = script


async def test_nothing_is_begun_where_no_connection_is_kept(
    api_server: ApiServer, stand_in: ScriptedApiServer
) -> None:
    assert api_server.begin_now(GET) is None
    assert stand_in.connections == 0


async def test_a_connection_that_has_ended_is_not_begun_on(
    api_server: ApiServer, stand_in: ScriptedApiServer
) -> None:
    await api_server.ask(ROOT)
    await asyncio.to_thread(stand_in.drop_connections)

    assert api_server.begin_now(GET) is None


async def test_nothing_is_begun_once_closed(api_server: ApiServer) -> None:
    connection = await begun(api_server)
    api_server.close()
    api_server.end(connection)

    assert connection.stream.closed
    assert api_server.begin_now(GET) is None


async def test_a_head_that_would_not_be_read_is_not_begun(
    api_server: ApiServer, stand_in: ScriptedApiServer
) -> None:
    heads = len(stand_in.heads)
    long = Outgoing(method="GET", body=NoBody(), upgrade="", head=b"x" * (1024 * 1024 + 1))
    with pytest.raises(HeadTooLarge):
        await begun(api_server, long)

    assert len(stand_in.heads) == heads + 1
    assert api_server.begin_now(GET) is None


async def test_a_head_that_does_not_go_at_once_is_not_begun(
    api_server: ApiServer, stand_in: ScriptedApiServer
) -> None:
    """Of a part of a head nobody reads a request; it is sent anew, whole."""
    sending(stand_in, OK)
    await api_server.ask(ROOT)
    long = Outgoing(method="GET", body=NoBody(), upgrade="", head=b"x" * 1024 * 1024)
    connection = api_server.begin_now(long)

    assert connection is None
    assert len(stand_in.heads) == 1


@pytest.mark.parametrize(
    ("sent", "body"),
    [
        (OK, b"ok"),
        (CHUNKED + b"2\r\nok\r\n0\r\n\r\n", b"2\r\nok\r\n0\r\n\r\n"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (answer(404, b"no"), b"no"),
    ],
)
async def test_an_answer_that_comes_whole_is_taken_at_once(
    api_server: ApiServer, stand_in: ScriptedApiServer, sent: bytes, body: bytes
) -> None:
    sending(stand_in, sent)
    connection = await begun(api_server)
    whole = connection.whole_answer(await first_of(connection), "GET")
    assert whole is not None
    api_server.end(connection)

    assert whole[1] == body
    assert (connection.clean, connection.stream.closed) == (True, False)
    assert api_server.begin_now(GET) is connection


async def test_a_connection_that_is_to_end_is_not_kept(
    api_server: ApiServer, stand_in: ScriptedApiServer
) -> None:
    sending(stand_in, answer(200, b"last", "connection: close"))
    connection = await begun(api_server)
    assert connection.whole_answer(await first_of(connection), "GET") is not None
    api_server.end(connection)

    assert connection.stream.closed


@pytest.mark.parametrize(
    "parts",
    [
        (OK[:10], OK[10:]),
        (OK[:-2], OK[-2:]),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK,),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n", OK),
        (CHUNKED, b"2\r\nok\r\n0\r\n\r\n"),
        (answer(403, b"no"),),
        (OK + b"surplus",),
    ],
    ids=["head", "body", "interim", "interim-apart", "chunks", "forbidden", "surplus"],
)
async def test_any_other_answer_is_left_as_it_came(
    api_server: ApiServer, stand_in: ScriptedApiServer, parts: tuple[bytes, ...]
) -> None:
    sending(stand_in, *parts)
    connection = await begun(api_server)
    assert connection.whole_answer(await first_of(connection), "GET") is None
    assert not connection.clean
    got: Answer = await connection.receive_head("GET", 60)
    body = connection.buffered_body()
    while more := await connection.receive_body(60):
        body += more

    forbidden = parts[0].startswith(b"HTTP/1.1 403")
    chunked = parts[0] == CHUNKED
    expected = b"no" if forbidden else b"2\r\nok\r\n0\r\n\r\n" if chunked else b"ok"
    assert (got.head.status, body) == (403 if forbidden else 200, expected)
    assert connection.clean is not (b"surplus" in parts[0])


@pytest.mark.parametrize("sent", [b"SSH-2.0\r\n\r\n", CHUNKED + b"zz\r\n"])
async def test_what_may_not_be_relayed_is_refused(
    api_server: ApiServer, stand_in: ScriptedApiServer, sent: bytes
) -> None:
    sending(stand_in, sent)
    connection = await begun(api_server)
    data = await first_of(connection)
    with pytest.raises(UpstreamInvalid):
        connection.whole_answer(data, "GET")
    api_server.end(connection)

    assert connection.stream.closed


async def test_the_wait_for_an_answer_counts_from_when_it_was_asked_for(
    api_server: ApiServer,
    stand_in: ScriptedApiServer,
    clock: ManualClock,
    deadlines: Deadlines,
) -> None:
    sending(stand_in, OK[:10])
    connection = await begun(api_server)
    waiting = Waiting()
    connection.receive_by(waiting, 60)
    clock.advance(timedelta(seconds=59))
    deadlines.sweep()
    assert connection.whole_answer(await asyncio.wait_for(waiting.handed, 5), "GET") is None
    rest = asyncio.get_running_loop().create_task(connection.receive_head("GET", 60))
    await asyncio.sleep(0.01)
    clock.advance(timedelta(seconds=2))
    deadlines.sweep()

    with pytest.raises(UpstreamTimeout):
        await asyncio.wait_for(rest, 5)


async def test_an_interim_answer_does_not_hurry_who_still_uploads(
    api_server: ApiServer,
    stand_in: ScriptedApiServer,
    clock: ManualClock,
    deadlines: Deadlines,
) -> None:
    def script(connection: Connection, _: bytes) -> None:
        if len(stand_in.heads) > 1:
            connection.send(b"HTTP/1.1 103 Early")
            connection.send(b" Hints\r\n\r\n")
            connection.body(4)
        connection.send(OK)

    stand_in.script = script
    head = RequestHead(method="PUT", target="/", headers=ROOT.headers, body=Length(4))
    connection = await begun(api_server, own_request(head))
    answered = asyncio.get_running_loop().create_task(connection.receive_head("PUT", 60))
    await asyncio.sleep(0.05)
    for part in (b"so", b"me"):
        clock.advance(timedelta(seconds=61))
        deadlines.sweep()
        await connection.send_body(part)
    await connection.send_body(b"")

    assert (await asyncio.wait_for(answered, 5)).head.status == 200


async def test_who_waits_too_long_for_an_answer_is_told(
    api_server: ApiServer,
    stand_in: ScriptedApiServer,
    clock: ManualClock,
    deadlines: Deadlines,
) -> None:
    sending(stand_in)
    connection = await begun(api_server)
    waiting = Waiting()
    connection.receive_by(waiting, 60)
    clock.advance(timedelta(seconds=61))
    deadlines.sweep()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(waiting.handed, 5)
