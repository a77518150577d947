"""Serve a few documents to operators: GET over plain HTTP, bounded, and nothing else.

Not with aiohttp, which the sign-in listener is on: it weighs 11 MiB in each worker, and this
listener is there in all of them.

There is nothing in it that could be read in two ways. No body is read, and a connection ends with
the answer to any request that has one, that is in HTTP/1.0, or that says how the connection goes
on.
"""

import asyncio
import logging
import re
import socket
from collections.abc import Awaitable, Callable, Mapping

import msgspec

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 64
"""Probes, a scraper or two, and somebody who looks."""
MAX_HEAD_BYTES = 16 * 1024
IDLE_SECONDS = 75
"""For a request, from the end of the one before it: scrapers ask once or twice a minute."""
SEND_SECONDS = 30

_READ_BYTES = 4 * 1024
_REST_SECONDS = 0.1
_HEAD = re.compile(
    rb"([A-Z]{1,24}) (/[\x21-\x7e]*+) HTTP/1\.([01])\r\n((?:[\t\x20-\x7e\x80-\xff]++\r\n)*)\r\n"
)
_ENDS_CONNECTION = re.compile(
    rb"^(?:connection|content-length|expect|transfer-encoding|upgrade)[ \t]*:",
    re.IGNORECASE | re.MULTILINE,
)
_TEXT = "text/plain; charset=utf-8"
_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A document as it stands now."""

    body: bytes
    content_type: str = _TEXT
    status: int = 200


Show = Callable[[], Awaitable[Shown]]


class OpsServer:
    """Answers on one socket.

    Args:
        sock: Listens, and does not block; closed at the end of ``run``.
        documents: What is shown, by path.
    """

    def __init__(self, sock: socket.socket, documents: Mapping[str, Show]) -> None:
        self._sock = sock
        self._documents = documents
        # In the order in which they came, each with the task that serves it.
        self._open: dict[_Connection, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Serve until cancelled."""
        loop = asyncio.get_running_loop()
        with self._sock:
            async with asyncio.TaskGroup() as group:
                while True:
                    try:
                        sock, _ = await loop.sock_accept(self._sock)
                    except OSError:  # No descriptor is left, or the client has gone already.
                        await asyncio.sleep(_REST_SECONDS)
                        continue
                    if len(self._open) >= MAX_CONNECTIONS:
                        self._make_room()
                    connection = _Connection(sock, self._documents)
                    self._open[connection] = group.create_task(self._serve(connection))
                    await asyncio.sleep(0)  # It begins before the next one is taken.

    def _make_room(self) -> None:
        """End the oldest connection that asks nothing, or else the oldest.

        Whoever connects so often, and says nothing or takes no answer, would otherwise have every
        probe fail, and kzproxy started again for it.
        """
        oldest = next(iter(self._open))
        idle = (one for one in self._open if not one.is_answering)
        self._open.pop(next(idle, oldest)).cancel()

    async def _serve(self, connection: "_Connection") -> None:
        try:
            await connection.serve()
        except (OSError, TimeoutError):
            pass  # It has gone, or says nothing: there is nobody to answer.
        finally:
            self._open.pop(connection, None)


class _Connection:
    """One client's.

    Attributes:
        is_answering: Whether a whole request has come that is being answered.
    """

    def __init__(self, sock: socket.socket, documents: Mapping[str, Show]) -> None:
        self._sock = sock
        self._documents = documents
        self.is_answering = False
        self._received = b""
        self._loop = asyncio.get_running_loop()

    async def serve(self) -> None:
        """Answer request after request until one side has enough."""
        with self._sock:
            while (head := await self._head()) is not None:
                self.is_answering = True
                keep_alive = await self._answer(head)
                self.is_answering = False
                if not keep_alive:
                    return
                await asyncio.sleep(0)  # Users are served by the same loop.

    async def _head(self) -> bytes | None:
        """Return the next head, or what has come of one that is too long; None at the end.

        Raises:
            TimeoutError: It did not come.
        """
        async with asyncio.timeout(IDLE_SECONDS):
            while (end := self._received.find(b"\r\n\r\n")) < 0:
                if len(self._received) > MAX_HEAD_BYTES:
                    return self._received
                data = await self._loop.sock_recv(self._sock, _READ_BYTES)
                if not data:
                    return None
                self._received += data
        head, self._received = self._received[: end + 4], self._received[end + 4 :]
        return head

    async def _answer(self, head: bytes) -> bool:
        """Answer a request; return whether another may follow."""
        if len(head) > MAX_HEAD_BYTES:
            return await self._refuse(431)
        read = _HEAD.fullmatch(head)
        if read is None:
            return await self._refuse(400)
        method, target, version, block = read.groups()
        show = self._documents.get(target.partition(b"?")[0].decode("ascii"))
        if show is None:
            return await self._refuse(404)
        if method not in (b"GET", b"HEAD"):
            return await self._refuse(405)
        try:
            shown = await show()
        except Exception:
            log.exception("bug while %s was made for operators", target.decode("ascii"))
            return await self._refuse(500)
        keep_alive = version == b"1" and _ENDS_CONNECTION.search(block) is None
        await self._send(shown, keep_alive=keep_alive, with_body=method == b"GET")
        return keep_alive

    async def _refuse(self, status: int) -> bool:
        body = f"{status} {_REASONS[status]}\n".encode()
        await self._send(Shown(status=status, body=body), keep_alive=False, with_body=True)
        return False

    async def _send(self, shown: Shown, *, keep_alive: bool, with_body: bool) -> None:
        end = "" if keep_alive else "connection: close\r\n"
        head = (
            f"HTTP/1.1 {shown.status} {_REASONS[shown.status]}\r\n"
            f"content-type: {shown.content_type}\r\n"
            f"content-length: {len(shown.body)}\r\n{end}\r\n"
        )
        async with asyncio.timeout(SEND_SECONDS):
            await self._loop.sock_sendall(
                self._sock, head.encode("ascii") + (shown.body if with_body else b"")
            )
