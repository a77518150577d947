"""The listener in this process: how it begins, ends, and survives what goes wrong."""

import asyncio
import ssl
from collections.abc import Callable

import pytest

from kzproxy.clock.system import SystemClock
from kzproxy.http.messages import Length, ResponseHead
from kzproxy.metrics.registry import Metrics
from kzproxy.transport.connection_limits import DEFAULT_CONNECTION_LIMITS, OpenConnections
from kzproxy.transport.deadlines import Deadlines
from kzproxy.transport.exchange import Exchange
from kzproxy.transport.listener import Listener, listening_socket

_SECONDS = 5


class Greeting:
    """A service that answers every request alike."""

    async def handle(self, exchange: Exchange) -> None:
        exchange.read_request()
        await exchange.respond(ResponseHead(status=200, reason="", headers=(), body=Length(0)))


def listener(context: Callable[[], ssl.SSLContext]) -> Listener:
    return Listener(
        sock=listening_socket("127.0.0.1", 0),
        context=context,
        service=Greeting(),
        deadlines=Deadlines(SystemClock()),
        metrics=Metrics(version=""),
        connections=OpenConnections(DEFAULT_CONNECTION_LIMITS),
    )


async def test_a_listener_that_is_stopped_before_it_runs_ends(
    server_context: ssl.SSLContext,
) -> None:
    """SIGTERM may come while kzproxy still starts."""
    listening = listener(lambda: server_context)
    running = asyncio.get_running_loop().create_task(listening.run())
    listening.stop_accepting()

    await asyncio.wait_for(running, _SECONDS)


async def test_a_connection_that_shakes_hands_while_accepting_stops_is_not_kept_waiting(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    listening = listener(lambda: server_context)
    running = asyncio.get_running_loop().create_task(listening.run())
    reader, writer = await asyncio.open_connection(*listening.address)
    await asyncio.sleep(0.1)
    listening.stop_accepting()
    await writer.start_tls(client_context, server_hostname="localhost")

    await asyncio.wait_for(running, _SECONDS)
    assert await reader.read() == b""
    writer.close()


async def test_a_connection_that_cannot_be_served_does_not_end_the_others(
    server_context: ssl.SSLContext,
    client_context: ssl.SSLContext,
    caplog: pytest.LogCaptureFixture,
) -> None:
    contexts = [server_context]

    def context() -> ssl.SSLContext:
        if "bug" not in caplog.text:
            raise ValueError("a renewed certificate that is none")
        return contexts[0]

    listening = listener(context)
    running = asyncio.get_running_loop().create_task(listening.run())
    reader, writer = await asyncio.open_connection(*listening.address)
    assert await reader.read() == b""
    writer.close()
    reader, writer = await asyncio.open_connection(
        *listening.address, ssl=client_context, server_hostname="localhost"
    )
    writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")

    assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
    writer.close()
    listening.stop_accepting()
    await asyncio.wait_for(running, _SECONDS)
