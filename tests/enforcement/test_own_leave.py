"""What policy permits at an own endpoint is answered only while policy permits it."""

from datetime import timedelta

import pytest

from kzproxy.administrator.administrator import Administrator
from kzproxy.administrator.trust import Trust
from kzproxy.enforcement.own_leave import OwnLeave
from kzproxy.errors.kinds import Forbidden, Unauthenticated
from kzproxy.policy.decision import Permit
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.rules import AccessPolicySet, Rule
from tests.authentication.manual_clock import ManualClock
from tests.policy.samples import WEDNESDAY_MORNING, allow, asked, match

URL = "/kzproxy.dev/v1/explanations/2b1c7c0e-6a64-4f3e-9c0b-7d0f5a1b2c3d"
EXPLAINS = allow("explains", match("get", urls="/kzproxy.dev/v1/explanations/*"))
# The samples' facts name nobody who vouches for them.
TRUST = Trust(issuers=frozenset({""}), device_authorities=frozenset({""}))


def engine(*rules: Rule) -> PolicyEngine:
    return PolicyEngine(AccessPolicySet(rules=rules))


class Scene:
    """An administrator, and leave for one request."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.clock.jump(WEDNESDAY_MORNING - self.clock.now())
        self.administrator = Administrator(engine(EXPLAINS), TRUST, self.clock)
        self.written: list[str] = []

    def leave(self) -> OwnLeave:
        async def write_down(plan: str) -> None:
            self.written.append(plan)

        async def decide() -> Permit:
            decision = self.administrator.decide(asked("GET", URL))
            if not isinstance(decision, Permit):
                raise Forbidden("no")
            return decision

        return OwnLeave(
            administrator=self.administrator,
            session_id="s-1",
            write_down=write_down,
            decide=decide,
        )


@pytest.mark.asyncio
async def test_what_is_permitted_is_under_way_until_it_ends() -> None:
    scene = Scene()
    with scene.leave() as leave:
        await leave.ask_policy()
        assert len(scene.administrator.live) == 1
        leave.check()
    assert scene.administrator.live == frozenset()
    assert scene.written == []


@pytest.mark.asyncio
async def test_a_permit_that_is_taken_back_meanwhile_is_no_leave_any_more() -> None:
    scene = Scene()
    with scene.leave() as leave:
        await leave.ask_policy()
        scene.administrator.install(engine(), TRUST)
        with pytest.raises(Forbidden, match="policy no longer permits it"):
            leave.check()


@pytest.mark.asyncio
async def test_a_sign_in_that_ends_meanwhile_is_no_leave_any_more() -> None:
    scene = Scene()
    with scene.leave() as leave:
        await leave.ask_policy()
        scene.clock.advance(timedelta(hours=2))
        scene.administrator.sweep()
        with pytest.raises(Unauthenticated):
            leave.check()


@pytest.mark.asyncio
async def test_what_is_denied_is_not_under_way() -> None:
    scene = Scene()
    scene.administrator.install(engine(), TRUST)
    with scene.leave() as leave, pytest.raises(Forbidden):
        await leave.ask_policy()
    assert scene.administrator.live == frozenset()


@pytest.mark.asyncio
async def test_what_is_written_down_needs_no_permit() -> None:
    scene = Scene()
    with scene.leave() as leave:
        await leave.write_down("shows it")
        leave.check()
    assert scene.written == ["shows it"]
