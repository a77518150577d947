"""One request and its answer, over a connection."""

from ipaddress import ip_address

from kzproxy.clock.system import SystemClock
from kzproxy.http.messages import Length, ResponseHead
from kzproxy.http.request_head import parse_request_head
from kzproxy.transport.deadlines import Deadlines
from kzproxy.transport.exchange import Exchange
from kzproxy.transport.peer import Peer
from tests.transport.conftest import Pair

EXPECTING = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
REFUSED = ResponseHead(status=413, reason="", headers=(), body=Length(0))


def exchange(pair: Pair, head: bytes) -> Exchange:
    return Exchange(
        peer=Peer(address=ip_address("192.0.2.7"), port=1),
        stream=pair[0],
        deadlines=Deadlines(SystemClock()),
        head=parse_request_head(head),
        rest=b"",
    )


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
