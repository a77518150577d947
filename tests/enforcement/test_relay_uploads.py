"""One relay whose request brings a body, and what ends it before that has come whole."""

import threading

import pytest

from kzproxy.errors.kinds import BadRequest, DownstreamClosed, ServiceUnavailable
from tests.enforcement.conftest import Scene
from tests.enforcement.test_relay import PODS, UNTOLD, started, until
from tests.servers.scripted_api_server import Connection

PART = b"x" * 1000


class Reading:
    """A script of the stand-in's that reads a body of which only part comes.

    Attributes:
        part_came: Once the part is there.
        ended: Once the connection has ended.
        surplus: What came after the part.
    """

    def __init__(self, part: bytes) -> None:
        self._part = part
        self.part_came, self.ended = threading.Event(), threading.Event()
        self.surplus = b""

    def __call__(self, connection: Connection, _: bytes) -> None:
        assert connection.body(len(self._part)) == self._part
        self.part_came.set()
        try:
            while data := connection.tls.recv(65536):
                self.surplus += data
        except OSError:  # kzproxy ends it hard, which is as good
            pass
        finally:
            self.ended.set()


@pytest.mark.parametrize(
    ("headers", "sent", "passed_on"),
    [
        (("Content-Length: 5000",), PART, PART),
        (
            ("Transfer-Encoding: chunked",),
            b"3e8\r\n%b\r\n" % PART,
            b"3e8\r\n%b\r\n" % PART,
        ),
    ],
    ids=["of-known-length", "in-chunks"],
)
async def test_an_upload_that_is_cut_while_more_is_waited_for_never_looks_whole(
    scene: Scene, headers: tuple[str, ...], sent: bytes, passed_on: bytes
) -> None:
    scene.stand_in.script = reading = Reading(passed_on)
    relay, outgoing = scene.relay("POST", PODS, *headers)
    running = started(relay.run(outgoing))
    await scene.client.send(sent)
    await until(reading.part_came)
    relay.cut(UNTOLD)

    with pytest.raises(ServiceUnavailable) as cut:
        await running
    assert "outcome unknown" in cut.value.message, "part of it has gone out"
    await until(reading.ended)
    assert reading.surplus == b""
    assert not scene.exchange.reusable


async def test_a_body_that_breaks_its_framing_after_a_part_of_it_was_passed_on_never_looks_whole(
    scene: Scene,
) -> None:
    chunk = b"3e8\r\n%b\r\n" % PART
    scene.stand_in.script = reading = Reading(chunk)
    relay, outgoing = scene.relay("POST", PODS, "Transfer-Encoding: chunked")
    running = started(relay.run(outgoing))
    await scene.client.send(chunk)
    await until(reading.part_came)
    await scene.client.send(b"+1\r\nx\r\n0\r\n\r\n")

    with pytest.raises(BadRequest):
        await running
    await until(reading.ended)
    assert reading.surplus == b""


async def test_a_client_that_closes_before_its_body_is_whole_is_gone(scene: Scene) -> None:
    scene.stand_in.script = reading = Reading(PART)
    relay, outgoing = scene.relay("POST", PODS, "Content-Length: 5000")
    running = started(relay.run(outgoing))
    await scene.client.send(PART)
    await until(reading.part_came)
    scene.client.close()

    with pytest.raises(DownstreamClosed):
        await running
    await until(reading.ended)
    assert reading.surplus == b""
