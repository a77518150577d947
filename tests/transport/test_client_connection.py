"""A client's connection, and a service of the tests' own that answers some without a task."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from ipaddress import ip_address

import pytest

from kzproxy.http.encode import EncodedAnswer
from kzproxy.http.messages import Length, ResponseHead
from kzproxy.http.request_head_memo import RequestHeadMemo
from kzproxy.transport.broken import StreamBroken
from kzproxy.transport.client_connection import ClientConnection, Over
from kzproxy.transport.connection_limits import DEFAULT_CONNECTION_LIMITS
from kzproxy.transport.deadlines import Deadlines
from kzproxy.transport.direct_loop import DirectEventLoop
from kzproxy.transport.exchange import Exchange
from kzproxy.transport.peer import Peer
from kzproxy.transport.tls_stream import TlsStream
from tests.authentication.manual_clock import ManualClock
from tests.transport.conftest import Pair

HEAD = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


def head_of(number: int, body: bytes) -> ResponseHead:
    return ResponseHead(
        status=200, reason="OK", headers=(("number", str(number)),), body=Length(len(body))
    )


class Begun:
    """One request that is answered without a task, when the test says so."""

    def __init__(self, service: "Echoes", exchange: Exchange, over: Over) -> None:
        self.exchange = exchange
        self.error: BaseException | None = None
        self.is_carried_on = False
        self.is_gone = False
        self._service = service
        self._over = over
        exchange.stream.watch(self._note_gone)

    def _note_gone(self) -> None:
        self.is_gone = True

    def answer(self) -> None:
        answer = EncodedAnswer.of(head_of(self._service.number(), b"alone"))
        assert self.exchange.relay_now(answer, b"alone", audit_id="a")
        self._over(is_answered=True)

    def hand_over(self) -> None:
        self._over(is_answered=False)

    async def go_on(self, error: BaseException | None = None) -> None:
        assert not self.is_carried_on
        self.is_carried_on, self.error = True, error
        await self.exchange.respond(head_of(self._service.number(), b"taken over"), b"taken over")
        if error is not None:
            raise error


class Echoes:
    """A service that takes every request without a task, until it is told not to."""

    def __init__(self) -> None:
        self.begun: list[Begun] = []
        self.takes_more = True
        self.handled = 0
        self._answered = 0

    def number(self) -> int:
        self._answered += 1
        return self._answered

    async def handle(self, exchange: Exchange) -> None:
        exchange.read_request()
        self.handled += 1
        await exchange.respond(head_of(self.number(), b"handled"), b"handled")

    def begin(self, exchange: Exchange, over: Over) -> Begun | None:
        exchange.read_request()
        if not self.takes_more:
            return None
        self.begun.append(Begun(self, exchange, over))
        return self.begun[-1]


class Scene:
    """A connection that is served, and its client's end."""

    def __init__(self, server: TlsStream, client: TlsStream) -> None:
        self.clock = ManualClock()
        self.deadlines = Deadlines(self.clock)
        self.deadlines.keep(server)
        self.service = Echoes()
        self.server, self.client = server, client
        self.connection = ClientConnection(
            stream=server,
            peer=Peer(address=ip_address("192.0.2.7"), port=1),
            deadlines=self.deadlines,
            heads=RequestHeadMemo(),
            service=self.service,
            limits=DEFAULT_CONNECTION_LIMITS,
        )
        self.serving = asyncio.get_running_loop().create_task(self.connection.serve())
        self._received = b""

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not holds():
                await asyncio.sleep(0)

    async def body(self) -> bytes:
        """Receive one answer and return its body."""
        async with asyncio.timeout(5):
            while b"\r\n\r\n" not in self._received:
                self._received += await self._more()
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            size = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            while len(self._received) < size:
                self._received += await self._more()
        body, self._received = self._received[:size], self._received[size:]
        return body

    async def _more(self) -> bytes:
        data = await self.client.receive()
        if not data:
            raise StreamBroken("ended")
        return data

    async def begun(self) -> Begun:
        """Send a request that was read before; return it once it is begun."""
        known = len(self.service.begun)
        await self.client.send(HEAD)
        await self.until(lambda: len(self.service.begun) > known)
        return self.service.begun[-1]

    async def ended(self) -> bool:
        async with asyncio.timeout(5):
            return await self.client.receive() == b""


@pytest.fixture
async def scene(pair: Pair) -> AsyncIterator[Scene]:
    """One request has been answered: its head is known."""
    scene = Scene(*pair)
    await scene.client.send(HEAD)
    assert await scene.body() == b"handled"
    yield scene
    scene.client.close()
    scene.serving.cancel()
    await asyncio.gather(scene.serving, return_exceptions=True)


async def test_a_request_that_is_known_takes_no_task(scene: Scene) -> None:
    for _ in range(3):
        (await scene.begun()).answer()
        assert await scene.body() == b"alone"

    assert scene.service.handled == 1
    assert not scene.serving.done()


async def test_whoever_was_answered_may_ask_again_at_once(scene: Scene) -> None:
    loop, begun = asyncio.get_running_loop(), await scene.begun()
    if isinstance(loop, DirectEventLoop):
        loop.direct.expected = 0
    begun.answer()

    assert not isinstance(loop, DirectEventLoop) or loop.direct.expected == 1
    assert await scene.body() == b"alone"


async def test_what_the_service_does_not_take_has_its_task(scene: Scene) -> None:
    scene.service.takes_more = False
    await scene.client.send(HEAD)
    assert await scene.body() == b"handled"
    scene.service.takes_more = True
    (await scene.begun()).answer()
    assert await scene.body() == b"alone"


@pytest.mark.parametrize(
    "head", [b"GET /new HTTP/1.1\r\nHost: h\r\n\r\n", HEAD + HEAD], ids=["new", "two"]
)
async def test_what_is_not_one_known_head_has_its_task(scene: Scene, head: bytes) -> None:
    await scene.client.send(head)
    for _ in range(head.count(b"GET")):
        assert await scene.body() == b"handled"
    assert scene.service.begun == []


async def test_a_request_that_is_handed_over_is_carried_on_once(scene: Scene) -> None:
    begun = await scene.begun()
    begun.hand_over()
    assert await scene.body() == b"taken over"
    assert begun.is_carried_on
    (await scene.begun()).answer()

    assert await scene.body() == b"alone"
    assert scene.service.handled == 1


async def test_what_comes_meanwhile_is_the_next_request(scene: Scene) -> None:
    for size in (len(HEAD), 5):
        first = await scene.begun()
        await scene.client.send(HEAD[:size])
        await asyncio.sleep(0.02)
        first.answer()
        assert await scene.body() == b"alone"
        if size < len(HEAD):
            await scene.client.send(HEAD[size:])
            assert await scene.body() == b"handled"
        else:
            await scene.until(lambda first=first: scene.service.begun[-1] is not first)
            scene.service.begun[-1].answer()
            assert await scene.body() == b"alone"


async def test_what_comes_before_it_is_handed_over_is_the_next_request(scene: Scene) -> None:
    first = await scene.begun()
    await scene.client.send(HEAD)
    await asyncio.sleep(0.02)
    first.hand_over()
    assert await scene.body() == b"taken over"
    await scene.until(lambda: scene.service.begun[-1] is not first)
    scene.service.begun[-1].answer()
    assert await scene.body() == b"alone"


async def test_a_client_that_ends_after_its_answer_ends_the_connection(scene: Scene) -> None:
    begun = await scene.begun()
    begun.answer()
    assert await scene.body() == b"alone"
    scene.client.close()

    await asyncio.wait_for(scene.serving, 5)


async def test_the_request_that_is_under_way_is_the_last_of_a_drain(scene: Scene) -> None:
    begun = await scene.begun()
    scene.connection.drain()
    begun.answer()

    assert await scene.body() == b"alone"
    assert await scene.ended()
    scene.client.close()
    await asyncio.wait_for(scene.serving, 5)
    assert scene.service.handled == 1


async def test_what_is_handed_over_in_a_drain_is_the_last(scene: Scene) -> None:
    begun = await scene.begun()
    begun.hand_over()
    scene.connection.drain()

    assert await scene.body() == b"taken over"
    assert await scene.ended()


async def test_a_connection_that_is_idle_after_a_request_is_drained_at_once(scene: Scene) -> None:
    begun = await scene.begun()
    begun.answer()
    assert await scene.body() == b"alone"
    scene.connection.drain()

    assert await scene.ended()
    await asyncio.wait_for(scene.serving, 5)
    assert not begun.is_gone


async def test_a_connection_that_is_idle_after_a_request_ends_in_time(scene: Scene) -> None:
    begun = await scene.begun()
    # However long it takes: who answers it has deadlines of its own.
    scene.clock.advance(timedelta(hours=1))
    scene.deadlines.sweep()
    begun.answer()
    assert await scene.body() == b"alone"
    scene.clock.advance(timedelta(seconds=119))
    scene.deadlines.sweep()
    assert not scene.serving.done()
    scene.clock.advance(timedelta(seconds=2))
    scene.deadlines.sweep()

    await asyncio.wait_for(scene.serving, 5)
    assert await scene.ended()


async def test_a_request_under_way_is_carried_on_when_its_connection_is_cancelled(
    scene: Scene,
) -> None:
    begun = await scene.begun()
    scene.serving.cancel()
    assert await scene.body() == b"taken over"
    scene.client.close()
    with pytest.raises(asyncio.CancelledError):
        await scene.serving

    assert isinstance(begun.error, asyncio.CancelledError)


async def test_a_request_that_is_handed_over_and_cancelled_at_once_is_carried_on_once(
    scene: Scene,
) -> None:
    begun = await scene.begun()
    begun.hand_over()
    scene.serving.cancel()
    assert await scene.body() == b"taken over"
    scene.client.close()
    with pytest.raises(asyncio.CancelledError):
        await scene.serving

    assert begun.is_carried_on


async def test_a_request_that_is_answered_and_cancelled_at_once_is_not_carried_on(
    scene: Scene,
) -> None:
    begun = await scene.begun()
    scene.serving.cancel()
    begun.answer()
    assert await scene.body() == b"alone"
    scene.client.close()
    with pytest.raises(asyncio.CancelledError):
        await scene.serving

    assert not begun.is_carried_on
