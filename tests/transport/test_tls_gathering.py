"""Many records at a time: the same bytes in the same order, whatever they were cut into."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from kzproxy.transport.broken import StreamBroken
from kzproxy.transport.tls_gathering import GATHER_BYTES
from kzproxy.transport.tls_stream import TlsStream
from tests.transport.conftest import Pair

SMALL_BYTES = 4096
# So many that the next ones are waited for, and so few that they are taken in one turn.
ENOUGH = 20


def piece(number: int) -> bytes:
    return (b"%08d" % number) * (SMALL_BYTES // 8)


def pieces(count: int) -> Iterator[bytes]:
    return map(piece, range(count))


class Taken:
    """Keeps what it is given, and says yes so many times."""

    def __init__(self, yes: int = 1_000_000) -> None:
        self.data = b""
        self.sizes: list[int] = []
        self._yes = yes

    def take(self, data: memoryview) -> bool:
        self.data += data
        self.sizes.append(len(data))
        return len(self.sizes) < self._yes


async def send_and_close(stream: TlsStream, count: int) -> None:
    for each in pieces(count):
        await stream.send(each)
    stream.close()


async def sent(stream: TlsStream, count: int) -> None:
    """Send records that all are there before anybody looks."""
    stream.tls.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for each in pieces(count):
        await stream.send(each)
    await asyncio.sleep(0.05)


async def test_many_small_records_come_whole_and_in_order(pair: Pair) -> None:
    server, client = pair
    taken, count = Taken(), 2000
    async with asyncio.TaskGroup() as group:
        group.create_task(send_and_close(client, count))
        receiving = group.create_task(server.receive_gathered(taken.take))

    assert receiving.result() is False
    assert taken.data == b"".join(pieces(count))
    assert server.bytes_received == count * SMALL_BYTES
    assert max(taken.sizes) <= GATHER_BYTES


async def test_records_that_are_there_are_taken_at_once(pair: Pair) -> None:
    server, client = pair
    await sent(client, 8)
    taken = Taken(yes=1)

    assert await server.receive_gathered(taken.take) is True

    assert taken.sizes == [8 * SMALL_BYTES]


async def test_what_comes_after_a_no_is_kept_for_the_next_receive(pair: Pair) -> None:
    server, client = pair
    taken, count = Taken(yes=1), 500
    async with asyncio.TaskGroup() as group:
        group.create_task(send_and_close(client, count))
        assert await server.receive_gathered(taken.take) is True
        rest = Taken()
        assert await server.receive_gathered(rest.take) is False

    assert taken.data + rest.data == b"".join(pieces(count))


async def test_what_came_while_it_was_watched_comes_first(pair: Pair) -> None:
    server, client = pair
    server.watch(lambda: None)
    await client.send(b"early")
    await asyncio.sleep(0.05)
    server.unwatch()
    await client.send(b"later")
    client.close()
    taken = Taken()

    assert await server.receive_gathered(taken.take) is False

    assert taken.data == b"earlylater"


async def test_what_came_before_a_break_is_taken_and_then_it_is_told(pair: Pair) -> None:
    server, client = pair
    await sent(client, 3)
    socket.socket.close(client.tls)
    taken = Taken()

    with pytest.raises(StreamBroken):
        await server.receive_gathered(taken.take)

    assert taken.data == b"".join(pieces(3))


async def test_a_break_is_told_even_where_what_came_before_it_was_enough(pair: Pair) -> None:
    server, client = pair
    await sent(client, 3)
    socket.socket.close(client.tls)
    await server.receive_gathered(Taken(yes=1).take)

    with pytest.raises(StreamBroken):
        await server.receive_gathered(Taken().take)


async def test_what_taking_raises_is_raised(pair: Pair) -> None:
    server, client = pair
    await client.send(b"x")

    def take(_: memoryview) -> bool:
        raise ValueError("no reading")

    with pytest.raises(ValueError, match="no reading"):
        await server.receive_gathered(take)


async def in_a_lull(server: TlsStream, client: TlsStream, taken: Taken) -> "asyncio.Task[bool]":
    """Bring a receiver to where it leaves the socket alone."""
    await sent(client, ENOUGH)
    receiving = asyncio.get_running_loop().create_task(server.receive_gathered(taken.take))
    await asyncio.sleep(0)
    assert len(taken.data) == ENOUGH * SMALL_BYTES
    assert not receiving.done()
    return receiving


async def test_what_comes_in_a_lull_is_taken_after_it(pair: Pair) -> None:
    server, client = pair
    taken = Taken()
    receiving = await in_a_lull(server, client, taken)
    await client.send(b"last")
    client.close()

    assert await receiving is False

    assert taken.data.endswith(b"last")


async def test_a_receiver_that_is_interrupted_in_a_lull_takes_nothing_more(pair: Pair) -> None:
    server, client = pair
    taken = Taken()
    receiving = await in_a_lull(server, client, taken)
    await client.send(b"too late")
    server.interrupt(ValueError("cut"))

    with pytest.raises(ValueError, match="cut"):
        await receiving
    await asyncio.sleep(0.05)

    assert len(taken.data) == ENOUGH * SMALL_BYTES


async def test_the_next_exchange_is_not_disturbed_by_the_lull_of_the_last(pair: Pair) -> None:
    server, client = pair
    receiving = await in_a_lull(server, client, Taken())
    receiving.cancel()
    await asyncio.wait([receiving])
    waiting = asyncio.get_running_loop().create_task(server.receive())
    await asyncio.sleep(0.05)
    await client.send(b"next")

    assert await waiting == b"next"


async def test_a_stream_that_is_closed_in_a_lull_stays_closed(pair: Pair) -> None:
    server, client = pair
    receiving = await in_a_lull(server, client, Taken())
    server.abort()

    with pytest.raises(StreamBroken):
        await receiving
    await asyncio.sleep(0.05)


async def test_a_peer_that_stands_still_is_overdue_in_a_lull_too(pair: Pair) -> None:
    server, client = pair
    receiving = await in_a_lull(server, client, Taken())
    server.receiving.seconds = 5.0

    assert not server.overdue(100.0)
    assert server.overdue(105.0)
    receiving.cancel()
