import asyncio
import socket
import ssl
from collections.abc import Callable, Coroutine

import pytest

from kzproxy.clock.system import SystemClock
from kzproxy.transport.broken import StreamBroken
from kzproxy.transport.deadlines import Deadlines
from kzproxy.transport.tls import upstream_context
from kzproxy.transport.tls_sending import RECORD_BYTES
from kzproxy.transport.tls_stream import TlsStream
from tests.servers.authority import Authority
from tests.transport.conftest import Pair, connected, shaken_hands, wrapped


async def test_an_abort_resets(pair: Pair) -> None:
    server, client = pair
    client.abort()

    with pytest.raises(StreamBroken):
        await server.receive()
    assert client.closed


async def sent_until_broken(stream: TlsStream) -> None:
    while True:
        await stream.send(b"x" * RECORD_BYTES)


@pytest.mark.parametrize("use", [sent_until_broken, TlsStream.receive])
async def test_a_connection_that_breaks_breaks_no_other(
    pair: Pair,
    server_context: ssl.SSLContext,
    client_context: ssl.SSLContext,
    use: Callable[[TlsStream], Coroutine[None, None, object]],
) -> None:
    """They share OpenSSL's queue of errors: with OpenSSL 3.5 one was told what befell another."""
    server, client = pair
    async with shaken_hands(server_context, client_context) as (other_server, other_client):
        client.abort()
        with pytest.raises(StreamBroken):
            await use(server)
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(other_server.receive())
            await asyncio.sleep(0)
            await other_client.send(b"here")
        assert waiting.result() == b"here"


async def test_a_deadline_fails_the_stream(pair: Pair) -> None:
    server, _ = pair
    deadlines = Deadlines(SystemClock())
    deadlines.keep(server)
    server.deadline = deadlines.after(-1)
    deadlines.sweep()

    with pytest.raises(TimeoutError):
        await server.receive()


async def test_a_stream_is_watched_over_until_it_is_closed(pair: Pair) -> None:
    server, client = pair
    deadlines = Deadlines(SystemClock())
    deadlines.keep(server)
    deadlines.keep(client)
    client.close()
    deadlines.sweep()

    assert deadlines._streams == {server}


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


@pytest.mark.parametrize("records", [0, 40], ids=["reads", "sends-first"])
async def test_lingering_waits_for_room_to_say_goodbye(pair: Pair, records: int) -> None:
    """Without it the peer cannot tell the end from a cable that was cut."""
    server, client = pair
    for end, option in (server, socket.SO_SNDBUF), (client, socket.SO_RCVBUF):
        end.tls.setsockopt(socket.SOL_SOCKET, option, 8 * RECORD_BYTES)
    answer, received = b"x" * 12 * RECORD_BYTES, b""
    assert server.send_now(answer)
    server.tls.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # It holds more already.
    async with asyncio.TaskGroup() as group:
        group.create_task(server.linger())
        await asyncio.sleep(0)
        for _ in range(records):
            await client.send(b"x" * RECORD_BYTES)
        while data := await client.receive():
            received += data
        client.close()

    assert received == answer


async def test_a_handshake_with_plain_text_fails_in_words(server_context: ssl.SSLContext) -> None:
    ours, theirs = socket.socketpair()
    server = wrapped(ours, server_context, server=True)
    with theirs:
        theirs.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(StreamBroken, match="TLS handshake: http request"):
            await server.handshake()
    server.abort()


async def test_sockets_of_both_sides_have_no_dictionary_of_their_own(
    server_context: ssl.SSLContext, authority: Authority
) -> None:
    context = upstream_context(authority.pem.decode(), "")
    ours, theirs = connected()
    ends = wrapped(ours, server_context, server=True), wrapped(theirs, context, server=False)
    for end in ends:
        assert vars(end.tls) == {}
        assert end.tls.context in {server_context, context}
        end.abort()
