"""An answer that is gathered is waited for as long as the request's lease holds, and no longer."""

import asyncio
import threading

import pytest

from kzproxy.administrator.lease import EndCause, Ending
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.audit.schema import Termination
from kzproxy.enforcement.gathering import Gathering
from kzproxy.errors.kinds import ServiceUnavailable, Unauthenticated
from kzproxy.http.messages import ResponseHead
from kzproxy.metrics.registry import Metrics
from tests.enforcement.conftest import ENDED, Scene
from tests.servers.scripted_api_server import ACCOUNT

NAMESPACES = "/api/v1/namespaces"
DRAINED = Ending(cause=EndCause.DRAIN, error=ServiceUnavailable("restarted"))


def gathering(scene: Scene) -> Gathering:
    scene.case.info = RequestInfo.parse("GET", NAMESPACES)
    return Gathering(scene.api_server, ACCOUNT, Metrics(version=""), scene.case)


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
