"""An own endpoint's answer, where what permitted it ends meanwhile."""

import pytest

from kzproxy.administrator.administrator import Administrator
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.enforcement.own_endpoints import Asked, OwnEndpoints
from kzproxy.enforcement.own_leave import OwnLeave
from kzproxy.errors.kinds import Forbidden
from kzproxy.policy.decision import Permit
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.rules import AccessPolicySet
from tests.administrator.test_administrator import TRUST
from tests.enforcement.conftest import Scene
from tests.policy.samples import WEDNESDAY_MORNING, allow, asked, match, subject

URL = "/kzproxy.dev/v1/things/1"
KEEPS = allow("keeps", match("get delete", urls=URL))


class Things:
    """An endpoint that ends what permitted it, as who ends all of their own sessions does."""

    judged = True
    methods = frozenset({"GET", "DELETE"})
    max_body_bytes = 0

    def __init__(self, administrator: Administrator) -> None:
        self._administrator = administrator

    def plan(self, asked: Asked) -> str:
        return f"{asked.method} {asked.rest}"

    async def answer(self, asked: Asked) -> object:
        self._administrator.install(PolicyEngine(AccessPolicySet(rules=())), TRUST)
        return {"done": asked.method}


async def serve(scene: Scene, method: str) -> bytes:
    """Have a request for the endpoint served; return what its client gets."""
    scene.relay(method, URL)  # for its exchange and its case
    scene.clock.jump(WEDNESDAY_MORNING - scene.clock.now())
    administrator = Administrator(PolicyEngine(AccessPolicySet(rules=(KEEPS,))), TRUST, scene.clock)
    scene.case.identity = subject()

    async def decide() -> Permit:
        decision = administrator.decide(asked(method, URL))
        assert isinstance(decision, Permit)
        return decision

    async def write_down(_: str) -> None:
        raise AssertionError("policy's decision is what is written")

    endpoints = OwnEndpoints({"things": Things(administrator)})
    with OwnLeave(
        administrator=administrator, session_id="s-1", write_down=write_down, decide=decide
    ) as leave:
        head, info = scene.exchange.read_request(), RequestInfo.parse(method, URL)
        await endpoints.serve(scene.exchange, head, info, scene.case, leave)
    return await scene.client.receive()


async def test_what_was_done_is_told_to_whom_it_was_done_for_though_it_ended_their_leave(
    scene: Scene,
) -> None:
    assert b'{"done":"DELETE"}' in await serve(scene, "DELETE")
    assert scene.case.status_code == 200


async def test_what_is_only_shown_is_shown_while_policy_permits_it(scene: Scene) -> None:
    with pytest.raises(Forbidden):
        await serve(scene, "GET")
    assert not scene.exchange.started
