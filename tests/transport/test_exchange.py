"""One request and its answer, over a connection."""

import asyncio
from ipaddress import ip_address

import pytest
from msgspec.structs import replace

from kzproxy.clock.system import SystemClock
from kzproxy.errors.kinds import BadRequest, DownstreamClosed
from kzproxy.http.messages import Length, ResponseHead
from kzproxy.http.request_head import parse_request_head
from kzproxy.transport.broken import OtherSideBroken, StreamBroken
from kzproxy.transport.connection_limits import DEFAULT_CONNECTION_LIMITS, ConnectionLimits
from kzproxy.transport.deadlines import Deadlines
from kzproxy.transport.exchange import Exchange
from kzproxy.transport.peer import Peer
from tests.transport.conftest import Pair

EXPECTING = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
REFUSED = ResponseHead(status=413, reason="", headers=(), body=Length(0))


SIX = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"


def exchange(
    pair: Pair,
    head: bytes,
    rest: bytes = b"",
    limits: ConnectionLimits = DEFAULT_CONNECTION_LIMITS,
) -> Exchange:
    return Exchange(
        peer=Peer(address=ip_address("192.0.2.7"), port=1),
        stream=pair[0],
        deadlines=Deadlines(SystemClock()),
        head=parse_request_head(head),
        rest=rest,
        limits=limits,
    )


def begun(
    pair: Pair,
    head: bytes,
    rest: bytes = b"",
    limits: ConnectionLimits = DEFAULT_CONNECTION_LIMITS,
) -> Exchange:
    asked = exchange(pair, head, rest, limits)
    asked.read_request()
    return asked


class Taking:
    """Keeps what it is handed, and wants more until it has had so much at a time."""

    def __init__(self, enough_bytes: int = 1024) -> None:
        self.taken: list[bytes] = []
        self._enough_bytes = enough_bytes

    def __call__(self, data: bytes) -> bool:
        self.taken.append(data)
        return len(data) < self._enough_bytes


async def test_a_client_is_told_to_continue_when_its_body_is_wanted(pair: Pair) -> None:
    _, client = pair
    asked = exchange(pair, EXPECTING)
    asked.read_request()
    await client.send(b"body")

    assert await asked.receive_body() == b"body"
    assert await client.receive() == b"HTTP/1.1 100 Continue\r\n\r\n"


async def test_a_client_that_has_its_answer_is_not_told_to_continue(pair: Pair) -> None:
    """What came after the answer's head would be read as its body."""
    server, client = pair
    asked = exchange(pair, EXPECTING)
    asked.read_request()
    await asked.respond(REFUSED)
    await client.send(b"body")

    assert await asked.receive_body() == b"body"
    server.close()
    assert b"100 Continue" not in await client.receive() + await client.receive()


async def test_a_body_is_handed_over_as_it_comes_and_what_follows_it_is_kept(pair: Pair) -> None:
    _, client = pair
    asked, take = begun(pair, SIX, rest=b"so"), Taking()
    await client.send(b"me")
    asyncio.get_running_loop().call_later(0.05, client.send_now, b"ofGET /next")

    assert await asked.receive_body_into(take)
    assert take.taken == [b"so", b"me", b"of"]
    assert not await asked.receive_body_into(take)
    assert asked.body_received
    assert asked.take_rest() == b"GET /next"


async def test_a_chunked_body_is_handed_over_without_its_framing(pair: Pair) -> None:
    asked, take = begun(pair, CHUNKED, rest=b"2\r\nso\r\n2"), Taking()
    await pair[1].send(b"\r\nme\r\n0\r\n\r\nGET /next")

    assert await asked.receive_body_into(take)
    assert not await asked.receive_body_into(take)
    assert take.taken == [b"so", b"me"]
    assert asked.take_rest() == b"GET /next"


async def test_who_wants_no_more_of_a_body_gets_the_rest_when_asking_again(pair: Pair) -> None:
    _, client = pair
    asked, take = begun(pair, SIX, rest=b"so"), Taking(enough_bytes=2)
    await client.send(b"me")

    assert await asked.receive_body_into(take)
    assert take.taken == [b"so"]
    assert await asked.receive_body_into(take)
    assert take.taken == [b"so", b"me"]
    await client.send(b"of")
    assert await asked.receive_body_into(take)
    assert take.taken == [b"so", b"me", b"of"]
    assert not await asked.receive_body_into(take)


async def test_a_body_that_was_put_back_is_handed_over_once_and_let_go(pair: Pair) -> None:
    asked, take, let_go = begun(pair, SIX, rest=b"sample"), Taking(), asyncio.Event()
    assert await asked.receive_body() == b"sample"
    asked.put_back(b"sample", let_go.set)

    assert await asked.receive_body_into(take)
    assert not let_go.is_set()
    assert not await asked.receive_body_into(take)
    assert let_go.is_set()
    assert take.taken == [b"sample"]


async def test_a_client_that_ends_inside_its_body_is_said_to_have_gone(pair: Pair) -> None:
    _, client = pair
    asked, take = begun(pair, SIX), Taking()
    await client.send(b"so")
    asyncio.get_running_loop().call_later(0.05, client.close)
    with pytest.raises(DownstreamClosed, match="inside its request"):
        await asked.receive_body_into(take)
    assert take.taken == [b"so"]


async def test_a_client_that_sends_nothing_more_of_its_body_is_given_up(pair: Pair) -> None:
    server, _ = pair
    asked = begun(pair, SIX, limits=replace(DEFAULT_CONNECTION_LIMITS, body_seconds=0.2))
    deadlines = Deadlines(SystemClock())
    deadlines.keep(server)
    async with asyncio.TaskGroup() as group:
        sweeping = group.create_task(deadlines.run())
        with pytest.raises(DownstreamClosed, match="deadline passed"):
            await asked.receive_body_into(Taking())
        sweeping.cancel()


async def test_a_body_with_two_readings_is_refused_while_it_is_handed_over(pair: Pair) -> None:
    asked = begun(pair, CHUNKED)
    await pair[1].send(b"2;x\r\nso\r\n")
    with pytest.raises(BadRequest):
        await asked.receive_body_into(Taking())


@pytest.mark.parametrize("error", [StreamBroken("reset"), TimeoutError("it takes nothing")])
@pytest.mark.parametrize("where", ["held", "with the head", "on its way"])
async def test_a_body_that_cannot_be_passed_on_is_not_its_clients_fault(
    pair: Pair, where: str, error: Exception
) -> None:
    def refuse(_: bytes) -> bool:
        raise error

    asked = begun(pair, SIX, rest=b"" if where == "on its way" else b"sample")
    if where == "held":
        asked.put_back(await asked.receive_body(), lambda: None)
    await pair[1].send(b"sample")
    with pytest.raises(OtherSideBroken, match=str(error)):
        await asked.receive_body_into(refuse)
