import asyncio
import select

import pytest

from tests.transport.conftest import Pair


@pytest.mark.parametrize("end", ["close", "abort"])
async def test_a_watch_tells_that_the_peer_has_gone(pair: Pair, end: str) -> None:
    server, client = pair
    gone = asyncio.Event()
    server.watch(gone.set)
    getattr(client, end)()

    await asyncio.wait_for(gone.wait(), 5)


async def test_a_stream_at_rest_may_carry_another_exchange(pair: Pair) -> None:
    server, client = pair
    assert server.at_rest()

    await client.send(b"nobody asked")
    await asyncio.sleep(0.05)

    assert not server.at_rest()


@pytest.mark.parametrize("end", ["close", "abort"])
async def test_a_stream_whose_peer_has_gone_is_not_at_rest(pair: Pair, end: str) -> None:
    server, client = pair
    getattr(client, end)()
    await asyncio.to_thread(select.select, [server.tls], [], [], 10)

    assert not server.at_rest()


async def test_a_failed_stream_is_neither_usable_nor_at_rest(pair: Pair) -> None:
    server, client = pair
    server.fail(LookupError("failed"))
    client.interrupt(LookupError("cut"))

    assert not server.usable
    assert not server.at_rest()
    assert not client.usable


async def test_what_comes_while_watched_is_counted(pair: Pair) -> None:
    server, client = pair
    server.watch(lambda: None)
    await client.send(b"early")
    await asyncio.sleep(0.05)

    assert server.bytes_received == len(b"early")


async def test_watching_a_closed_stream_leaves_its_old_descriptor_alone(pair: Pair) -> None:
    """The number may be another connection's by now."""
    server, _ = pair
    descriptor = server.tls.fileno()
    server.close()
    server.watch(lambda: None)

    assert not asyncio.get_running_loop().remove_reader(descriptor)
