import asyncio
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


async def test_what_was_not_offered_can_be_forgotten(pair: Pair) -> None:
    _, client = pair
    while client.send_now(b"a" * 100_000):
        pass
    assert client.forget_unsent()
    assert not client.forget_unsent()
    taken_before = client.bytes_sent

    received = await received_after(client.flush(), pair)

    assert len(received) == taken_before + RECORD_BYTES
