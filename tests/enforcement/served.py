"""A kzproxy in this process, before the scripted stand-in, that a test can stop at any moment."""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from kzproxy.authentication.oidc import Authenticates, oidc_authenticator
from kzproxy.clock.system import SystemClock
from kzproxy.config.proxy import load_proxy_settings
from kzproxy.config.sources import Sources
from kzproxy.server.addresses import listening
from kzproxy.server.generation import first_generation, next_generation
from kzproxy.server.in_force import InForce, Running
from kzproxy.server.parts import build_parts
from kzproxy.server.services import Services, build_services
from kzproxy.transport.client_connection import Begun, Over, Service
from kzproxy.transport.connection_limits import OpenConnections
from kzproxy.transport.exchange import Exchange
from kzproxy.transport.listener import Listener
from kzproxy.transport.tls_stream import TlsStream
from tests.proxy.fixtures import Scripted
from tests.proxy.world import PREFIX, request
from tests.servers.scripted_api_server import ACCOUNT, ScriptedApiServer
from tests.transport.conftest import wrapped

PODS = "/api/v1/namespaces/a/pods"
Record = dict[str, Any]


class AheadClock(SystemClock):
    """The machine's, but for so much that a test lets pass at once."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return SystemClock.now() + self.ahead

    def monotonic(self) -> float:
        return SystemClock.monotonic() + self.ahead.total_seconds()


class Noted:
    """Notes of each request how it was answered, and has that done by another.

    Attributes:
        handled: How many had a task from the beginning.
        alone: How many came to their end without one.
        handed_over: How many were begun without one, and ended in one.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self.handled = self.alone = self.handed_over = 0

    def handle(self, exchange: Exchange) -> Coroutine[Any, Any, None]:
        self.handled += 1
        return self._service.handle(exchange)

    def begin(self, exchange: Exchange, over: Over) -> Begun | None:
        def noted(*, is_answered: bool) -> None:
            self.alone += is_answered
            self.handed_over += not is_answered
            over(is_answered=is_answered)

        return self._service.begin(exchange, noted)

    @property
    def counts(self) -> tuple[int, int, int]:
        return self.handled, self.alone, self.handed_over


class Client:
    """One connection to it; sends exactly what it is told to."""

    def __init__(self, stream: TlsStream) -> None:
        self.stream = stream
        self._received = b""

    async def ask(self, head: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send a request and return its answer: status, headers and body, framing and all."""
        await self.stream.send(head)
        return await self.answer(is_head=head.startswith(b"HEAD"))

    async def answer(self, *, is_head: bool = False) -> tuple[int, dict[str, str], bytes]:
        """Receive one answer, past interim ones."""
        lines = (await self.until_seen(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        status = int(lines[0].split(" ")[1])
        if is_head or status in (204, 304):
            body = b""
        elif "chunked" in headers.get("transfer-encoding", ""):
            body = await self.until_seen(b"0\r\n\r\n")
        elif "content-length" in headers:
            body = await self._exactly(int(headers["content-length"]))
        else:
            body = self._received + await self.to_end()
        return status, headers, body

    async def to_end(self) -> bytes:
        received = b""
        while data := await self.stream.receive():
            received += data
        return received

    async def until_seen(self, mark: bytes) -> bytes:
        """Return what comes, up to and including ``mark``."""
        while mark not in self._received:
            await self._more()
        found, _, self._received = self._received.partition(mark)
        return found + mark

    async def _exactly(self, size: int) -> bytes:
        while len(self._received) < size:
            await self._more()
        found, self._received = self._received[:size], self._received[size:]
        return found

    async def _more(self) -> None:
        data = await self.stream.receive()
        if not data:
            raise ConnectionError(f"ended after {self._received!r}")
        self._received += data


class Served:
    """It, while it serves.

    Attributes:
        noted: How requests were answered.
        listener: Where they come from.
        serving: Its task.
        clients: All that have connected.
        listening: Its socket, whose options new connections inherit.
    """

    def __init__(
        self, made: Scripted, clock: AheadClock, services: Services, in_force: InForce
    ) -> None:
        self.clock = clock
        self.services = services
        self._made = made
        self._in_force = in_force
        self.clients: list[Client] = []
        self._tokens: dict[str, str] = {}
        self.noted = Noted(in_force)
        self.listening = listening(in_force.generation.settings.listen)
        self.listener = Listener(
            sock=self.listening,
            context=in_force.context,
            service=self.noted,
            deadlines=services.deadlines,
            metrics=services.metrics,
            connections=OpenConnections(
                in_force.generation.settings.limits.connections, in_force.proxies
            ),
        )
        self.serving = asyncio.get_running_loop().create_task(self.listener.run())
        self._address = self.listener.address

    @property
    def api_server(self) -> ScriptedApiServer:
        return self._made.api_server

    @property
    def authenticator(self) -> Authenticates:
        """Who knows whose tokens are."""
        return self._in_force.generation.authenticator

    @property
    def in_flight(self) -> float:
        """How many requests are under way, as the metrics have it."""
        return self.services.metrics.in_flight.value

    def get(self, user: str, target: str = PODS, *headers: str, method: str = "GET") -> bytes:
        """Write a request of a user who may everything; each has one token."""
        return request(method, target, self.token(user), *headers)

    def token(self, user: str) -> str:
        if user not in self._tokens:
            self._tokens[user] = self._made.world.token(user, "testers")
        return self._tokens[user]

    async def connect(
        self,
        *,
        certificate: tuple[Path, Path] | None = None,
        preamble: bytes = b"",
        receive_bytes: int = 0,
    ) -> Client:
        """Connect; ``receive_bytes`` bounds what the kernel takes for a client that lags."""
        sock = socket.socket()
        if receive_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        sock.connect(self._address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(preamble)
        context = ssl.create_default_context(cafile=self._made.world.authority_file)
        if certificate is not None:
            context.load_cert_chain(*certificate)
        client = Client(wrapped(sock, context, server=False))
        self.clients.append(client)
        await client.stream.handshake()
        return client

    async def warmed(self, head: bytes, **options: Any) -> Client:
        """Connect, and have ``head`` permitted and a connection to kube-apiserver kept."""
        client = await self.connect(**options)
        status, _, _ = await client.ask(head)
        assert status == 200
        await self.at_rest()
        return client

    def permit_only(self, *rules: dict[str, Any]) -> None:
        """Put a policy of these rules in force."""
        file = self._made.world.directory / "policy.yaml"
        policy = yaml.safe_load(file.read_text())
        file.write_text(yaml.safe_dump(policy | {"rules": list(rules)}))
        self.read_again()

    def configure(self, **fields: Any) -> None:
        """Put a configuration in force that has these fields too."""
        file = self._made.world.directory / "kzproxy.yaml"
        file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | fields))
        self.read_again()

    def read_again(self) -> None:
        """Put in force what the files say now."""
        before = self._in_force.generation
        settings = load_proxy_settings(self._made.world.directory / "kzproxy.yaml", Sources())
        parts = build_parts(settings, self.clock)
        self._in_force.install(next_generation(before, settings, parts, self.services, ACCOUNT))

    def deny_all(self) -> None:
        """Put a policy in force that permits nobody anything but a look at ``/version``."""
        self.permit_only(
            {
                "id": "version",
                "effect": "allow",
                "subjects": {"groups": [f"{PREFIX}nobody"]},
                "match": [{"verbs": ["get"], "nonResourceURLs": ["/version"]}],
            }
        )

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait until it holds, for no longer than ten seconds."""
        async with asyncio.timeout(10):
            while not holds():
                await asyncio.sleep(0.005)

    async def turn_until(self, holds: Callable[[], object]) -> None:
        """Wait turn by turn of the loop: return in the very one after which it holds."""
        async with asyncio.timeout(10):
            while not holds():
                await asyncio.sleep(0)

    def write_in_turns_of_their_own(self) -> None:
        """Have decisions written a turn after they were taken, as they are where is no epoll."""
        self.services.decisions._soon = asyncio.get_running_loop().call_soon

    async def at_rest(self) -> None:
        """Wait until nothing is under way any more, and all is in the log."""
        await self.until(lambda: not self.in_flight)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    def records(self) -> list[Record]:
        lines = (self._made.world.directory / "decisions.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def by_request(self) -> dict[str, list[Record]]:
        """Return the records of each request."""
        found: dict[str, list[Record]] = {}
        for record in self.records():
            if "audit_id" in record:
                found.setdefault(record["audit_id"], []).append(record)
        return found

    def last_outcome(self) -> Record:
        """Return how the request ended that did so last."""
        outcome: Record = [each for each in self.records() if each["kind"] == "completed"][-1]
        return outcome

    async def check_accounts(self) -> None:
        """Check that every request has one decision, each permit one outcome, and nothing leaks."""
        await self.at_rest()
        for same in self.by_request().values():
            decision, *ends = same
            assert decision["kind"] == "decision", same
            permitted = decision["decision"] == "permit"
            assert [each["kind"] for each in ends] == ["completed"] * permitted, same
        assert self.in_flight == 0
        assert self.services.administrator.live == frozenset()
        under_way = self.services.under_way
        assert (under_way._requests.counts, under_way._streams.counts) == ({}, {})
        permits = {
            audit_id
            for audit_id, (decision, *_) in self.by_request().items()
            if decision["decision"] == "permit"
        }
        assert {audit_id_of(head) for head in self.api_server.heads} <= permits


def audit_id_of(head: bytes) -> str:
    """Return what kube-apiserver was told of the decision."""
    return head.partition(b"audit-id: ")[2].partition(b"\r\n")[0].decode()


def user_of(head: bytes) -> str:
    """Return whom kube-apiserver was told to act as."""
    return head.partition(b"mpersonate-user: ")[2].partition(b"\r\n")[0].decode()


@asynccontextmanager
async def serving(made: Scripted) -> AsyncIterator[Served]:
    """Serve until the block ends; deadlines are swept by the test alone."""
    clock = AheadClock()
    settings = load_proxy_settings(made.world.directory / "kzproxy.yaml", Sources())
    parts = build_parts(settings, clock)
    services = build_services(settings, parts, clock, "")
    keys = Running[Authenticates](oidc_authenticator(settings.issuers, clock))
    loop = asyncio.get_running_loop()
    running = [loop.create_task(keys.run()), loop.create_task(services.administrator.run())]
    generation = first_generation(settings, parts, keys.present, services, ACCOUNT)
    in_force = InForce(generation, keys, Running(generation.namespaces), services)
    served = Served(made, clock, services, in_force)
    await served.until(lambda: keys.present.ready() is None)
    try:
        yield served
    finally:
        # Else each connection would wait for its client to read what it was told last.
        for client in served.clients:
            client.stream.close()
        for task in (served.serving, *running):
            task.cancel()
        await asyncio.gather(served.serving, *running, return_exceptions=True)
        in_force.close()
        await services.decisions.close()
