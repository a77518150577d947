"""``maxSession`` and ``idle`` end what runs, whatever else renews its lease."""

from datetime import timedelta

from msgspec.structs import replace

from kzproxy.administrator.lease import EndCause, Lease
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.obligations import Obligations
from kzproxy.policy.rules import AccessPolicySet
from tests.administrator.test_administrator import PODS, TRUST, WATCH, World
from tests.policy.samples import allow, asked, match

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
