"""An answer that is gathered is waited for as long as the request's lease holds, and no longer."""

import asyncio
import threading
from urllib.parse import quote

import pytest

from kzproxy.administrator.lease import EndCause, Ending
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.audit.schema import Termination
from kzproxy.enforcement.gathering import Gathering, held_answers
from kzproxy.enforcement.held_bytes import HeldBytes
from kzproxy.errors.kinds import (
    ServiceUnavailable,
    TooManyRequests,
    Unauthenticated,
    UpstreamInvalid,
)
from kzproxy.http.messages import Length, ResponseHead
from kzproxy.metrics.registry import Metrics
from tests.enforcement.conftest import ENDED, Scene
from tests.policy.samples import subject
from tests.servers.scripted_api_server import ACCOUNT, json_answer

NAMESPACES = "/api/v1/namespaces"
_NAMED = quote(f'User "{ACCOUNT}"', safe="")
DRAINED = Ending(cause=EndCause.DRAIN, error=ServiceUnavailable("restarted"))


def gathering(
    scene: Scene, held: HeldBytes | None = None, metrics: Metrics | None = None
) -> Gathering:
    scene.case.info = RequestInfo.parse("GET", NAMESPACES)
    counted = (held or held_answers()).of(subject())
    told = metrics or Metrics(version="")
    return Gathering(scene.api_server, ACCOUNT, told, scene.case, counted)


async def under_way(scene: Scene) -> tuple[Gathering, "asyncio.Task[tuple[ResponseHead, bytes]]"]:
    """Ask the stand-in, which has the request then and never answers."""
    asked = threading.Event()
    scene.stand_in.script = lambda *_: asked.set()
    _, outgoing = scene.relay("GET", NAMESPACES)
    gathered = gathering(scene)
    info = RequestInfo.parse("GET", NAMESPACES)
    running = asyncio.get_running_loop().create_task(
        gathered.run(outgoing, b"", info, max_bytes=1000)
    )
    while not asked.is_set():
        await asyncio.sleep(0.01)
    return gathered, running


@pytest.mark.parametrize(
    ("ending", "termination"),
    [(ENDED, Termination.POLICY_CUT), (DRAINED, Termination.DRAINED)],
    ids=["policy", "drain"],
)
async def test_a_cut_ends_the_wait_for_kube_apiserver_at_once(
    scene: Scene, ending: Ending, termination: Termination
) -> None:
    gathered, running = await under_way(scene)
    gathered.cut(ending)
    gathered.cut(ENDED)

    # Nothing but the cut ends it.
    with pytest.raises(type(ending.error)):
        await running
    assert (scene.case.ending, scene.case.termination) == (ending, termination)


async def test_what_was_cut_before_it_is_sent_is_not_sent(scene: Scene) -> None:
    _, outgoing = scene.relay("GET", NAMESPACES)
    gathered = gathering(scene)
    gathered.cut(ENDED)
    with pytest.raises(Unauthenticated):
        await gathered.run(outgoing, b"", RequestInfo.parse("GET", NAMESPACES), max_bytes=1000)
    assert scene.stand_in.heads == []


async def test_a_task_that_is_cancelled_after_a_cut_stays_cancelled(scene: Scene) -> None:
    gathered, running = await under_way(scene)
    gathered.cut(ENDED)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


@pytest.mark.parametrize(
    ("target", "is_ours"),
    [(NAMESPACES, True), (f"/api/v1/{_NAMED}/x", False)],
    ids=["to-the-account", "named-by-the-user"],
)
async def test_a_403_that_names_our_account_is_not_given_out_unless_the_user_named_it(
    scene: Scene, target: str, is_ours: bool
) -> None:
    message = {"message": f'x is forbidden: User "{ACCOUNT}" cannot impersonate'}
    scene.stand_in.script = lambda connection, _: connection.send(json_answer(403, message))
    _, outgoing = scene.relay("GET", target)
    metrics = Metrics(version="")
    gathered = gathering(scene, metrics=metrics)
    running = gathered.run(outgoing, b"", RequestInfo.parse("GET", target), max_bytes=1000)
    if is_ours:
        with pytest.raises(UpstreamInvalid, match="not yours"):
            await running
    else:
        assert (await running)[0].status == 403

    assert ('rejections_total{code="403"} 1.0' in metrics.exposition().decode()) is is_ours


async def test_what_was_cut_before_it_is_answered_is_not_answered(scene: Scene) -> None:
    """A list has been judged meanwhile, or a review."""
    scene.relay("GET", NAMESPACES)
    gathered = gathering(scene)
    gathered.cut(ENDED)
    head = ResponseHead(status=200, reason="OK", headers=(), body=Length(2))
    with pytest.raises(Unauthenticated):
        await gathered.answer(scene.exchange, head, b"{}")
    assert not scene.exchange.started


async def test_an_answer_for_which_there_is_no_room_is_not_read_on(scene: Scene) -> None:
    whole = json_answer(200, {"items": ["x" * 100_000]})
    scene.stand_in.script = lambda connection, _: connection.send(whole)
    _, outgoing = scene.relay("GET", NAMESPACES)
    held = HeldBytes("answers", max_bytes=1_000_000, max_bytes_each=60_000)
    info = RequestInfo.parse("GET", NAMESPACES)
    with pytest.raises(TooManyRequests):
        await gathering(scene, held).run(outgoing, b"", info, max_bytes=1_000_000)
    assert scene.api_server._idle == []
