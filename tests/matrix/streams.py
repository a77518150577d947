"""The kinds of streams, each held open by a real client to which something comes all the time."""

import contextlib
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tests.cluster.kubectl import SPDY, WEBSOCKET, Kubectl
from tests.matrix.sign_in import SignedIn
from tests.proxy.raw_client import RawClient
from tests.proxy.world import request

POD = "matrix"
TICK_SECONDS = 0.05
PORTS_FILE = "matrix-ports"
FLOOD = "flood"
"""The container that says more than anybody reads."""

_BEGIN_SECONDS = 30.0
_STOP_SECONDS = 10.0


class Kind(StrEnum):
    """A kind of stream."""

    WATCH_JSON = "watch JSON"
    WATCH_PROTOBUF = "watch protobuf"
    LOGS = "logs -f"
    EXEC_WEBSOCKET = "exec WebSocket"
    EXEC_SPDY = "exec SPDY"
    ATTACH = "attach"
    FORWARD_WEBSOCKET = "port-forward WebSocket"
    FORWARD_SPDY = "port-forward SPDY"


@dataclass(frozen=True, kw_only=True)
class Account:
    """How one user reaches kzproxy.

    Attributes:
        kubectl: With the user's kubeconfig, in the namespace of the pod.
        port: kzproxy's.
        token: What a client without kubectl sends.
        authority: Of kzproxy's certificate.
        certificate: The user's device's, with its key; None for none.
        source: The address that a client without kubectl comes from.
        signed_in: Whose session it is, where it is one's.
    """

    kubectl: Kubectl
    port: int
    token: str
    authority: Path
    certificate: tuple[Path, Path] | None = None
    source: str = "127.0.0.1"
    signed_in: SignedIn | None = None

    @property
    def session_id(self) -> str:
        """Of the session that it is."""
        assert self.signed_in is not None
        return self.signed_in.session_id


class Stream:
    """One stream that is open, and what has come of it.

    Attributes:
        kind: Of it.
        received: The end of what came, some kilobytes.
        errors: What the client said on its standard error.
        last_at: Monotonic; when the last byte came.
        ended_at: Monotonic; None while it runs.
        exit_code: The client's; None while it runs, or where it is not a program.
    """

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.received = b""
        self.errors = b""
        self.last_at = 0.0
        self.ended_at: float | None = None
        self.exit_code: int | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self._ends: list[Callable[[], None]] = []
        self._threads: list[threading.Thread] = []
        self.stopped = threading.Event()
        self._begun = threading.Event()
        self.all_said = threading.Event()

    def took(self, data: bytes) -> None:
        self.last_at = time.monotonic()
        self.received = (self.received + data)[-8192:]
        self._begun.set()

    def has_ended(self, process: "subprocess.Popen[bytes]") -> None:
        """Wait for the client's end, and for all that it has said to be read."""
        self.exit_code = process.wait()
        self.all_said.wait(_STOP_SECONDS)
        self.is_over()

    def is_over(self) -> None:
        self.ended_at = time.monotonic()
        self._begun.set()

    def wait_until_begun(self) -> None:
        assert self._begun.wait(_BEGIN_SECONDS), f"{self.kind}: nothing came; {self.errors!r}"
        assert self.ended_at is None, f"{self.kind}: ended at once; {self.errors!r}"

    def wait_until_over(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.ended_at is None and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.ended_at is not None

    def goes_on(self, seconds: float) -> bool:
        """Whether something comes from now on, which is waited for that long."""
        since, deadline = time.monotonic(), time.monotonic() + seconds
        while self.last_at <= since and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.ended_at is None and self.last_at > since

    def suspend(self) -> None:
        """Have the client do nothing more; it can only be killed then."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def on_stop(self, end: Callable[[], None]) -> None:
        self._ends.append(end)

    def stop(self) -> None:
        self.stopped.set()
        for end in reversed(self._ends):
            with contextlib.suppress(OSError):
                end()
        for thread in self._threads:
            thread.join(_STOP_SECONDS)

    def in_thread(self, run: Callable[[], None]) -> None:
        thread = threading.Thread(target=run, daemon=True)
        self._threads.append(thread)
        thread.start()


@dataclass(frozen=True, kw_only=True)
class Ports:
    """What the pod serves: a line now and then, and as much as anybody takes."""

    ticks: str
    flood: str


def open_stream(kind: Kind, account: Account, ports: Ports) -> Stream:
    """Begin a stream; it need not have received anything yet."""
    if kind is Kind.WATCH_PROTOBUF:
        return _protobuf_watch(account)
    arguments, transport = _COMMANDS[kind]
    if kind in _FORWARDS:
        return _forward(kind, account, [*arguments, f":{ports.ticks}"], transport)
    return _kubectl(kind, account, arguments, transport)


def open_unread(kind: Kind, account: Account, ports: Ports) -> Stream:
    """Begin a stream whose client stops as soon as something has come, while more and more does.

    A protobuf watch is as any other: ``SilentReader`` is one.
    """
    arguments, transport = _FLOODS[kind]
    if kind in _FORWARDS:
        stream = _forward(kind, account, [*arguments, f":{ports.flood}"], transport, is_read=False)
    else:
        stream = _kubectl(kind, account, arguments, transport)
    stream.wait_until_begun()
    stream.suspend()
    return stream


# A client that reads is told why it is cut only between two events, and one of 200 KB is a while on
# its way. Those that do not read watch all.
_SMALL = "metadata.name=ticks"
_EXEC = ("exec", POD, "--container=server", "--", "sh", "-c")
_TICKING = (*_EXEC, f"while sleep {TICK_SECONDS}; do echo tick; done")
_FORWARD = ("port-forward", f"pod/{POD}")
_FORWARDS = (Kind.FORWARD_WEBSOCKET, Kind.FORWARD_SPDY)
_FLOODING = (*_EXEC, "while :; do head -c 50000 /dev/zero | tr '\\0' x; echo; done")
_FLOODS: Mapping[Kind, tuple[Sequence[str], Mapping[str, str]]] = {
    Kind.WATCH_JSON: (("get", "configmaps", "--watch-only", "--output=json"), WEBSOCKET),
    Kind.LOGS: (("logs", "--follow", POD, f"--container={FLOOD}"), WEBSOCKET),
    Kind.EXEC_WEBSOCKET: (_FLOODING, WEBSOCKET),
    Kind.EXEC_SPDY: (_FLOODING, SPDY),
    Kind.ATTACH: (("attach", POD, f"--container={FLOOD}"), WEBSOCKET),
    Kind.FORWARD_WEBSOCKET: (_FORWARD, WEBSOCKET),
    Kind.FORWARD_SPDY: (_FORWARD, SPDY),
}
UNREAD = tuple(_FLOODS)
"""The kinds that ``open_unread`` has."""
_COMMANDS: Mapping[Kind, tuple[Sequence[str], Mapping[str, str]]] = {
    Kind.WATCH_JSON: (("get", "configmaps", "--watch", f"--field-selector={_SMALL}"), WEBSOCKET),
    Kind.LOGS: (("logs", "--follow", POD, "--container=ticker"), WEBSOCKET),
    Kind.EXEC_WEBSOCKET: (_TICKING, WEBSOCKET),
    Kind.EXEC_SPDY: (_TICKING, SPDY),
    Kind.ATTACH: (("attach", POD, "--container=ticker"), WEBSOCKET),
    Kind.FORWARD_WEBSOCKET: (_FORWARD, WEBSOCKET),
    Kind.FORWARD_SPDY: (_FORWARD, SPDY),
}


def _kubectl(
    kind: Kind, account: Account, arguments: Sequence[str], transport: Mapping[str, str]
) -> Stream:
    stream = Stream(kind)
    kubectl = account.kubectl.using(extra=transport)
    process = _started(kubectl, arguments, stream)
    stream.in_thread(lambda: _read_output(process, stream))
    return stream


def _started(
    kubectl: Kubectl, arguments: Sequence[str], stream: Stream
) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(
        kubectl.command(*arguments),
        env=kubectl.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Where a stopped process is one of ours, the kernel may hang all of us up: see setpgid(2).
        start_new_session=True,
    )
    stream.process = process
    stream.on_stop(process.kill)
    stream.in_thread(lambda: _read_errors(process, stream))
    return process


def _read_output(process: "subprocess.Popen[bytes]", stream: Stream) -> None:
    assert process.stdout is not None
    with process.stdout as output:
        while data := os.read(output.fileno(), 65536):
            stream.took(data)
    stream.has_ended(process)


def _read_errors(process: "subprocess.Popen[bytes]", stream: Stream) -> None:
    assert process.stderr is not None
    with process.stderr as errors:
        while data := os.read(errors.fileno(), 65536):
            stream.errors = (stream.errors + data)[-8192:]
    stream.all_said.set()


def _forward(
    kind: Kind,
    account: Account,
    arguments: Sequence[str],
    transport: Mapping[str, str],
    *,
    is_read: bool = True,
) -> Stream:
    """Hold a connection through kubectl's port-forward, over which the pod sends."""
    stream = Stream(kind)
    kubectl = account.kubectl.using(extra=transport)
    process = _started(kubectl, arguments, stream)

    def run() -> None:
        assert process.stdout is not None
        with process.stdout as output:
            found = re.search(rb"127\.0\.0\.1:(\d+)", output.readline())
            if found is not None:
                _receive(int(found[1]), stream, is_read=is_read)
            stream.has_ended(process)

    stream.in_thread(run)
    return stream


def _receive(port: int, stream: Stream, *, is_read: bool) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        stream.on_stop(lambda: connection.shutdown(socket.SHUT_RDWR))
        with contextlib.suppress(OSError):
            while data := connection.recv(65536):
                stream.took(data)
                if not is_read:
                    stream.stopped.wait()


def _protobuf_watch(account: Account) -> Stream:
    """Watch as controllers do; each event comes after its length in four bytes."""
    stream = Stream(Kind.WATCH_PROTOBUF)
    client = RawClient(
        account.port,
        account.authority,
        certificate=account.certificate,
        source=account.source,
        seconds=120.0,
    )
    stream.on_stop(lambda: client.tls.shutdown(socket.SHUT_RDWR))
    target = (
        f"/api/v1/namespaces/{account.kubectl.namespace}/configmaps?watch=1&fieldSelector={_SMALL}"
    )
    accept = "Accept: application/vnd.kubernetes.protobuf;stream=watch"

    def run() -> None:
        client.send(request("GET", target, account.token, accept))
        try:
            client.head()
            while data := client.receive():
                stream.took(data)
        except (OSError, ssl.SSLError, ConnectionError) as error:
            stream.errors = str(error).encode()
        client.tls.close()
        stream.is_over()

    stream.in_thread(run)
    return stream


class SilentReader:
    """A watch whose client does not read: what was sent to it waits in the kernel."""

    def __init__(self, account: Account) -> None:
        self._client = RawClient(
            account.port,
            account.authority,
            certificate=account.certificate,
            source=account.source,
        )
        # Small, so that kzproxy too has to wait for it before long.
        self._client.tls.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        target = f"/api/v1/namespaces/{account.kubectl.namespace}/configmaps?watch=1"
        self._client.send(request("GET", target, account.token))
        _, headers = self._client.head()
        self.audit_id = headers["audit-id"][0]

    def close(self) -> None:
        # Reset: what nobody read must not hold the other side.
        self._client.tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._client.tls.close()
