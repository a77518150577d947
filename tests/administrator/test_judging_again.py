"""Streams judged again when what they depend on changes: exactly those, and all of them."""

import asyncio
from datetime import datetime

import pytest
from msgspec.structs import replace

from kzproxy.administrator.due_leases import JUDGED_AT_ONCE
from kzproxy.administrator.lease import EndCause
from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import DevicePosture, Fact
from kzproxy.attributes.identity import Identity
from kzproxy.errors.kinds import ProxyError, ServiceUnavailable, Unauthenticated
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.rules import AccessPolicySet
from tests.administrator.test_administrator import PODS, TRUST, WATCH, World
from tests.policy.samples import allow, asked, subject


class Facts:
    """Who callers are now, by username; what is not here is as it was."""

    def __init__(self) -> None:
        self.present: dict[str, Identity | ProxyError] = {}
        self.asked = 0

    def restate(self, attributes: Attributes, now: datetime) -> Attributes:
        self.asked += 1
        known = self.present.get(attributes.subject.username)
        if isinstance(known, ProxyError):
            raise known
        return attributes if known is None else replace(attributes, subject=known)


@pytest.fixture
def facts() -> Facts:
    return Facts()


@pytest.fixture
def world(facts: Facts) -> World:
    made = World(allow("pods", PODS))
    made.administrator.consult(facts)
    return made


def of(name: str, groups: str = "dev") -> Attributes:
    return asked("GET", WATCH, who=subject(name, groups=groups))


def test_only_streams_of_the_session_are_judged(world: World, facts: Facts) -> None:
    with world.open(of("alice"), "s1"), world.open(of("bob"), "s2"):
        facts.asked = 0
        world.administrator.judge_sessions_again(frozenset({"s1"}))
        assert facts.asked == 1
        assert world.cuts == []


def test_only_streams_with_a_certificate_of_the_key_are_judged(world: World, facts: Facts) -> None:
    device = DevicePosture(enrolled=Fact.FAILED, key_thumbprint="ab")  # not known as one yet
    with world.open(replace(of("alice"), device=device), "s1"), world.open(of("bob"), "s2"):
        facts.asked = 0
        world.administrator.judge_keys_again(frozenset({"ab"}))
        assert facts.asked == 1
        world.administrator.judge_keys_again(frozenset({"cd"}))
        assert facts.asked == 1
    assert world.administrator.live == frozenset()


def test_who_is_nobody_any_more_is_cut_and_others_are_not(world: World, facts: Facts) -> None:
    with world.open(of("alice"), "s1"), world.open(of("bob"), "s2") as other:
        facts.present["alice"] = Unauthenticated("the session was ended: laptop lost")
        world.administrator.judge_sessions_again(frozenset({"s1", "s2"}))
        assert [cut.cause for cut in world.cuts] == [EndCause.SESSION]
        assert "laptop lost" in world.cuts[0].error.message
        assert other in world.administrator.live


def test_what_nobody_can_tell_ends(world: World, facts: Facts) -> None:
    with world.open(of("alice")):
        facts.present["alice"] = ServiceUnavailable("cannot tell")
        world.administrator.judge_all_again()
        assert [cut.cause for cut in world.cuts] == [EndCause.SESSION]


@pytest.mark.parametrize(
    ("groups", "cut"), [("dev ops", False), ("ops dev more", False), ("dev", True), ("", True)]
)
def test_a_stream_ends_when_a_group_that_it_runs_with_is_lost(
    world: World, facts: Facts, groups: str, cut: bool
) -> None:
    with world.open(of("alice", "dev ops")):
        facts.present["alice"] = subject("alice", groups=groups)
        world.administrator.judge_all_again()
        assert bool(world.cuts) is cut
        if cut:
            assert world.cuts[0].cause is EndCause.IDENTITY
            assert "no longer in" in world.cuts[0].error.message


def test_groups_added_since_are_not_a_streams_own(facts: Facts) -> None:
    """It runs at kube-apiserver without them, so they must not keep it alive either."""
    world = World(allow("all", PODS))
    world.administrator.consult(facts)
    with world.open(of("alice", "dev")):
        facts.present["alice"] = subject("alice", groups="dev admins")
        world.engine = PolicyEngine(AccessPolicySet(rules=(allow("a", PODS, groups="admins"),)))
        world.administrator.install(world.engine, TRUST)
        assert [cut.cause for cut in world.cuts] == [EndCause.POLICY]


@pytest.mark.parametrize("change", [{"uid": "other"}, {"extra": (("example.com/a", ("b",)),)}])
def test_a_stream_ends_when_it_runs_as_another(
    world: World, facts: Facts, change: dict[str, object]
) -> None:
    with world.open(of("alice")):
        facts.present["alice"] = replace(subject("alice", groups="dev"), **change)  # type: ignore[arg-type]
        world.administrator.judge_all_again()
        assert [cut.cause for cut in world.cuts] == [EndCause.IDENTITY]


def test_who_became_nobody_while_a_permit_was_logged_gets_nothing(
    world: World, facts: Facts
) -> None:
    permit = world.permit(of("alice"))
    facts.present["alice"] = Unauthenticated("the session was ended")
    with pytest.raises(Unauthenticated):
        world.administrator.open(permit, "s1", world.cuts.append)
    assert len(world.administrator.live) == 0


def test_streams_are_found_by_device_and_by_person(world: World, facts: Facts) -> None:
    one = of("alice")
    with world.open(one) as lease, world.open(of("bob"), "s2"):
        facts.asked = 0
        world.administrator.judge_devices_again(frozenset({lease.device_id}))
        world.administrator.judge_users_again(frozenset({lease.user}))
        assert facts.asked >= 1
        facts.present["alice"] = Unauthenticated("gone")
        world.administrator.judge_users_again(frozenset({lease.user}))
        assert len(world.cuts) == 1


async def test_thousands_are_judged_in_parts_that_let_others_through(
    world: World, facts: Facts
) -> None:
    leases = [world.open(of("alice"), f"s{number}") for number in range(1000)]
    running = asyncio.create_task(world.administrator.run())
    await asyncio.sleep(0)
    facts.present["alice"] = Unauthenticated("gone")
    world.administrator.judge_all_again()
    first = len(world.cuts)
    assert 0 < first < len(leases)
    turns = 0
    async with asyncio.timeout(10):
        while len(world.cuts) < len(leases):
            await asyncio.sleep(0)
            turns += 1
    assert turns > 1
    running.cancel()


async def test_what_ended_before_its_turn_is_left_alone(world: World, facts: Facts) -> None:
    leases = [world.open(of("alice"), f"s{number}") for number in range(300)]
    facts.present["alice"] = Unauthenticated("gone")
    world.administrator.judge_all_again()
    for lease in leases:
        with lease:
            pass
    world.administrator.sweep()
    assert len(world.cuts) == JUDGED_AT_ONCE


def test_nothing_is_kept_of_what_has_ended(world: World) -> None:
    with world.open(of("alice")):
        assert world.administrator.streams_of("s1") == 1
    assert world.administrator.streams_of("s1") == 0
    assert world.administrator._live._by == {}
