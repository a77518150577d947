import asyncio
import socket

import pytest

from kzproxy.transport.broken import OtherSideBroken, StreamBroken
from kzproxy.transport.direct_loop import DirectEventLoop
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


class Noting:
    """Notes what it is handed; asks for more where the test says so."""

    def __init__(self) -> None:
        self.data: list[bytes] = []
        self.errors: list[Exception] = []

    def received(self, data: bytes) -> None:
        self.data.append(data)

    def broken(self, error: Exception) -> None:
        self.errors.append(error)

    async def is_handed(self) -> None:
        async with asyncio.timeout(5):
            while not self.data and not self.errors:
                await asyncio.sleep(0)


async def test_a_receiver_is_handed_what_comes_once(pair: Pair) -> None:
    server, client = pair
    receiver = Noting()
    server.receive_by(receiver)
    await client.send(b"first")
    await receiver.is_handed()
    await client.send(b"second")
    await asyncio.sleep(0.02)

    assert (receiver.data, receiver.errors) == ([b"first"], [])
    assert server.bytes_received == 5
    assert await server.receive() == b"second"


async def test_a_receiver_to_whom_something_may_come_at_once_has_the_loop_know(pair: Pair) -> None:
    server, client = pair
    loop, receiver = asyncio.get_running_loop(), Noting()
    server.receive_by(receiver, soon=True)
    expected = loop.direct.expected if isinstance(loop, DirectEventLoop) else 1
    await client.send(b"first")
    await receiver.is_handed()

    assert expected == 1
    assert receiver.data == [b"first"]


async def test_a_receiver_is_handed_what_was_kept_for_it(pair: Pair) -> None:
    server, client = pair
    server.watch(lambda: None)
    await client.send(b"early")
    await asyncio.sleep(0.02)
    server.unwatch()
    receiver = Noting()
    server.receive_by(receiver)
    assert receiver.data == [b"early"]
    await client.send(b"late")
    await asyncio.sleep(0.02)

    assert receiver.data == [b"early"]
    assert await server.receive() == b"late"


async def test_a_receiver_learns_of_a_clean_end(pair: Pair) -> None:
    server, client = pair
    receiver = Noting()
    server.receive_by(receiver)
    client.close()
    await receiver.is_handed()

    assert (receiver.data, receiver.errors) == ([b""], [])


@pytest.mark.parametrize("rudely", [True, False])
async def test_a_receiver_learns_of_any_other_end(pair: Pair, rudely: bool) -> None:
    server, client = pair
    receiver = Noting()
    server.receive_by(receiver)
    client.abort() if rudely else socket.socket.close(client.tls)
    await receiver.is_handed()

    assert receiver.data == []
    assert [type(error) for error in receiver.errors] == [StreamBroken]
    # Whoever asks next learns it too, and does not wait.
    try:
        async with asyncio.timeout(5):
            data = await server.receive_next()
    except StreamBroken:
        data = b""
    assert data == b""


@pytest.mark.parametrize("is_before", [True, False])
async def test_a_receiver_learns_of_what_fails_the_stream(pair: Pair, is_before: bool) -> None:
    server, _ = pair
    receiver, error = Noting(), TimeoutError("deadline passed")
    if is_before:
        server.fail(error)
    server.receive_by(receiver)
    if not is_before:
        server.fail(error)
    server.interrupt(StreamBroken("later"))

    assert (receiver.data, receiver.errors) == ([], [error])


async def test_nobody_is_handed_what_comes_after_receive_by_nobody(pair: Pair) -> None:
    server, client = pair
    receiver = Noting()
    server.receive_by(receiver)
    server.receive_by_nobody()
    await client.send(b"for whoever asks next")
    await asyncio.sleep(0.02)
    server.interrupt(StreamBroken("over"))

    assert (receiver.data, receiver.errors) == ([], [])


async def test_a_receiver_may_ask_for_more_at_once(pair: Pair) -> None:
    server, client = pair

    class Greedy(Noting):
        def received(self, data: bytes) -> None:
            super().received(data)
            if data:
                server.receive_by(self)

    receiver = Greedy()
    server.receive_by(receiver)
    for part in (b"one", b"two", b"three"):
        await client.send(part)
    client.close()
    async with asyncio.timeout(5):
        while b"" not in receiver.data:
            await asyncio.sleep(0)

    assert receiver.data == [b"one", b"two", b"three", b""]


async def test_who_receives_into_something_may_receive_in_other_ways_afterwards(pair: Pair) -> None:
    server, client = pair
    taken: list[bytes] = []

    def take(data: bytes) -> bool:
        taken.append(data)
        return data != b"enough"

    asyncio.get_running_loop().call_later(0.02, client.send_now, b"enough")
    await client.send(b"some")
    assert await server.receive_into(take)
    assert taken == [b"some", b"enough"]

    asyncio.get_running_loop().call_later(0.02, client.send_now, b"by a task")
    assert await server.receive() == b"by a task"
    receiver = Noting()
    server.receive_by(receiver)
    await client.send(b"by a receiver")
    await receiver.is_handed()
    assert receiver.data == [b"by a receiver"]
    gone = asyncio.Event()
    server.watch(gone.set)
    client.close()
    async with asyncio.timeout(5):
        await gone.wait()


@pytest.mark.parametrize("error", [StreamBroken("reset"), TimeoutError("it reads nothing")])
@pytest.mark.parametrize("when", ["kept", "there", "later"])
async def test_what_cannot_be_passed_on_is_told_from_what_cannot_be_received(
    pair: Pair, when: str, error: Exception
) -> None:
    def refuse(_: object) -> bool:
        raise error

    server, client = pair
    receive = server.receive_gathered if when == "there" else server.receive_into
    if when == "kept":
        server.watch(lambda: None)
        await client.send(b"data")
        await asyncio.sleep(0.05)
        server.unwatch()
    elif when == "there":
        await client.send(b"data")
    else:
        asyncio.get_running_loop().call_later(0.02, client.send_now, b"data")
    with pytest.raises(OtherSideBroken, match=str(error)):
        await receive(refuse)
    server.close()
    with pytest.raises(StreamBroken) as broken:
        await server.receive_into(refuse)
    assert not isinstance(broken.value, OtherSideBroken)
