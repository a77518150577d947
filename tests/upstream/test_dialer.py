"""Which of several API servers is connected to."""

import asyncio
import contextlib
import gc
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from kzproxy.http.messages import NoBody, RequestHead
from kzproxy.metrics.registry import Metrics
from kzproxy.transport.broken import StreamBroken
from kzproxy.transport.deadlines import Deadlines
from kzproxy.transport.resetting import reset
from kzproxy.transport.tls_client import NEXT_ATTEMPT_SECONDS
from kzproxy.upstream.account import Account, Endpoint, UpstreamSettings
from kzproxy.upstream.api_server import ApiServer
from kzproxy.upstream.dialer import Dialer
from tests.authentication.manual_clock import ManualClock
from tests.servers.authority import Authority
from tests.servers.scripted_api_server import TOKEN, ScriptedApiServer, scripted_api_server

# As good as nobody's on any machine, and given to none that asks for any.
NOBODY: Endpoint = ("127.0.0.1", 1)


@dataclass
class Cluster:
    """Two stand-ins for API servers of one cluster."""

    first: ScriptedApiServer
    second: ScriptedApiServer
    authority_pem: str

    def dialer(self, *endpoints: Endpoint, authority_pem: str = "") -> Dialer:
        return Dialer(self.account(*endpoints, authority_pem=authority_pem))

    def account(self, *endpoints: Endpoint, authority_pem: str = "") -> Account:
        (host, port), *others = endpoints
        settings = UpstreamSettings(
            host=host,
            port=port,
            server_name="127.0.0.1",
            authority_pem=authority_pem or self.authority_pem,
            token=TOKEN,
            others=tuple(others),
        )
        return Account.of(settings, ManualClock())


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    authority = Authority.root()
    with ExitStack() as stack:
        servers = []
        for name in ("first", "second"):
            directory = tmp_path / name
            directory.mkdir()
            servers.append(stack.enter_context(scripted_api_server(directory, authority)))
        yield Cluster(*servers, authority_pem=authority.pem.decode())


@contextmanager
def silent() -> Iterator[Endpoint]:
    """Somebody who accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()


@contextmanager
def hanging_up() -> Iterator[Endpoint]:
    """Somebody who resets each connection as soon as it is there: a balancer with none behind."""

    def hang_up(server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                reset(server.accept()[0])

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=hang_up, args=[server])
        thread.start()
        try:
            yield server.getsockname()
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


@contextmanager
def resolver_at_a_loss(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A resolver that answers nothing before the event is set, as one behind a dead network."""
    answers, ask = threading.Event(), socket.getaddrinfo

    def late(host: object, *args: object, **options: object) -> object:
        if isinstance(host, str):  # A literal is given as bytes, and needs none.
            answers.wait(20)
        return ask(host, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", late)
    try:
        yield answers
    finally:
        answers.set()


def at(server: ScriptedApiServer) -> Endpoint:
    return ("127.0.0.1", server.port)


async def reached(dialer: Dialer) -> int:
    stream = await dialer.connect()
    port = stream.tls.getpeername()[1]
    stream.close()
    return int(port)


async def test_the_first_is_taken_where_it_answers(cluster: Cluster) -> None:
    dialer = cluster.dialer(at(cluster.first), at(cluster.second))

    assert [await reached(dialer) for _ in range(3)] == [cluster.first.port] * 3


async def test_another_is_taken_where_the_first_refuses(cluster: Cluster) -> None:
    assert await reached(cluster.dialer(NOBODY, at(cluster.second))) == cluster.second.port


async def test_another_is_taken_where_the_first_says_nothing(cluster: Cluster) -> None:
    with silent() as endpoint:
        assert await reached(cluster.dialer(endpoint, at(cluster.second))) == cluster.second.port


async def test_another_is_taken_where_the_first_is_somebody_else(
    cluster: Cluster, tmp_path: Path
) -> None:
    with scripted_api_server(tmp_path, Authority.root()) as impostor:
        assert await reached(cluster.dialer(at(impostor), at(cluster.first))) == cluster.first.port
        assert impostor.heads == []


async def test_the_one_that_served_last_is_asked_first(cluster: Cluster) -> None:
    with socket.socket() as gone:
        gone.bind(("127.0.0.1", 0))
        dialer = cluster.dialer(gone.getsockname(), at(cluster.first))
        await reached(dialer)
        gone.listen()  # It is back, and would not speak TLS.
        assert await reached(dialer) == cluster.first.port


async def test_where_none_answers_the_failure_is_told(cluster: Cluster) -> None:
    with pytest.raises(OSError):  # noqa: PT011 - whatever the kernel says of it
        await cluster.dialer(NOBODY, NOBODY).connect()


async def test_where_none_is_the_cluster_nothing_is_connected(cluster: Cluster) -> None:
    stranger = Authority.root().pem.decode()
    dialer = cluster.dialer(at(cluster.first), at(cluster.second), authority_pem=stranger)

    with pytest.raises(StreamBroken, match="certificate"):
        await dialer.connect()
    assert cluster.first.heads == cluster.second.heads == []


async def test_a_name_that_is_not_known_does_not_keep_from_the_others(cluster: Cluster) -> None:
    dialer = cluster.dialer(("api.kzproxy.invalid", 6443), at(cluster.second))

    assert await reached(dialer) == cluster.second.port


@pytest.mark.parametrize("is_first", [True, False])
async def test_a_name_that_nobody_answers_for_does_not_keep_from_the_others(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, *, is_first: bool
) -> None:
    endpoints = [("api.kzproxy.invalid", 6443), at(cluster.second)]
    dialer = cluster.dialer(*(endpoints if is_first else reversed(endpoints)))
    with resolver_at_a_loss(monkeypatch):
        assert await reached(dialer) == cluster.second.port


@pytest.mark.parametrize("others", [[], [("api.kzproxy.invalid", 6443)], [NOBODY]])
async def test_a_name_that_is_late_is_waited_for_where_no_other_serves(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, others: list[Endpoint]
) -> None:
    dialer = cluster.dialer(("localhost", cluster.first.port), *others)
    with resolver_at_a_loss(monkeypatch) as resolver:
        connecting = asyncio.create_task(reached(dialer))
        await asyncio.sleep(2 * NEXT_ATTEMPT_SECONDS)
        assert not connecting.done()
        resolver.set()
        assert await connecting == cluster.first.port


@pytest.mark.parametrize("host", ["a..b", "a" * 64])
async def test_a_name_that_none_can_have_is_an_address_that_is_not_there(
    cluster: Cluster, host: str
) -> None:
    with pytest.raises(OSError, match="is not the name of a host"):
        await cluster.dialer((host, 6443)).connect()
    assert await reached(cluster.dialer((host, 6443), at(cluster.first))) == cluster.first.port


async def test_an_address_that_the_kernel_calls_otherwise_is_served(cluster: Cluster) -> None:
    here = ("0.0.0.0", cluster.first.port)

    assert await reached(cluster.dialer(here)) == cluster.first.port


async def test_an_address_that_the_kernel_calls_otherwise_is_tried_once(cluster: Cluster) -> None:
    stranger = Authority.root().pem.decode()
    here = ("0.0.0.0", cluster.first.port)

    with pytest.raises(StreamBroken, match="certificate"):
        await cluster.dialer(here, authority_pem=stranger).connect()


async def test_another_is_taken_where_the_first_hangs_up_at_once(cluster: Cluster) -> None:
    with hanging_up() as endpoint:
        for _ in range(50):
            dialer = cluster.dialer(endpoint, at(cluster.second))
            assert await reached(dialer) == cluster.second.port


async def test_requests_go_on_when_an_api_server_ends(cluster: Cluster, tmp_path: Path) -> None:
    clock = ManualClock()
    head = RequestHead(method="GET", target="/", headers=(("host", "x"),), body=NoBody())
    authority = Authority.root()
    with scripted_api_server(tmp_path, authority) as survivor:
        (tmp_path / "ending").mkdir()
        with scripted_api_server(tmp_path / "ending", authority) as ending:
            account = cluster.account(
                at(ending), at(survivor), authority_pem=authority.pem.decode()
            )
            server = ApiServer(account, Deadlines(clock), Metrics(version=""))
            await server.ask(head)
        for _ in range(3):
            answer, _ = await server.ask(head)
            assert answer.status == 200
        server.close()

    assert (len(ending.heads), len(survivor.heads)) == (1, 3)


async def test_where_no_name_is_known_nothing_is_left_to_the_garbage_collector(
    cluster: Cluster,
) -> None:
    dialer = cluster.dialer(("nowhere.invalid", 443))
    with pytest.raises(OSError, match=r".+"):
        await dialer.connect()
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        with contextlib.suppress(OSError):
            await dialer.connect()
        gc.collect()
        assert [each for each in gc.garbage if isinstance(each, OSError)] == []
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


async def test_a_resolver_at_a_loss_does_not_keep_all_threads(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A policy that is to be read waits for one too."""
    with resolver_at_a_loss(monkeypatch):
        dialer = cluster.dialer(("localhost", cluster.first.port))
        for _ in range(40):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(dialer.connect(), 0.01)

        assert await asyncio.wait_for(asyncio.to_thread(lambda: "read"), 5) == "read"


async def test_whoever_asks_for_a_name_that_is_being_looked_up_is_told_what_it_is(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    with resolver_at_a_loss(monkeypatch) as resolver:
        dialer = cluster.dialer(("localhost", cluster.first.port))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(dialer.connect(), 0.01)
        both = asyncio.gather(reached(dialer), reached(dialer))
        await asyncio.sleep(0.1)
        resolver.set()

        assert await both == [cluster.first.port] * 2
