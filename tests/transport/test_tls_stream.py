import asyncio
import socket
import ssl
from collections.abc import AsyncIterator

import pytest

from kzproxy.clock.system import SystemClock
from kzproxy.transport.deadlines import Deadlines
from kzproxy.transport.tls_stream import RECORD_BYTES, StreamBroken, TlsStream
from tests.transport.conftest import wrapped

Pair = tuple[TlsStream, TlsStream]


async def all_of(stream: TlsStream) -> AsyncIterator[bytes]:
    while data := await stream.receive():
        yield data


async def gathered(stream: TlsStream) -> bytes:
    return b"".join([data async for data in all_of(stream)])


async def test_what_is_sent_is_received_in_order_and_ends_cleanly(pair: Pair) -> None:
    server, client = pair
    sent = bytes(range(256)) * 40_000  # 10 MB: far more than the sockets' buffers hold

    async def send() -> None:
        await client.send(sent)
        client.close()

    async with asyncio.TaskGroup() as group:
        group.create_task(send())
        receiving = group.create_task(gathered(server))

    assert receiving.result() == sent
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
    server, client = pair
    sending = asyncio.get_running_loop().create_task(client.send(b"a" * 20_000_000))
    for _ in range(50):
        await asyncio.sleep(0)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    at_the_cancel = client.bytes_sent

    async def go_on() -> None:
        await client.send(b"b")
        client.close()

    async with asyncio.TaskGroup() as group:
        group.create_task(go_on())
        receiving = group.create_task(gathered(server))

    assert receiving.result() == b"a" * (at_the_cancel + RECORD_BYTES) + b"b"


async def test_an_end_without_close_notify_is_not_a_clean_end(pair: Pair) -> None:
    server, client = pair
    socket.socket.close(client.tls)

    with pytest.raises(StreamBroken):
        await server.receive()


async def test_an_abort_resets(pair: Pair) -> None:
    server, client = pair
    client.abort()

    with pytest.raises(StreamBroken):
        await server.receive()
    assert client.closed


async def test_what_comes_while_watched_is_kept_for_the_next_receive(pair: Pair) -> None:
    server, client = pair
    gone: list[bool] = []
    server.watch(lambda: gone.append(True))
    await client.send(b"early")
    await asyncio.sleep(0.05)
    server.unwatch()

    assert gone == []
    assert await server.receive() == b"early"


@pytest.mark.parametrize("end", ["close", "abort"])
async def test_a_watch_tells_that_the_peer_has_gone(pair: Pair, end: str) -> None:
    server, client = pair
    gone = asyncio.Event()
    server.watch(gone.set)
    getattr(client, end)()

    await asyncio.wait_for(gone.wait(), 5)


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


async def test_a_deadline_fails_the_stream(pair: Pair) -> None:
    server, _ = pair
    deadlines = Deadlines(SystemClock())
    deadlines.keep(server)
    server.deadline = deadlines.after(-1)
    deadlines.sweep()

    with pytest.raises(TimeoutError):
        await server.receive()


async def test_lingering_lets_the_peer_read_the_answer_although_it_is_still_sending(
    pair: Pair,
) -> None:
    """A close with unread input would reset the connection and destroy the answer."""
    server, client = pair

    async def refuse() -> None:
        await server.receive()
        await server.send(b"413")
        await server.linger()

    async def upload() -> bytes:
        for _ in range(20):
            await client.send(b"x" * RECORD_BYTES)
        answer = await client.receive()
        client.close()
        return answer

    async with asyncio.TaskGroup() as group:
        group.create_task(refuse())
        uploading = group.create_task(upload())

    assert uploading.result() == b"413"


async def test_a_handshake_with_plain_text_fails_in_words(server_context: ssl.SSLContext) -> None:
    ours, theirs = socket.socketpair()
    server = wrapped(ours, server_context, server=True)
    with theirs:
        theirs.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(StreamBroken, match="TLS handshake: http request"):
            await server.handshake()
    server.abort()


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
