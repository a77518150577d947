"""What the cluster serves: asked for now and then."""

from datetime import timedelta

from kzproxy.upstream.api_server import ApiServer
from kzproxy.upstream.discovery import Discovery
from tests.authentication.manual_clock import ManualClock
from tests.servers.scripted_api_server import Connection, ScriptedApiServer, json_answer

RESOURCE = {"resource": "pods", "scope": "Namespaced", "verbs": ["get"]}
SERVED = {"items": [{"metadata": {}, "versions": [{"version": "v1", "resources": [RESOURCE]}]}]}


def serve(connection: Connection, _: bytes) -> None:
    connection.send(json_answer(200, SERVED))


def fail(connection: Connection, _: bytes) -> None:
    connection.send(json_answer(503, {}))


async def test_it_is_kept_for_a_minute(
    api_server: ApiServer, stand_in: ScriptedApiServer, clock: ManualClock
) -> None:
    stand_in.script = serve
    discovery = Discovery(api_server, clock)
    served = await discovery.served()
    assert [one.resource for one in served.served] == ["pods"]
    clock.advance(timedelta(seconds=59))
    assert await discovery.served() is served
    clock.advance(timedelta(seconds=1))
    assert await discovery.served() is not served


async def test_that_it_cannot_be_had_is_kept_for_a_moment_alone(
    api_server: ApiServer, stand_in: ScriptedApiServer, clock: ManualClock
) -> None:
    """Whoever asks while kube-apiserver is started again must not be told so for a minute."""
    stand_in.script = fail
    discovery = Discovery(api_server, clock)
    assert not (await discovery.served()).is_whole
    asked = len(stand_in.heads)
    assert not (await discovery.served()).is_whole
    assert len(stand_in.heads) == asked
    stand_in.script = serve
    clock.advance(timedelta(seconds=5))
    assert (await discovery.served()).is_whole
