"""Streams are looked at while anything bounds them, and as seldom as may be while nothing does."""

import asyncio
import math
import socket

import pytest

from kzproxy.clock.system import SystemClock
from kzproxy.transport.broken import StreamBroken
from kzproxy.transport.deadlines import _SHARES, _SWEEPS_FOR_ALL, Deadlines
from kzproxy.transport.tls_sending import RECORD_BYTES
from kzproxy.transport.tls_stream import TlsStream
from tests.servers.vanished import vanish
from tests.transport.conftest import Pair


@pytest.fixture
def deadlines() -> Deadlines:
    return Deadlines(SystemClock())


async def receiving(stream: TlsStream) -> "asyncio.Task[bool]":
    """Bring a stream to where it waits for input."""
    task = asyncio.get_running_loop().create_task(stream.receive_into(lambda _: True))
    await asyncio.sleep(0)
    return task


async def ended(task: "asyncio.Task[bool]") -> None:
    task.cancel()
    await asyncio.wait([task])


async def check_its_deadline_counts(deadlines: Deadlines, stream: TlsStream) -> None:
    stream.deadline = deadlines.after(-1)
    deadlines.sweep()
    with pytest.raises(TimeoutError):
        await stream.receive()


def is_looked_at(deadlines: Deadlines, stream: TlsStream) -> bool:
    return stream in deadlines._streams


async def test_who_receives_for_as_long_as_it_takes_rests_until_that_ends(
    pair: Pair, deadlines: Deadlines
) -> None:
    server, _ = pair
    deadlines.keep(server)
    task = await receiving(server)
    deadlines.sweep()
    assert not is_looked_at(deadlines, server)

    await ended(task)
    assert is_looked_at(deadlines, server)
    await check_its_deadline_counts(deadlines, server)


async def test_who_gathers_for_as_long_as_it_takes_rests_until_that_ends(
    pair: Pair, deadlines: Deadlines
) -> None:
    server, client = pair
    deadlines.keep(server)
    task = asyncio.get_running_loop().create_task(server.receive_gathered(lambda _: True))
    await asyncio.sleep(0)
    deadlines.sweep()
    assert not is_looked_at(deadlines, server)

    client.close()
    assert await task is False
    assert is_looked_at(deadlines, server)


async def test_who_is_watched_rests_until_it_is_no_longer(pair: Pair, deadlines: Deadlines) -> None:
    server, _ = pair
    deadlines.keep(server)
    deadlines.sweep()
    assert is_looked_at(deadlines, server)
    server.watch(lambda: None)
    deadlines.sweep()
    assert not is_looked_at(deadlines, server)

    server.unwatch()
    await check_its_deadline_counts(deadlines, server)


async def test_who_has_a_deadline_or_a_bound_does_not_rest(
    pair: Pair, deadlines: Deadlines
) -> None:
    server, client = pair
    deadlines.keep(server)
    deadlines.keep(client)
    server.receiving.seconds = 60.0
    task = await receiving(server)
    client.watch(lambda: None)
    client.deadline = deadlines.after(60)
    deadlines.sweep()

    assert is_looked_at(deadlines, server)
    assert is_looked_at(deadlines, client)
    await ended(task)


async def test_who_rests_and_then_waits_for_its_peer_to_read_is_looked_at(
    pair: Pair, deadlines: Deadlines
) -> None:
    server, _ = pair
    server.tls.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, RECORD_BYTES)
    server.sending.seconds = 0.0
    deadlines.keep(server)
    server.watch(lambda: None)
    deadlines.sweep()
    assert not is_looked_at(deadlines, server)

    sending = asyncio.get_running_loop().create_task(server.send(bytes(64 * 1024 * 1024)))
    while not server._writable:
        await asyncio.sleep(0)
    deadlines.sweep()
    with pytest.raises(TimeoutError):
        await sending


async def test_a_deadline_that_is_set_at_rest_is_found_all_the_same(
    pair: Pair, deadlines: Deadlines
) -> None:
    server, _ = pair
    deadlines.keep(server)
    task = await receiving(server)
    deadlines.sweep()
    server.deadline = deadlines.after(-1)
    for _ in range(_SWEEPS_FOR_ALL):
        deadlines.sweep()

    with pytest.raises(TimeoutError):
        await task


async def test_who_rests_on_rests_again_after_everybody_was_looked_at(
    pair: Pair, deadlines: Deadlines
) -> None:
    server, _ = pair
    deadlines.keep(server)
    task = await receiving(server)
    for _ in range(2 * _SWEEPS_FOR_ALL):
        deadlines.sweep()
        assert not is_looked_at(deadlines, server)

    await ended(task)
    assert is_looked_at(deadlines, server)


async def test_who_is_closed_at_rest_is_let_go(pair: Pair, deadlines: Deadlines) -> None:
    server, client = pair
    for stream in pair:
        deadlines.keep(stream)
    task = await receiving(server)
    client.watch(lambda: None)
    deadlines.sweep()
    server.close()
    client.abort()
    deadlines.sweep()

    assert not deadlines._streams
    assert not deadlines._resting
    assert client.deadline == math.inf
    with pytest.raises(StreamBroken):
        await task


async def test_who_is_gone_with_something_on_its_way_is_found_out_while_nothing_else_bounds_it(
    pair: Pair,
) -> None:
    """A watch whose client sleeps: its wait for kube-apiserver, and its client's for it, rest."""
    server, client = pair
    deadlines = Deadlines(SystemClock(), unheard_seconds=0.5)
    deadlines.keep(server)
    gone: list[str] = []
    server.watch(lambda: gone.append("gone"))
    deadlines.sweep()
    assert not is_looked_at(deadlines, server)
    vanish(client.tls)
    assert server.send_now(b"an event")

    for _ in range(200):
        sweep_all(deadlines)
        if gone:
            break
        await asyncio.sleep(0.1)
    assert gone
    with pytest.raises(StreamBroken, match="without a word"):
        await server.send(b"another")


async def test_who_lives_and_reads_nothing_may_go_on_doing_so(pair: Pair) -> None:
    server, client = pair
    deadlines = Deadlines(SystemClock(), unheard_seconds=0.5)
    deadlines.keep(server)
    deadlines.keep(client)
    sending = asyncio.get_running_loop().create_task(server.send(b"x" * (64 << 20)))

    for _ in range(15):
        await asyncio.sleep(0.1)
        sweep_all(deadlines)
    assert not sending.done()
    sending.cancel()
    await asyncio.wait([sending])


def sweep_all(deadlines: Deadlines) -> None:
    """Sweep until every stream's peer has been asked about."""
    for _ in range(_SWEEPS_FOR_ALL * _SHARES):
        deadlines.sweep()
