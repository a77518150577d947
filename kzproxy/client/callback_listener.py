"""The browser's way back: a listener on 127.0.0.1 for one authorization response (RFC 8252).

It belongs to the thread that waits for it: no thread of its own, and nothing is left open behind
it. Browsers open connections ahead of need, so several may be open and silent at a time.
"""

import selectors
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl

from kzproxy.client.callback_page import failure_page
from kzproxy.client.failure import ClientFailure
from kzproxy.clock.system import Clock

# RFC 8252 section 7.3: the port is free to choose, but an issuer compares the path exactly with
# the registered one, so what makes the way back unguessable is `state`, not the path.
CALLBACK_PATH = "/callback"

MAX_HEAD_BYTES = 32 * 1024
MAX_CONNECTIONS = 32
ANSWER_TIMEOUT_SECONDS = 2.0
POLL_SECONDS = 0.5

Parameters = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A request for the callback path, not yet answered.

    Attributes:
        parameters: Decoded; one that came twice is not in it (RFC 6749 section 3.1 forbids it).
    """

    parameters: Parameters
    connection: socket.socket

    def answer(self, status: str, page: str) -> None:
        """Answer with ``page`` and close; a browser that has gone is no error."""
        try:
            self.connection.settimeout(ANSWER_TIMEOUT_SECONDS)
            self.connection.sendall(_response(status, page))
        except OSError:
            return
        finally:
            self.connection.close()


class CallbackListener:
    """A listener on 127.0.0.1 only. A context manager: leaving it closes everything.

    Args:
        ports: Tried in this order; empty means any free one.
        clock: For the deadline.

    Raises:
        ClientFailure: None of the ports is free.
    """

    def __init__(self, ports: Sequence[int], clock: Clock) -> None:
        self._clock = clock
        self._listener = _bound(ports)
        self._listener.settimeout(0)
        self._port = self._listener.getsockname()[1]
        self._heads: dict[socket.socket, bytearray] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)

    @property
    def redirect_uri(self) -> str:
        """Return the URL that leads here."""
        return f"http://127.0.0.1:{self._port}{CALLBACK_PATH}"

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the listener and every connection that was not handed out."""
        self._selector.close()
        self._listener.close()
        for connection in self._heads:
            connection.close()

    def wait(self, deadline: float) -> Arrival | None:
        """Return the next request for the callback; None once ``deadline`` (monotonic) is past.

        Everything else that connects is answered 404 or 400, or dropped.
        """
        while (remaining := deadline - self._clock.monotonic()) > 0:
            for key, _ in self._selector.select(min(remaining, POLL_SECONDS)):
                connection = key.fileobj
                assert isinstance(connection, socket.socket)  # noqa: S101 - nothing else is registered
                if connection is self._listener:
                    self._accept()
                elif connection not in self._heads:
                    continue  # dropped a moment ago, to let another in
                elif arrival := self._read(connection):
                    return arrival
        return None

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # the browser has gone already
            return
        if len(self._heads) >= MAX_CONNECTIONS:
            self._drop(next(iter(self._heads)))
        connection.settimeout(0)
        self._heads[connection] = bytearray()
        self._selector.register(connection, selectors.EVENT_READ)

    def _read(self, connection: socket.socket) -> Arrival | None:
        head = self._heads[connection]
        try:
            part = connection.recv(MAX_HEAD_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            part = b""
        head += part
        if not part or len(head) > MAX_HEAD_BYTES:
            self._drop(connection)
            return None
        if b"\r\n\r\n" not in head:
            return None
        self._forget(connection)
        return self._arrival(connection, bytes(head))

    def _arrival(self, connection: socket.socket, head: bytes) -> Arrival | None:
        request_line, *lines = head.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        method, _, rest = request_line.partition(" ")
        target = rest.partition(" ")[0]
        path, _, query = target.partition("?")
        arrival = Arrival(parameters=_parameters(query), connection=connection)
        hosts = [line.partition(":")[2].strip() for line in lines if _is_host(line)]
        # A page of another site can make its own name resolve to 127.0.0.1, but not change Host.
        if hosts != [f"127.0.0.1:{self._port}"]:
            arrival.answer("400 Bad Request", failure_page("This is not the address kzproxy gave"))
        elif path != CALLBACK_PATH:
            arrival.answer("404 Not Found", failure_page("There is nothing here"))
        elif method != "GET":
            arrival.answer("405 Method Not Allowed", failure_page("Only GET is answered here"))
        else:
            return arrival
        return None

    def _forget(self, connection: socket.socket) -> None:
        self._selector.unregister(connection)
        del self._heads[connection]

    def _drop(self, connection: socket.socket) -> None:
        self._forget(connection)
        connection.close()


def _bound(ports: Sequence[int]) -> socket.socket:
    for port in ports or (0,):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            if sys.platform == "win32":
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
            else:  # a port that was used a moment ago; never one that is still listened on
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            listener.listen(MAX_CONNECTIONS)
        except OSError:
            listener.close()
        else:
            return listener
    wanted = ", ".join(str(port) for port in ports)
    raise ClientFailure(
        f"none of the ports {wanted or '(any)'} of 127.0.0.1 is free for the browser's way back"
    )


def _is_host(line: str) -> bool:
    return line.partition(":")[0].lower() == "host"


def _parameters(query: str) -> Parameters:
    parameters: Parameters = {}
    repeated = set()
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in parameters:
            repeated.add(name)
        parameters[name] = value
    return {name: value for name, value in parameters.items() if name not in repeated}


def _response(status: str, page: str) -> bytes:
    body = page.encode()
    head = (
        f"HTTP/1.1 {status}\r\n"
        "Content-Type: text/html; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\n"
        "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline';"
        " frame-ancestors 'none'; base-uri 'none'; form-action 'none'\r\n"
        "Referrer-Policy: no-referrer\r\n"
        "X-Content-Type-Options: nosniff\r\n"
        "Connection: close\r\n"
        "\r\n"
    )
    return head.encode("ascii") + body
