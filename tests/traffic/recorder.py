"""Stands between a client and kube-apiserver and writes down the heads that the client sends.

TLS is ended on both sides and every byte passed on. Where heads begin and end is told by h11, so
that what is recorded does not depend on how kzproxy reads.
"""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import h11

_PIECE_BYTES = 65536


class _Heads:
    """Finds the heads of one connection's requests in what its client sends."""

    def __init__(self, found: list[bytes]) -> None:
        self._found = found
        self._buffer = b""
        self._connection = h11.Connection(h11.SERVER)
        self._is_tunnel = False

    def feed(self, data: bytes) -> None:
        if self._is_tunnel:
            return
        self._buffer += data
        self._connection.receive_data(data)
        while True:
            event = self._connection.next_event()
            if isinstance(event, h11.Request):
                head, end, _ = self._buffer.partition(b"\r\n\r\n")
                self._found.append(head + end)
                if any(name == b"upgrade" for name, _ in event.headers):
                    self._is_tunnel = True  # What follows is not HTTP.
                    return
            elif isinstance(event, h11.EndOfMessage):
                self._next_message()
            elif event is h11.NEED_DATA or isinstance(event, h11.ConnectionClosed):
                return

    def _next_message(self) -> None:
        rest, _ = self._connection.trailing_data
        self._connection = h11.Connection(h11.SERVER)
        self._buffer = b""
        if rest:
            self.feed(rest)


class Recorder:
    """A recorder that runs on a loop of its own.

    Attributes:
        heads: What was sent, in the order in which it came.
        port: Where it listens.
    """

    def __init__(self, server: ssl.SSLContext, upstream: ssl.SSLContext, port: int) -> None:
        self.heads: list[bytes] = []
        self.port = 0
        self._server, self._upstream, self._upstream_port = server, upstream, port

    @contextlib.contextmanager
    def running(self) -> Iterator["Recorder"]:
        """Record while the body runs."""
        loop, ready = asyncio.new_event_loop(), threading.Event()
        thread = threading.Thread(target=self._run, args=(loop, ready))
        thread.start()
        ready.wait(10)
        try:
            yield self
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)

    def _run(self, loop: asyncio.AbstractEventLoop, ready: threading.Event) -> None:
        asyncio.set_event_loop(loop)
        serving = asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._server)
        server = loop.run_until_complete(serving)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        loop.run_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream = await asyncio.open_connection(
            "127.0.0.1", self._upstream_port, ssl=self._upstream, server_hostname="127.0.0.1"
        )
        heads = _Heads(self.heads)
        up = asyncio.ensure_future(_pass_on(reader, upstream[1], heads))
        await _pass_on(upstream[0], writer, None)
        up.cancel()


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heads: _Heads | None
) -> None:
    with contextlib.suppress(OSError, ssl.SSLError):
        while data := await reader.read(_PIECE_BYTES):
            if heads is not None:
                heads.feed(data)
            writer.write(data)
            await writer.drain()
    writer.close()


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Make the context that clients meet: HTTP/1.1, as kzproxy offers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["http/1.1"])
    return context
