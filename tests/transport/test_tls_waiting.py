import asyncio
import socket

import pytest

from tests.transport.conftest import Pair


async def test_an_interrupt_ends_receiving_but_not_sending(pair: Pair) -> None:
    server, client = pair
    receiving = asyncio.get_running_loop().create_task(server.receive())
    await asyncio.sleep(0)
    server.interrupt(LookupError("cut"))

    with pytest.raises(LookupError):
        await receiving
    await server.send(b"farewell")
    assert await client.receive() == b"farewell"


async def test_a_failure_ends_receiving_and_sending(pair: Pair) -> None:
    server, _ = pair
    server.fail(LookupError("failed"))

    with pytest.raises(LookupError):
        await server.receive()
    with pytest.raises(LookupError):
        await server.send(b"x")


@pytest.mark.parametrize("ends", ["read", "fail", "close"])
async def test_both_directions_may_wait_for_the_same_peer_to_read(pair: Pair, ends: str) -> None:
    """TLS may have to write before it can read, as where the peer asks for new keys."""
    server, client = pair
    filling = asyncio.create_task(server.send(b"x" * 20_000_000))
    await asyncio.sleep(0.05)
    filling.cancel()
    await asyncio.wait([filling])
    directions = [asyncio.create_task(server._until_writable()) for _ in range(2)]
    await asyncio.sleep(0)
    if ends == "fail":
        server.fail(LookupError("failed"))
    elif ends == "close":
        server.abort()
    async with asyncio.timeout(10):
        while not all(each.done() for each in directions):
            if ends == "read":
                await client.receive()
            await asyncio.sleep(0)
    assert [each.exception() is None for each in directions] == [ends == "read"] * 2
    assert not server._writable


async def test_a_closed_stream_leaves_its_descriptor_to_whoever_has_it_then(pair: Pair) -> None:
    server, _ = pair
    fd = server.tls.fileno()
    server.close()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        heir = ours if ours.fileno() == fd else theirs
        assert heir.fileno() == fd
        for sock in ours, theirs:
            sock.setblocking(False)

        with pytest.raises(ValueError, match="closed"):
            server._records.write(b"for somebody else")
        with pytest.raises(ValueError, match="closed"):
            server._records.read(1)
        with pytest.raises(BlockingIOError):
            (theirs if heir is ours else ours).recv(1)


async def test_where_openssls_object_is_not_to_be_had_the_socket_serves(pair: Pair) -> None:
    for stream in pair:
        stream._records = stream.tls
    server, client = pair
    taken = bytearray()

    def take(data: bytes) -> bool:
        taken.extend(data)
        return len(taken) < 6

    async with asyncio.TaskGroup() as group:
        receiving = group.create_task(server.receive_into(take))
        await client.send(b"one")
        await client.send(b"two")
    assert receiving.result() is True
    assert taken == b"onetwo"
    await client.send(b"three")
    gathered: list[bytes] = []
    assert await server.receive_gathered(lambda data: gathered.append(bytes(data)) or False)
    assert gathered == [b"three"]
