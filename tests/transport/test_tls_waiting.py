import asyncio

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
