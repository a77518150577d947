import asyncio
import random
import socket
from collections.abc import AsyncIterator, Awaitable

import pytest

from kzproxy.transport.tls_sending import RECORD_BYTES
from kzproxy.transport.tls_stream import TlsStream
from tests.transport.conftest import Pair


async def all_of(stream: TlsStream) -> AsyncIterator[bytes]:
    while data := await stream.receive():
        yield data


async def gathered(stream: TlsStream) -> bytes:
    return b"".join([data async for data in all_of(stream)])


async def received_after(last: Awaitable[None], pair: Pair) -> bytes:
    """Return what the server gets where the client waits for ``last`` and closes."""
    server, client = pair

    async def go_on() -> None:
        await last
        client.close()

    async with asyncio.TaskGroup() as group:
        group.create_task(go_on())
        receiving = group.create_task(gathered(server))
    return receiving.result()


async def test_what_is_sent_is_received_in_order_and_ends_cleanly(pair: Pair) -> None:
    server, client = pair
    sent = bytes(range(256)) * 40_000  # 10 MB: far more than the sockets' buffers hold

    received = await received_after(client.send(sent), pair)

    assert received == sent
    assert server.bytes_received == len(sent)
    assert client.bytes_sent == len(sent)


async def test_a_sender_waits_for_a_receiver_that_does_not_read(pair: Pair) -> None:
    server, client = pair
    sent = b"x" * 20_000_000
    async with asyncio.TaskGroup() as group:
        sending = group.create_task(client.send(sent))
        for _ in range(50):
            await asyncio.sleep(0)
        assert not sending.done()
        assert client.bytes_sent < len(sent)
        received = 0
        while received < len(sent):
            received += len(await server.receive())


async def test_a_piece_that_was_offered_is_finished_before_anything_else_is_sent(
    pair: Pair,
) -> None:
    """OpenSSL has seen the piece: other bytes in its place would break the stream."""
    _, client = pair
    sending = asyncio.get_running_loop().create_task(client.send(b"a" * 20_000_000))
    for _ in range(50):
        await asyncio.sleep(0)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    at_the_cancel = client.bytes_sent

    received = await received_after(client.send(b"b"), pair)

    assert received == b"a" * (at_the_cancel + RECORD_BYTES) + b"b"


async def test_a_piece_is_sent_as_it_was_whatever_becomes_of_its_memory(pair: Pair) -> None:
    _, client = pair
    memory = bytearray(b"a" * 100_000)
    sent = 0
    while client.send_now(memoryview(memory)):
        sent += len(memory)
    memory[:] = b"b" * len(memory)

    received = await received_after(client.flush(), pair)

    assert received == b"a" * (sent + len(memory))


async def lagging(stream: TlsStream, chance: random.Random) -> bytes:
    """Receive all, and let the sender wait now and then."""
    received = bytearray()
    async for data in all_of(stream):
        received += data
        if chance.random() < 0.1:
            await asyncio.sleep(0.002)
    return bytes(received)


@pytest.mark.parametrize("seed", range(8))
async def test_what_has_gone_never_goes_again(pair: Pair, seed: int) -> None:
    """What was owed in many pieces came once more where a later piece had to wait."""
    server, client = pair
    for stream, option in (client, socket.SO_SNDBUF), (server, socket.SO_RCVBUF):
        stream.tls.setsockopt(socket.SOL_SOCKET, option, 32 * 1024)
    chance = random.Random(seed)
    largest = (300, RECORD_BYTES, 20 * RECORD_BYTES)
    pieces = [chance.randbytes(chance.randint(1, chance.choice(largest))) for _ in range(60)]

    async def send() -> None:
        for piece in pieces:
            await client.send(piece)
        client.close()

    async with asyncio.TaskGroup() as group:
        group.create_task(send())
        receiving = group.create_task(lagging(server, random.Random(seed)))

    assert receiving.result() == b"".join(pieces)
    assert client.bytes_sent == server.bytes_received
    assert not client.forget_unsent()


async def test_what_was_not_offered_can_be_forgotten(pair: Pair) -> None:
    _, client = pair
    while client.send_now(b"a" * 100_000):
        pass
    assert client.forget_unsent()
    assert not client.forget_unsent()
    taken_before = client.bytes_sent

    received = await received_after(client.flush(), pair)

    assert len(received) == taken_before + RECORD_BYTES
