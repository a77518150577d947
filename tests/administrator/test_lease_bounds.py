"""``maxSession`` and ``idle`` end what runs, whatever else renews its lease."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from kzproxy.administrator.lease import Bounds, EndCause, Lease, lease_end
from kzproxy.attributes.device import Fact
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.obligations import Obligations
from kzproxy.policy.rules import AccessPolicySet
from tests.administrator.test_administrator import PODS, TRUST, WATCH, World
from tests.policy.samples import ENROLLED, WEDNESDAY_MORNING, allow, asked, match

MINUTE = timedelta(minutes=1)


def opened(world: World, **obligations: timedelta) -> Lease:
    permit = replace(
        world.permit(asked("GET", WATCH)), obligations=Obligations(**obligations), rule="short"
    )
    return world.administrator.open(permit, "s1", world.cuts.append)


def told(world: World) -> str:
    (cut,) = world.cuts
    return cut.error.message


def test_a_request_ends_after_its_longest_session() -> None:
    world = World(allow("pods", PODS))
    with opened(world, max_session=20 * MINUTE):
        world.pass_time(19.9 * MINUTE)
        assert world.cuts == []
        world.pass_time(0.1 * MINUTE)
    assert [cut.cause for cut in world.cuts] == [EndCause.MAX_SESSION]
    assert told(world) == (
        "access ended by kzproxy: it has lasted 20m, as long as rule short allows; start it again"
    )


def test_no_renewal_and_no_new_judgement_moves_that_end() -> None:
    world = World(allow("pods", PODS))
    with opened(world, max_session=20 * MINUTE):
        world.pass_time(10 * MINUTE)
        with world.open(asked("GET", WATCH)):  # a token of the same sign-in, seen again
            pass
        other = PolicyEngine(AccessPolicySet(rules=(allow("more", PODS, match("get", "nodes")),)))
        world.administrator.install(other, TRUST)
        world.pass_time(9 * MINUTE)
        assert world.cuts == []
        world.pass_time(MINUTE)
    assert [cut.cause for cut in world.cuts] == [EndCause.MAX_SESSION]


def test_the_session_of_a_remembered_permit_begins_with_its_own_request() -> None:
    world = World(allow("pods", PODS))
    permit = replace(
        world.permit(asked("GET", WATCH)), obligations=Obligations(max_session=5 * MINUTE)
    )
    world.pass_time(30 * MINUTE)
    with world.administrator.open(permit, "s1", world.cuts.append):
        world.pass_time(4 * MINUTE)
    assert world.cuts == []


def test_a_stream_on_which_nothing_moves_ends() -> None:
    world = World(allow("pods", PODS))
    with opened(world, idle=10 * MINUTE):
        world.pass_time(10 * MINUTE)
    assert [cut.cause for cut in world.cuts] == [EndCause.IDLE]
    assert "nothing has moved for 10m" in told(world)


def test_a_stream_on_which_something_moves_goes_on() -> None:
    world = World(allow("pods", PODS))
    with opened(world, idle=10 * MINUTE) as lease:
        for _ in range(5):
            world.pass_time(9 * MINUTE)
            lease.bounds.moved()
        assert world.cuts == []
        world.pass_time(9.9 * MINUTE)
        assert world.cuts == []
        world.pass_time(0.2 * MINUTE)
    assert [cut.cause for cut in world.cuts] == [EndCause.IDLE]


def test_moving_does_not_move_the_end_of_the_session() -> None:
    world = World(allow("pods", PODS))
    with opened(world, idle=10 * MINUTE, max_session=15 * MINUTE) as lease:
        for _ in range(3):
            world.pass_time(5 * MINUTE)
            lease.bounds.moved()
    assert [cut.cause for cut in world.cuts] == [EndCause.MAX_SESSION]


def test_of_two_rules_the_tighter_bound_stays() -> None:
    world = World(allow("pods", PODS))
    with opened(world, max_session=20 * MINUTE) as lease:
        lease.bounds.tighten(Obligations(max_session=60 * MINUTE), "later")
        lease.bounds.tighten(Obligations(), "free")
        world.pass_time(20 * MINUTE)
    assert "rule short" in told(world)


def test_a_clock_that_is_set_back_prolongs_no_session() -> None:
    world = World(allow("pods", PODS))
    with opened(world, max_session=20 * MINUTE):
        world.pass_time(10 * MINUTE)
        world.clock.jump(-60 * MINUTE)
        world.pass_time(9.9 * MINUTE)
        assert world.cuts == []
        world.pass_time(0.2 * MINUTE)
    assert [cut.cause for cut in world.cuts] == [EndCause.MAX_SESSION]


def test_a_clock_that_is_set_back_lets_nothing_be_idle_for_longer() -> None:
    world = World(allow("pods", PODS))
    with opened(world, idle=10 * MINUTE):
        world.pass_time(5 * MINUTE)
        world.clock.jump(-60 * MINUTE)
        world.pass_time(4.9 * MINUTE)
        assert world.cuts == []
        world.pass_time(0.2 * MINUTE)
    assert [cut.cause for cut in world.cuts] == [EndCause.IDLE]


@pytest.mark.parametrize("field", ["max_session", "idle"])
def test_of_all_bounds_so_far_the_tightest_stays(field: str) -> None:
    seconds = 0.0
    bounds = Bounds(WEDNESDAY_MORNING, seconds, lambda: seconds)
    for minutes, rule in ((20, "long"), (5, "short"), (10, "later")):
        bounds.tighten(Obligations(**{field: minutes * MINUTE}), rule)
    bounds.tighten(Obligations(), "none")

    seconds = 299.0
    assert bounds.ending(WEDNESDAY_MORNING + 4.9 * MINUTE) is None
    seconds = 300.0
    ending = bounds.ending(WEDNESDAY_MORNING + 5 * MINUTE)
    assert ending is not None
    assert ending.rule == "short"


def test_a_permit_is_looked_at_again_when_the_first_thing_that_it_rests_on_ends() -> None:
    """Whichever of them that is: none of the others puts it off."""
    world = World(allow("pods", PODS))
    permit = world.permit(asked("GET", WATCH, device=ENROLLED))
    first, later = WEDNESDAY_MORNING + MINUTE, WEDNESDAY_MORNING + 2 * MINUTE

    def end(credential=later, policy=later, device=later, reason=later, **fields):
        facts = permit.attributes
        facts = replace(
            facts,
            device=replace(facts.device, expires_at=device, **fields),
            environment=replace(facts.environment, reason="r", reason_ends_at=reason),
        )
        asked_for = Obligations(reason=True)
        resting = replace(permit, attributes=facts, valid_until=policy, obligations=asked_for)
        return lease_end(resting, credential)

    assert end() == later
    for name in ("credential", "policy", "device", "reason"):
        assert end(**{name: first}) == first, name
    assert end(device=first, enrolled=Fact.FAILED) == later
    assert end(policy=None, device=None, reason=None) == later


def test_a_reason_that_no_rule_asked_for_ends_nothing() -> None:
    world = World(allow("pods", PODS))
    permit = world.permit(asked("GET", WATCH))
    environment = replace(
        permit.attributes.environment, reason="r", reason_ends_at=WEDNESDAY_MORNING + MINUTE
    )
    given = replace(permit, attributes=replace(permit.attributes, environment=environment))

    assert lease_end(given, WEDNESDAY_MORNING + 9 * MINUTE) == WEDNESDAY_MORNING + 9 * MINUTE
