"""One relay, and what a cut or the passing of time does to it in each of its phases."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine

import pytest

from kzproxy.administrator.lease import EndCause, Ending
from kzproxy.audit.schema import Termination
from kzproxy.enforcement import relay
from kzproxy.errors.kinds import (
    DownstreamClosed,
    ServiceUnavailable,
    Unauthenticated,
    UpstreamTimeout,
)
from kzproxy.http.chunks import LAST_CHUNK, chunk
from kzproxy.http.spdy_frames import FrameType
from kzproxy.transport.broken import StreamBroken
from kzproxy.transport.tls_sending import RECORD_BYTES
from kzproxy.transport.tls_stream import TlsStream
from tests.enforcement.conftest import ENDED, Scene
from tests.http.spdy import control
from tests.servers.scripted_api_server import Connection, Script, answer

PODS = "/api/v1/namespaces/a/pods"
UNTOLD = Ending(
    cause=EndCause.CREDENTIAL,
    error=ServiceUnavailable("nobody can tell whether it holds", retry_after_seconds=1),
)
EXEC = f"{PODS}/p/exec?command=id"
SPDY = ("Connection: Upgrade", "Upgrade: SPDY/3.1", "X-Stream-Protocol-Version: v4.channel.k8s.io")
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: SPDY/3.1\r\n"
    b"x-stream-protocol-version: v4.channel.k8s.io\r\n\r\n"
)
ERROR_STREAM, OUTPUT_STREAM = 1, 3
OPENED = control(FrameType.SYN_STREAM, ERROR_STREAM) + control(FrameType.SYN_STREAM, OUTPUT_STREAM)
LIST_CHUNKS = 8000
LAST_WORDS = struct.pack(">II", ERROR_STREAM, 6) + b"exit 0"
OUTPUT = struct.pack(">II", OUTPUT_STREAM, RECORD_BYTES - 8) + bytes(RECORD_BYTES - 8)


def started(work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
    return asyncio.get_running_loop().create_task(work)


async def until(happened: threading.Event) -> None:
    """Wait for what the stand-in's thread tells."""
    while not happened.is_set():
        await asyncio.sleep(0.01)


async def settle() -> None:
    """Let everything come to where it waits."""
    await asyncio.sleep(0.1)


async def until_it_lags(scene: Scene) -> None:
    """Wait until the client, which does not read, has no room for what comes for it."""
    while not scene.stream.owes:
        await asyncio.sleep(0.01)


async def until_no_more_is_taken(stream: TlsStream) -> None:
    """Wait until nothing more is received, however often the loop turns.

    Turns are counted, for one long sleep may be all that a machine does that stands still.
    """
    taken, quiet = -1, 0
    while quiet < 50:
        await asyncio.sleep(0.01)
        quiet = quiet + 1 if stream.bytes_received == taken else 0
        taken = stream.bytes_received


async def fill(stream: TlsStream) -> None:
    """Send until the other end, which does not read, has no room left."""
    filling = started(stream.send(b"f" * 10_000_000))
    await settle()
    filling.cancel()


async def everything(client: TlsStream) -> bytes:
    received = b""
    while data := await client.receive():
        received += data
    return received


async def end(scene: Scene, running: "asyncio.Task[None]") -> bytes:
    """End the connection as its server does after the exchange; return what its client gets."""
    reading = asyncio.get_running_loop().create_task(everything(scene.client))
    await running
    assert not scene.exchange.reusable
    await scene.stream.linger()
    return await reading


def talkative_exec(connection: Connection, _: bytes) -> None:
    """Print more than fits between here and the client."""
    connection.send(SWITCHED)
    connection.body(len(OPENED))
    connection.send(control(FrameType.SYN_REPLY, ERROR_STREAM))
    connection.send(control(FrameType.SYN_REPLY, OUTPUT_STREAM))
    for _ in range(1000):
        connection.send(OUTPUT)


async def test_a_request_that_is_cut_while_it_connects_is_not_sent(scene: Scene) -> None:
    relay, outgoing = scene.relay("DELETE", f"{PODS}/p")
    running = started(relay.run(outgoing))
    await asyncio.sleep(0)
    relay.cut(ENDED)

    with pytest.raises(Unauthenticated):
        await running
    assert scene.stand_in.heads == []


async def test_a_request_that_is_cut_while_it_connects_in_vain_is_told_of_the_cut(
    scene: Scene,
) -> None:
    """Not of kube-apiserver, with a ``Retry-After`` at which it would be sent again."""
    relay, outgoing = scene.relay("GET", PODS)
    with scene.stand_in.down():
        running = started(relay.run(outgoing))
        await asyncio.sleep(0)
        relay.cut(ENDED)
        with pytest.raises(Unauthenticated):
            await running
    assert scene.case.termination is Termination.POLICY_CUT


async def test_a_request_that_is_cut_before_its_answer_ends_its_connection(scene: Scene) -> None:
    asked = threading.Event()
    scene.stand_in.script = lambda *_: asked.set()
    relay, outgoing = scene.relay("GET", PODS)
    running = started(relay.run(outgoing))
    await until(asked)
    relay.cut(ENDED)

    with pytest.raises(Unauthenticated):
        await running
    assert not scene.exchange.reusable


@pytest.mark.parametrize(
    ("method", "target", "retry_after_seconds"),
    [
        ("GET", PODS, 1),
        ("DELETE", f"{PODS}/p", None),
        ("POST", "/api/v1/namespaces/a/services/s/proxy/orders", None),
    ],
)
async def test_a_write_that_is_cut_after_it_was_sent_is_not_to_be_repeated(
    scene: Scene, method: str, target: str, retry_after_seconds: int | None
) -> None:
    """client-go would, at a Retry-After, and nobody knows whether it has been done."""
    asked = threading.Event()
    scene.stand_in.script = lambda *_: asked.set()
    relay, outgoing = scene.relay(method, target)
    running = started(relay.run(outgoing))
    await until(asked)
    relay.cut(UNTOLD)

    with pytest.raises(ServiceUnavailable) as cut:
        await running
    assert cut.value.retry_after_seconds == retry_after_seconds
    assert ("outcome unknown" in cut.value.message) == (retry_after_seconds is None)
    assert UNTOLD.error.retry_after_seconds == 1


async def test_a_write_that_is_cut_before_it_was_sent_may_be_repeated(scene: Scene) -> None:
    relay, outgoing = scene.relay("DELETE", f"{PODS}/p")
    running = started(relay.run(outgoing))
    await asyncio.sleep(0)
    relay.cut(UNTOLD)

    with pytest.raises(ServiceUnavailable) as cut:
        await running
    assert cut.value.retry_after_seconds == 1
    assert scene.stand_in.heads == []


async def test_an_answer_that_is_cut_while_its_client_lags_is_no_whole_one(scene: Scene) -> None:
    """All of it had come from kube-apiserver."""
    scene.stand_in.script = lambda connection, _: connection.send(answer(200, b"x" * 120_000))
    for stream, option in (scene.stream, socket.SO_SNDBUF), (scene.client, socket.SO_RCVBUF):
        stream.tls.setsockopt(socket.SOL_SOCKET, option, 8 * 1024)
    relay, outgoing = scene.relay("GET", PODS)
    running = started(relay.run(outgoing))
    await until_it_lags(scene)
    await settle()
    relay.cut(ENDED)
    with pytest.raises(StreamBroken):
        await everything(scene.client)
    await running

    assert scene.case.termination is Termination.POLICY_CUT


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a client that reads as long to hear why it is cut as this machine may stand still."""
    monkeypatch.setattr(relay, "FAREWELL_SECONDS", 20.0)


@pytest.mark.usefixtures("patient")
async def test_a_request_that_is_cut_at_its_very_end_ends_its_connection(scene: Scene) -> None:
    """The abort that bounds a farewell must not hit the client's next request."""
    await fill(scene.stream)
    relay, outgoing = scene.relay("GET", PODS)
    running = started(relay.run(outgoing))
    while not scene.exchange.started:
        with contextlib.suppress(TimeoutError):  # Or there is no room for the answer, ever.
            await asyncio.wait_for(scene.client.receive(), 0.01)
    await settle()
    relay.cut(ENDED)
    await end(scene, running)


def long_list(connection: Connection, _: bytes) -> None:
    """Answer as kube-apiserver does with a list: many records, more than fits between here."""
    connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    with contextlib.suppress(OSError):
        for _ in range(LIST_CHUNKS):
            connection.send(chunk(b"i" * 2048))
        connection.send(LAST_CHUNK)


async def test_a_list_in_many_records_comes_as_it_was_sent(scene: Scene) -> None:
    scene.stand_in.script = long_list
    relay, outgoing = scene.relay("GET", PODS)
    reading = asyncio.get_running_loop().create_task(everything(scene.client))
    await relay.run(outgoing)
    scene.stream.close()

    assert (await reading).endswith(chunk(b"i" * 2048) * LIST_CHUNKS + LAST_CHUNK)
    assert scene.exchange.reusable


async def test_a_list_that_is_cut_while_its_client_lags_goes_no_further(scene: Scene) -> None:
    """Not even what had been read for it already, but for the record that TLS has begun."""
    scene.stand_in.script = long_list
    relay, outgoing = scene.relay("GET", PODS)
    running = started(relay.run(outgoing))
    await until_it_lags(scene)
    sent_before = scene.stream.bytes_sent
    relay.cut(ENDED)
    with pytest.raises(StreamBroken):
        await everything(scene.client)
    await running

    assert scene.stream.bytes_sent <= sent_before + RECORD_BYTES
    assert scene.case.termination is Termination.POLICY_CUT


@pytest.mark.usefixtures("patient")
async def test_an_exec_that_is_cut_while_its_client_lags_is_told_why(scene: Scene) -> None:
    """A clean end without a word looks like success: kubectl exits 0."""
    scene.stand_in.script = talkative_exec
    relay, outgoing = scene.relay("POST", EXEC, *SPDY)
    running = started(relay.run(outgoing))
    await scene.client.receive()
    await scene.client.send(OPENED)
    await until_it_lags(scene)  # so that both streams are open too
    relay.cut(ENDED)
    received = await end(scene, running)

    assert scene.case.termination is Termination.POLICY_CUT
    assert b"the sign-in has ended" in received


async def upload(client: TlsStream) -> None:
    """Send input for as long as it is taken."""
    with contextlib.suppress(StreamBroken):
        while True:
            await client.send(OUTPUT)


async def tunnelled(scene: Scene, script: Script) -> bytes:
    """Run an exec whose client sends without end; return what it gets."""
    scene.stand_in.script = script
    relay, outgoing = scene.relay("POST", EXEC, *SPDY)
    running = started(relay.run(outgoing))
    await scene.client.receive()
    uploading = started(upload(scene.client))
    reading = asyncio.get_running_loop().create_task(everything(scene.client))
    await running
    uploading.cancel()
    await scene.stream.linger()
    return await reading


@pytest.mark.parametrize("_", range(5))
async def test_a_tunnel_that_is_reset_while_its_client_sends_is_reset(scene: Scene, _: int) -> None:
    """It is mostly the sending that learns of it first."""

    def reset(connection: Connection, _: bytes) -> None:
        connection.send(SWITCHED)
        connection.body(2_000_000)
        connection.reset()

    with pytest.raises(StreamBroken):
        await tunnelled(scene, reset)
    assert scene.case.termination is Termination.UPSTREAM_RESET


async def test_a_tunnel_that_is_reset_while_its_client_reads_nothing_is_reset(scene: Scene) -> None:
    """kube-apiserver broke it, although it is the client's input that finds that out."""
    has_reset = threading.Event()

    def fill_and_reset(connection: Connection, _: bytes) -> None:
        connection.send(SWITCHED)
        connection.tls.settimeout(0.3)
        with contextlib.suppress(TimeoutError):
            while True:
                connection.send(OUTPUT)
        connection.reset()
        has_reset.set()

    scene.stand_in.script = fill_and_reset
    relay, outgoing = scene.relay("POST", EXEC, *SPDY)
    running = started(relay.run(outgoing))
    await until(has_reset)
    uploading = started(upload(scene.client))
    await asyncio.sleep(1.5)
    with pytest.raises(StreamBroken):
        await everything(scene.client)
    uploading.cancel()
    await running
    assert scene.case.termination is Termination.UPSTREAM_RESET


@pytest.mark.parametrize("_", range(5))
async def test_what_a_tunnel_says_last_is_passed_on_though_it_takes_no_more(
    scene: Scene, _: int
) -> None:
    """A command takes less than it is given; closing with input unread resets the connection."""

    def finish(connection: Connection, _: bytes) -> None:
        connection.send(SWITCHED)
        connection.body(2_000_000)
        connection.send(LAST_WORDS)
        with contextlib.suppress(OSError):
            connection.tls.unwrap()
        connection.tls.close()

    assert await tunnelled(scene, finish) == LAST_WORDS
    assert scene.case.termination is Termination.NORMAL


async def quiet_tunnel(scene: Scene) -> "asyncio.Task[None]":
    """Run an exec that neither side says anything on."""

    def wait(connection: Connection, _: bytes) -> None:
        connection.send(SWITCHED)
        connection.tls.recv(1)

    scene.stand_in.script = wait
    relay, outgoing = scene.relay("POST", EXEC, *SPDY)
    running = started(relay.run(outgoing))
    await scene.client.receive()
    return running


async def test_a_client_that_resets_its_tunnel_is_gone(scene: Scene) -> None:
    running = await quiet_tunnel(scene)
    scene.client.abort()
    with pytest.raises(DownstreamClosed):
        await running


async def test_a_client_that_closes_its_tunnel_in_order_ends_it(scene: Scene) -> None:
    running = await quiet_tunnel(scene)
    scene.client.close()
    await running
    assert scene.case.termination is Termination.NORMAL


@pytest.mark.usefixtures("patient")
async def test_a_farewell_is_not_destroyed_by_what_the_client_still_sends(scene: Scene) -> None:
    """Closing with unread input would send a reset, which may overtake the farewell."""
    upload = struct.pack(">II", OUTPUT_STREAM, 10_000_000) + bytes(10_000_000)
    scene.stand_in.script = talkative_exec
    relay, outgoing = scene.relay("POST", EXEC, *SPDY)
    running = started(relay.run(outgoing))
    await scene.client.receive()
    await scene.client.send(OPENED)
    uploading = started(scene.client.send(upload))
    await until_it_lags(scene)
    await settle()
    relay.cut(ENDED)
    received = await end(scene, running)
    uploading.cancel()

    assert b"the sign-in has ended" in received


async def test_an_upload_that_kube_apiserver_does_not_read_ends_in_time(scene: Scene) -> None:
    ended = threading.Event()
    scene.stand_in.script = lambda *_: ended.wait(10) and None
    relay, outgoing = scene.relay("POST", PODS, "Content-Length: 100000000")
    running = started(relay.run(outgoing))
    uploading = started(scene.client.send(bytes(100_000_000)))
    await until_no_more_is_taken(scene.stream)
    scene.pass_time(80)

    with pytest.raises(UpstreamTimeout):
        await running
    ended.set()
    uploading.cancel()


async def test_an_answer_that_is_late_is_a_timeout(scene: Scene) -> None:
    asked = threading.Event()
    scene.stand_in.script = lambda *_: asked.set()
    relay, outgoing = scene.relay("GET", PODS)
    running = started(relay.run(outgoing))
    await until(asked)
    await settle()
    scene.pass_time(80)

    with pytest.raises(UpstreamTimeout):
        await running


@pytest.mark.parametrize(
    "target",
    [f"{PODS}/p/log?follow=true&tailLines=0", "/api/v1/namespaces/a/services/s/proxy/poll"],
    ids=["quiet-log", "long-poll"],
)
async def test_a_long_running_request_may_be_answered_late(scene: Scene, target: str) -> None:
    """The kubelet sends the head of a log with its first line, and a backend when it likes."""
    asked, line = threading.Event(), threading.Event()

    def speak_late(connection: Connection, _: bytes) -> None:
        asked.set()
        line.wait(10)
        connection.send(answer(200, b"at last\n"))

    scene.stand_in.script = speak_late
    relay, outgoing = scene.relay("GET", target)
    running = started(relay.run(outgoing))
    await until(asked)
    await settle()
    scene.pass_time(3600)
    line.set()
    await running

    assert (await scene.client.receive()).endswith(b"at last\n")
