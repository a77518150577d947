"""What has ended is gone at once: nothing of it waits for the garbage collector.

That seldom comes by where few objects are made (``server.serve``), and what waits for it is dear: a
buffer of 128 KiB, a TLS connection, a policy that has been replaced.
"""

import asyncio
import contextlib
import gc
import types
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime, timedelta

import pytest

from kzproxy.attributes.attributes import Attributes
from kzproxy.errors.kinds import ProxyError, Unauthenticated
from kzproxy.http.chunks import LAST_CHUNK, chunk
from kzproxy.transport.broken import StreamBroken
from tests.enforcement.served import PODS, Client, Served
from tests.enforcement.test_relay import EXEC, SPDY, SWITCHED
from tests.proxy.world import PREFIX, request
from tests.servers.scripted_api_server import Connection, answer

LIST = f"{PODS}?limit=500"
WATCH = f"{PODS}?watch=true"
CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT = chunk(b'{"type":"ADDED","object":{}}\n')
RECORDS = 40
UPLOAD_BYTES = 3_000_000
UPLOAD = f"Content-Length: {UPLOAD_BYTES}"
TIMES = 3
EVERYTHING = {
    "id": "everything",
    "effect": "allow",
    "subjects": {"groups": [f"{PREFIX}testers"]},
    "match": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"]}],
}

Scenario = Callable[[Served], Awaitable[None]]


def listed(connection: Connection, _: bytes) -> None:
    """Send much in small records, as kube-apiserver does."""
    connection.send(CHUNKED)
    for _ in range(RECORDS):
        connection.send(chunk(b"x" * 4000))
    connection.send(LAST_CHUNK)


def watched(connection: Connection, _: bytes) -> None:
    connection.send(CHUNKED)
    connection.send(EVENT)


def watched_and_broken(connection: Connection, _: bytes) -> None:
    watched(connection, _)
    connection.reset()


def switched(connection: Connection, _: bytes) -> None:
    connection.send(SWITCHED)


def switched_and_broken(connection: Connection, _: bytes) -> None:
    connection.send(SWITCHED)
    connection.reset()


def taken(connection: Connection, _: bytes) -> None:
    with contextlib.suppress(ConnectionError):
        connection.body(UPLOAD_BYTES)
    connection.send(answer(200, b"taken"))


def refused_early(connection: Connection, _: bytes) -> None:
    connection.send(answer(413, b"too much", "connection: close"))
    connection.tls.close()


async def asked(served: Served, head: bytes, *, status: int) -> None:
    """Ask once, over a connection that its client closes then."""
    client = await served.connect()
    found, _, _ = await client.ask(head)
    assert found == status
    client.stream.close()


async def begun(served: Served, head: bytes, *, seen: bytes) -> Client:
    """Ask something, and wait until its client has got ``seen``."""
    client = await served.connect()
    await client.stream.send(head)
    await client.until_seen(seen)
    return client


async def watching(served: Served) -> Client:
    served.api_server.script = watched
    return await begun(served, served.get("al", WATCH), seen=b"ADDED")


async def request_answered(served: Served) -> None:
    for _ in range(2):
        await asked(served, served.get("al"), status=200)


async def list_answered(served: Served) -> None:
    served.api_server.script = listed
    await asked(served, served.get("al", LIST), status=200)


async def list_left(served: Served) -> None:
    served.api_server.script = listed
    client = await begun(served, served.get("al", LIST), seen=b"xxxx")
    client.stream.abort()


async def watch_left(served: Served) -> None:
    client = await watching(served)
    client.stream.close()


async def watch_reset(served: Served) -> None:
    client = await watching(served)
    client.stream.abort()


async def watch_broken(served: Served) -> None:
    served.api_server.script = watched_and_broken
    client = await served.connect()
    await client.stream.send(served.get("al", WATCH))
    with pytest.raises(StreamBroken):
        await client.to_end()
    client.stream.close()


async def watch_cut(served: Served) -> None:
    served.permit_only(EVERYTHING)
    client = await watching(served)
    served.deny_all()
    with contextlib.suppress(StreamBroken):
        await client.to_end()
    client.stream.close()


class Doubts:
    """Says who is nobody any more: ``error``, of everybody."""

    def __init__(self) -> None:
        self.error: ProxyError | None = None

    def restate(self, attributes: Attributes, now: datetime) -> Attributes:
        if self.error is not None:
            raise self.error
        return attributes


async def watch_of_a_session_that_ends(served: Served) -> None:
    doubts = Doubts()
    served.services.administrator.consult(doubts)
    client = await watching(served)
    doubts.error = Unauthenticated("the session was ended: laptop lost")
    served.services.administrator.judge_all_again()
    doubts.error = None
    await client.until_seen(b"laptop lost")
    with contextlib.suppress(StreamBroken):
        await client.to_end()
    client.stream.close()


async def exec_left(served: Served) -> None:
    served.api_server.script = switched
    client = await begun(served, served.get("al", EXEC, *SPDY, method="POST"), seen=b"\r\n\r\n")
    client.stream.close()


async def exec_broken(served: Served) -> None:
    served.api_server.script = switched_and_broken
    client = await served.connect()
    await client.stream.send(served.get("al", EXEC, *SPDY, method="POST"))
    with contextlib.suppress(StreamBroken):
        await client.to_end()
    client.stream.close()


async def upload_answered(served: Served) -> None:
    served.api_server.script = taken
    head = request("POST", PODS, served.token("al"), UPLOAD)
    await asked(served, head + bytes(UPLOAD_BYTES), status=200)


async def upload_left(served: Served) -> None:
    served.api_server.script = taken
    client = await served.connect()
    head = request("POST", PODS, served.token("al"), UPLOAD)
    await client.stream.send(head + bytes(UPLOAD_BYTES // 3))
    client.stream.abort()


async def upload_refused_early(served: Served) -> None:
    served.api_server.script = refused_early
    await asked(served, request("POST", PODS, served.token("al"), UPLOAD), status=413)


async def answer_missing(served: Served) -> None:
    served.api_server.script = lambda connection, _: connection.reset()
    await asked(served, served.get("al"), status=502)


async def handshake_with_upstream_broken(served: Served) -> None:
    served.api_server.context = None
    served.api_server.drop_connections()
    client = await served.connect()
    await client.stream.send(served.get("al"))
    connections = served.api_server.connections
    await served.until(lambda: served.api_server.connections > connections)
    served.api_server.drop_connections()
    status, _, _ = await client.answer()
    assert status == 503
    client.stream.close()


async def policy_refused(served: Served) -> None:
    served.deny_all()
    await asked(served, served.get("al"), status=403)


async def policy_replaced(served: Served) -> None:
    await asked(served, served.get("al"), status=200)
    served.read_again()


async def token_refused(served: Served) -> None:
    await asked(served, request("GET", PODS, "nobodys"), status=401)


async def head_unreadable(served: Served) -> None:
    await asked(served, request("GET", PODS, "", "Host: another"), status=400)


async def impersonation_refused(served: Served) -> None:
    await asked(served, served.get("al", PODS, "Impersonate-User: root"), status=403)


async def own_endpoint(served: Served) -> None:
    await asked(served, served.get("al", "/kzproxy.dev/v1/session"), status=200)


async def idle_reset(served: Served) -> None:
    client = await served.connect()
    await client.ask(served.get("al"))
    await served.at_rest()
    client.stream.abort()


async def idle_too_long(served: Served) -> None:
    client = await served.connect()
    await client.ask(served.get("al"))
    await served.at_rest()
    served.clock.ahead += timedelta(hours=1)
    served.services.deadlines.sweep()
    assert await client.to_end() == b""
    client.stream.close()
    served.clock.ahead -= timedelta(hours=1)


async def handshake_failed(served: Served) -> None:
    reader, writer = await asyncio.open_connection(*served.listener.address)
    writer.write(request("GET", PODS))
    await reader.read()
    writer.close()


SCENARIOS = (
    request_answered,
    list_answered,
    list_left,
    watch_left,
    watch_reset,
    watch_broken,
    watch_cut,
    watch_of_a_session_that_ends,
    exec_left,
    exec_broken,
    upload_answered,
    upload_left,
    upload_refused_early,
    answer_missing,
    handshake_with_upstream_broken,
    policy_refused,
    policy_replaced,
    token_refused,
    head_unreadable,
    impersonation_refused,
    own_endpoint,
    idle_reset,
    idle_too_long,
    handshake_failed,
)


@pytest.fixture
def without_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


def uncollected() -> Counter[str]:
    """Collect, and tell what of kzproxy's there was, or what may hold something of it."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        return Counter(name for each in gc.garbage if (name := name_of(each)))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.collect()


def name_of(found: object) -> str:
    """Name what waits; empty where it is neither kzproxy's, nor TLS, nor an error or its frame."""
    if isinstance(found, types.FrameType):
        return f"frame at {found.f_code.co_filename}:{found.f_lineno}"
    if isinstance(found, BaseException):
        return repr(found)
    kind = type(found)
    is_meant = kind.__module__.partition(".")[0] in ("kzproxy", "ssl", "_ssl")
    return f"{kind.__module__}.{kind.__qualname__}" if is_meant else ""


async def ended(served: Served, scenario: Scenario) -> None:
    await scenario(served)
    await served.at_rest()
    served.clients.clear()
    connections = served.services.metrics.connections
    await served.until(lambda: connections.value == 0)
    await asyncio.sleep(0)


@pytest.mark.usefixtures("without_collector")
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.__name__)
async def test_nothing_waits_for_the_garbage_collector(served: Served, scenario: Scenario) -> None:
    await ended(served, scenario)
    uncollected()  # What is done once, and what the test's own beginning left.
    for _ in range(TIMES):
        await ended(served, scenario)

    assert uncollected() == Counter()


def lingering() -> None:
    error = StreamBroken("its frame holds it, and it its frame")
    with contextlib.suppress(StreamBroken):
        raise error


@pytest.mark.usefixtures("without_collector")
def test_what_waits_for_the_garbage_collector_is_found() -> None:
    """Else the test above could not fail."""
    uncollected()
    lingering()

    assert sum(uncollected().values()) == 2
