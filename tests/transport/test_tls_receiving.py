import asyncio
import socket

import pytest

from kzproxy.transport.broken import StreamBroken
from tests.transport.conftest import Pair


async def test_an_end_without_close_notify_is_not_a_clean_end(pair: Pair) -> None:
    server, client = pair
    socket.socket.close(client.tls)

    with pytest.raises(StreamBroken):
        await server.receive()


async def test_what_comes_while_watched_is_kept_for_the_next_receive(pair: Pair) -> None:
    server, client = pair
    gone: list[bool] = []
    server.watch(lambda: gone.append(True))
    await client.send(b"early")
    await asyncio.sleep(0.05)
    server.unwatch()

    assert gone == []
    assert await server.receive() == b"early"
