"""The listener in this process: how it begins, ends, and survives what goes wrong."""

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from kzproxy.clock.system import SystemClock
from kzproxy.http.messages import Length, ResponseHead
from kzproxy.metrics.registry import Metrics
from kzproxy.transport.accepting import listening_socket
from kzproxy.transport.client_connection import Service
from kzproxy.transport.connection_limits import DEFAULT_CONNECTION_LIMITS, OpenConnections
from kzproxy.transport.deadlines import Deadlines
from kzproxy.transport.exchange import Exchange
from kzproxy.transport.listener import Listener
from tests.servers.authority import Authority

_SECONDS = 5
REQUEST = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


class Greeting:
    """A service that answers every request alike."""

    async def handle(self, exchange: Exchange) -> None:
        exchange.read_request()
        await exchange.respond(ResponseHead(status=200, reason="", headers=(), body=Length(0)))


def listener(
    context: Callable[[], ssl.SSLContext],
    service: Service | None = None,
    deadlines: Deadlines | None = None,
) -> Listener:
    return Listener(
        sock=listening_socket("127.0.0.1", 0),
        context=context,
        service=service or Greeting(),
        deadlines=deadlines or Deadlines(SystemClock()),
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


@contextlib.asynccontextmanager
async def running(
    context: ssl.SSLContext, service: Service | None = None
) -> AsyncIterator[tuple[Listener, "asyncio.Task[None]"]]:
    """Run a listener, and what ends its waits; the test ends the listener."""
    deadlines = Deadlines(SystemClock())
    async with asyncio.TaskGroup() as group:
        sweeping = group.create_task(deadlines.run())
        listening = listener(lambda: context, service, deadlines)
        yield listening, group.create_task(listening.run())
        sweeping.cancel()


async def test_a_client_that_shakes_hands_while_accepting_stops_is_answered_once(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    async with running(server_context) as (listening, serving):
        reader, writer = await asyncio.open_connection(*listening.address)
        await asyncio.sleep(0.1)
        listening.stop_accepting()
        await writer.start_tls(client_context, server_hostname="localhost")
        writer.write(REQUEST)
        answered = await reader.read()
        await asyncio.wait_for(serving, _SECONDS)
        writer.close()

    assert answered.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in answered.lower()


async def test_a_client_that_says_nothing_while_kzproxy_ends_is_not_waited_for(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    async with running(server_context) as (listening, serving):
        reader, writer = await asyncio.open_connection(
            *listening.address, ssl=client_context, server_hostname="localhost"
        )
        await asyncio.sleep(0.1)
        listening.stop_accepting()
        assert await reader.read() == b""
        await asyncio.wait_for(serving, _SECONDS)
        writer.close()


async def test_who_has_connected_when_accepting_stops_is_served(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """Closing a listening socket resets what waits in its queue."""
    async with running(server_context) as (listening, serving):
        with contextlib.ExitStack() as stack:
            waiting = [
                stack.enter_context(socket.create_connection(listening.address)) for _ in range(100)
            ]
            listening.stop_accepting()
            sock = waiting.pop()
            sock.setblocking(False)
            reader, writer = await asyncio.open_connection(
                sock=sock, ssl=client_context, server_hostname="localhost"
            )
            writer.write(REQUEST)
            assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
            writer.close()
        await asyncio.wait_for(serving, _SECONDS)


class Stuck:
    """A service that says what it was about to do once it is cancelled.

    Attributes:
        has_begun: It has a request.
    """

    def __init__(self) -> None:
        self.has_begun = asyncio.Event()

    async def handle(self, exchange: Exchange) -> None:
        exchange.read_request()
        self.has_begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            head = ResponseHead(status=503, reason="", headers=(), body=Length(0))
            await exchange.respond(head)
            raise


async def test_what_is_still_served_when_it_is_cut_short_is_told_so(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    stuck = Stuck()
    async with running(server_context, stuck) as (listening, serving):
        reader, writer = await asyncio.open_connection(
            *listening.address, ssl=client_context, server_hostname="localhost"
        )
        # More than the request is on its way: a close would reset what is answered.
        writer.write(REQUEST + b"x" * 100_000)
        await asyncio.wait_for(stuck.has_begun.wait(), _SECONDS)
        await asyncio.sleep(0.1)
        listening.stop_accepting()
        await asyncio.sleep(0)
        listening.cut_short()
        assert (await reader.read()).startswith(b"HTTP/1.1 503 ")
        await asyncio.wait_for(serving, _SECONDS)
        writer.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_client_whose_certificate_nobody_vouches_for_reads_why(
    server_context: ssl.SSLContext,
    client_context: ssl.SSLContext,
    tmp_path: Path,
    version: ssl.TLSVersion,
) -> None:
    """In TLS 1.3 it has sent its request by then, which a close would answer with a reset."""
    server_context.minimum_version = ssl.TLSVersion.TLSv1_2
    client_context.maximum_version = version
    client_context.load_cert_chain(*Authority.root().device("d").write_to(tmp_path, "d"))

    def told() -> str:
        with socket.create_connection(listening.address, timeout=_SECONDS) as sock:
            try:
                with client_context.wrap_socket(sock, server_hostname="localhost") as tls:
                    tls.sendall(REQUEST)
                    time.sleep(0.2)  # so that what the server did is there to be read
                    tls.sendall(REQUEST)
                    return repr(tls.recv(1))
            except OSError as error:
                return str(error)

    async with running(server_context) as (listening, serving):
        words = await asyncio.to_thread(told)
        listening.stop_accepting()
        await asyncio.wait_for(serving, _SECONDS)

    assert "ALERT_UNKNOWN_CA" in words.upper().replace(" ", "_")


async def test_a_session_of_tls_1_2_that_is_resumed_is_closed_unanswered(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """The certificate that was shown in it would not be verified again."""
    server_context.minimum_version = ssl.TLSVersion.TLSv1_2
    client_context.maximum_version = ssl.TLSVersion.TLSv1_2

    def asked(session: ssl.SSLSession | None) -> tuple[bool | None, bytes, ssl.SSLSession | None]:
        with (
            socket.create_connection(listening.address, timeout=_SECONDS) as sock,
            client_context.wrap_socket(sock, server_hostname="localhost", session=session) as tls,
        ):
            is_reused, answer, given = tls.session_reused, b"", tls.session
            with contextlib.suppress(ConnectionError):
                tls.sendall(REQUEST)
                answer = tls.recv(65536)
            with contextlib.suppress(OSError):
                tls.unwrap()  # or OpenSSL forgets the session
            return is_reused, answer, given

    async with running(server_context) as (listening, serving):
        first = await asyncio.to_thread(asked, None)
        second = await asyncio.to_thread(asked, first[2])
        listening.stop_accepting()
        await asyncio.wait_for(serving, _SECONDS)

    assert (first[0], second[0]) == (False, True)
    assert first[1].startswith(b"HTTP/1.1 200 ")
    assert second[1] == b""


async def test_a_client_that_was_refused_in_its_handshake_and_stays_is_not_waited_for(
    server_context: ssl.SSLContext,
) -> None:
    async with running(server_context) as (listening, serving):
        _, writer = await asyncio.open_connection(*listening.address)
        writer.write(b"this is no TLS at all")
        await asyncio.sleep(0.1)
        listening.stop_accepting()
        await asyncio.wait_for(serving, _SECONDS)
        writer.close()


async def test_a_client_that_still_shakes_hands_when_it_is_cut_short_is_hung_up_on(
    server_context: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with running(server_context) as (listening, serving):
        reader, writer = await asyncio.open_connection(*listening.address)
        await asyncio.sleep(0.1)
        listening.stop_accepting()
        listening.cut_short()
        assert await reader.read() == b""
        await asyncio.wait_for(serving, _SECONDS)
        writer.close()

    assert "was still shaking hands when kzproxy stopped" in caplog.text


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
    writer.write(REQUEST)

    assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
    writer.close()
    listening.stop_accepting()
    await asyncio.wait_for(running, _SECONDS)


async def test_nothing_is_kept_of_a_connection_that_has_ended(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    async with running(server_context) as (listening, serving):
        reader, writer = await asyncio.open_connection(*listening.address)
        await writer.start_tls(client_context, server_hostname="localhost")
        writer.write(REQUEST)
        await reader.readuntil(b"\r\n\r\n")
        during = len(listening._tasks), len(listening._connections)
        writer.close()
        while listening._connections:
            await asyncio.sleep(0)
        after = len(listening._tasks)
        listening.stop_accepting()
        await asyncio.wait_for(serving, _SECONDS)

    assert during == (1, 1)
    assert after == 0
