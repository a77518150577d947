from contextlib import ExitStack
from datetime import datetime, timedelta

import msgspec
import pytest
from msgspec.structs import replace

from kzproxy.administrator.administrator import Administrator
from kzproxy.administrator.due_leases import JUDGED_AT_ONCE
from kzproxy.administrator.lease import EndCause, Ending
from kzproxy.administrator.trust import Trust
from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import CheckResult, Fact
from kzproxy.errors.kinds import (
    Forbidden,
    InternalError,
    ServiceUnavailable,
    StepUpRequired,
    Unauthenticated,
)
from kzproxy.policy.decision import Permit
from kzproxy.policy.device_features import DeviceFeatures
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.obligations import Obligations
from kzproxy.policy.rules import AccessPolicySet, Conditions, Rule
from tests.authentication.manual_clock import ManualClock
from tests.policy.samples import (
    ENROLLED,
    OFFICE_HOURS,
    WEDNESDAY_MORNING,
    allow,
    asked,
    dated,
    match,
    subject,
)

WATCH = "/api/v1/namespaces/dev/pods?watch=1"
PODS = match("get list watch", "pods")


# The samples' facts name nobody who vouches for them.
TRUST = Trust(issuers=frozenset({""}), device_authorities=frozenset({""}))


class World:
    """An administrator, a clock that stands at Wednesday morning, and what was cut."""

    def __init__(self, *rules: Rule) -> None:
        self.clock = ManualClock()
        self.clock.jump(WEDNESDAY_MORNING - self.clock.now())
        self.engine = PolicyEngine(AccessPolicySet(rules=rules))
        self.administrator = Administrator(self.engine, TRUST, self.clock)
        self.cuts: list[Ending] = []

    def permit(self, attributes: Attributes) -> Permit:
        decision = self.administrator.decide(attributes)
        assert isinstance(decision, Permit)
        return decision

    def open(self, attributes: Attributes, session: str = "s1"):
        return self.administrator.open(self.permit(attributes), session, self.cuts.append)

    def pass_time(self, by: timedelta) -> None:
        self.clock.advance(by)
        self.administrator.sweep()


def expiring(at: datetime) -> Attributes:
    return asked("GET", WATCH, who=replace(subject(), expires_at=at))


def test_a_request_under_way_is_live_until_it_ends() -> None:
    world = World(allow("pods", PODS))
    with world.open(asked("GET", WATCH)) as lease:
        assert world.administrator.live == {lease}
    assert world.administrator.live == frozenset()


def test_nothing_is_cut_while_everything_holds() -> None:
    world = World(allow("pods", PODS))
    with world.open(asked("GET", WATCH)):
        world.pass_time(timedelta(minutes=59))
    assert world.cuts == []


def test_a_stream_ends_with_the_credential_behind_it() -> None:
    world = World(allow("pods", PODS))
    with world.open(asked("GET", WATCH)):
        world.pass_time(timedelta(hours=1))
    assert [cut.cause for cut in world.cuts] == [EndCause.CREDENTIAL]
    assert isinstance(world.cuts[0].error, Unauthenticated)


def test_a_fresh_token_of_the_same_session_keeps_its_streams_alive() -> None:
    world = World(allow("pods", PODS))
    with world.open(asked("GET", WATCH)):
        with world.open(expiring(WEDNESDAY_MORNING + timedelta(hours=2))):
            pass
        world.pass_time(timedelta(minutes=61))
        assert world.cuts == []
        world.pass_time(timedelta(minutes=60))
    assert [cut.cause for cut in world.cuts] == [EndCause.CREDENTIAL]


def test_a_fresh_token_of_another_session_does_not() -> None:
    world = World(allow("pods", PODS))
    with world.open(asked("GET", WATCH)):
        with world.open(expiring(WEDNESDAY_MORNING + timedelta(hours=2)), session="s2"):
            pass
        world.pass_time(timedelta(hours=1))
    assert [cut.cause for cut in world.cuts] == [EndCause.CREDENTIAL]


@pytest.mark.parametrize(
    ("fresh", "cut"),
    [("dev ops", False), ("ops dev", False), ("dev", True), ("dev ops more", True)],
)
def test_a_fresh_token_renews_only_streams_of_the_same_groups(fresh: str, cut: bool) -> None:
    """A stream runs as what its own token said: one that says less must not prolong it."""
    world = World(allow("pods", PODS))
    renewed = replace(subject(groups=fresh), expires_at=WEDNESDAY_MORNING + timedelta(hours=2))
    with world.open(asked("GET", WATCH, who=subject(groups="dev ops"))):
        with world.open(asked("GET", WATCH, who=renewed)):
            pass
        world.pass_time(timedelta(minutes=61))
    assert bool(world.cuts) is cut


@pytest.mark.parametrize(
    ("fresh", "cut"),
    [
        ({}, False),
        ({"authentication_methods": ("pin", "hwk")}, False),
        ({"authentication_class": ""}, True),
        ({"authentication_class": "pwd"}, True),
        ({"authentication_methods": ("pin",)}, True),
    ],
)
def test_a_fresh_token_of_a_weaker_sign_in_renews_nothing(
    fresh: dict[str, object], cut: bool
) -> None:
    world = World(allow("pods", PODS))
    strong = replace(subject(), authentication_class="phr", authentication_methods=("hwk", "pin"))
    renewed = replace(strong, expires_at=WEDNESDAY_MORNING + timedelta(hours=2), **fresh)
    with world.open(asked("GET", WATCH, who=strong)):
        with world.open(asked("GET", WATCH, who=renewed)):
            pass
        world.pass_time(timedelta(minutes=61))
    assert bool(world.cuts) is cut


def test_a_stream_that_cannot_be_judged_again_ends() -> None:
    world = World(allow("pods", PODS))
    naive = datetime(2026, 1, 14)  # noqa: DTZ001 - a bug: it cannot be compared with an aware one
    device = replace(ENROLLED, enrolled=Fact.FAILED, expires_at=naive)
    attributes = expiring(WEDNESDAY_MORNING + timedelta(hours=1))
    with world.open(replace(attributes, device=device)):
        world.administrator.install(engine_of(allow("renamed", PODS)), TRUST)
    assert [cut.cause for cut in world.cuts] == [EndCause.POLICY]
    assert isinstance(world.cuts[0].error, InternalError)


def test_a_stream_whose_cut_fails_does_not_keep_the_others_alive() -> None:
    world = World(allow("pods", PODS))
    permit = world.permit(asked("GET", WATCH))

    def fail(_: Ending) -> None:
        raise LookupError("a bug")

    with ExitStack() as streams:
        for _ in range(JUDGED_AT_ONCE // 2):
            streams.enter_context(world.open(asked("GET", WATCH)))
            streams.enter_context(world.administrator.open(permit, "s1", fail))
        world.pass_time(timedelta(hours=1))
    assert len(world.cuts) == JUDGED_AT_ONCE // 2


def test_a_stream_ends_with_the_time_window_that_permitted_it() -> None:
    hours = Conditions(time=(OFFICE_HOURS,))
    world = World(allow("pods", PODS, conditions=hours))
    with world.open(expiring(WEDNESDAY_MORNING + timedelta(days=1))):
        world.pass_time(timedelta(hours=9) - timedelta(seconds=1))
        assert world.cuts == []
        world.pass_time(timedelta(seconds=1))
    assert [cut.cause for cut in world.cuts] == [EndCause.POLICY]
    assert isinstance(world.cuts[0].error, Forbidden)


def test_a_stream_ends_where_the_clock_is_set_back_to_before_its_time_window() -> None:
    hours = Conditions(time=(OFFICE_HOURS,))
    world = World(allow("pods", PODS, conditions=hours))
    with world.open(expiring(WEDNESDAY_MORNING + timedelta(days=1))):
        world.pass_time(timedelta(minutes=1))
        world.clock.jump(-timedelta(hours=6))
        world.pass_time(timedelta(seconds=1))
    assert [cut.cause for cut in world.cuts] == [EndCause.POLICY]


def test_a_stream_goes_on_where_another_rule_permits_it_after_the_window() -> None:
    hours = Conditions(time=(OFFICE_HOURS,))
    world = World(allow("in-hours", PODS, conditions=hours), allow("always", PODS))
    with world.open(expiring(WEDNESDAY_MORNING + timedelta(days=1))) as lease:
        world.pass_time(timedelta(hours=9))
        assert lease.permit.rule == "always"
    assert world.cuts == []


def test_a_stream_ends_with_the_device_certificate_that_it_rests_on() -> None:
    world = World(allow("pods", PODS, conditions=Conditions(device_enrolled=True)))
    device = replace(ENROLLED, expires_at=WEDNESDAY_MORNING + timedelta(minutes=5))
    with world.open(asked("GET", WATCH, device=device)):
        world.pass_time(timedelta(minutes=5))
    assert [cut.cause for cut in world.cuts] == [EndCause.POLICY]


def test_a_stream_that_does_not_need_a_device_outlives_its_certificate() -> None:
    world = World(allow("pods", PODS))
    device = replace(ENROLLED, expires_at=WEDNESDAY_MORNING + timedelta(minutes=5))
    with world.open(asked("GET", WATCH, device=device)) as lease:
        world.pass_time(timedelta(minutes=5))
        assert lease.permit.attributes.device.enrolled is Fact.FAILED
    assert world.cuts == []


def test_a_cut_stream_is_cut_once() -> None:
    world = World(allow("pods", PODS))
    with world.open(asked("GET", WATCH)):
        world.pass_time(timedelta(hours=1))
        world.pass_time(timedelta(hours=1))
    assert len(world.cuts) == 1


def test_what_ended_while_the_decision_was_being_logged_is_not_opened() -> None:
    world = World(allow("pods", PODS))
    permit = world.permit(expiring(WEDNESDAY_MORNING + timedelta(seconds=1)))
    world.clock.advance(timedelta(seconds=1))

    with (
        pytest.raises(Unauthenticated),
        world.administrator.open(permit, "s1", world.cuts.append),
    ):
        raise AssertionError("opened")
    assert world.administrator.live == frozenset()


def engine_of(*rules: Rule) -> PolicyEngine:
    return PolicyEngine(AccessPolicySet(rules=rules))


def test_another_policy_ends_at_once_what_it_does_not_permit() -> None:
    world = World(allow("pods", PODS))
    with world.open(asked("GET", WATCH)):
        world.administrator.install(engine_of(), TRUST)
        assert [cut.cause for cut in world.cuts] == [EndCause.POLICY]
        assert world.administrator.live == frozenset()


def test_what_rests_on_a_rule_that_is_gone_ends_before_all_others_are_judged() -> None:
    leavers = allow("leavers", PODS, groups="leavers")
    world, others = World(leavers, allow("pods", PODS, groups="dev")), 3 * JUDGED_AT_ONCE
    with ExitStack() as stack:
        for number in range(others):
            stack.enter_context(world.open(asked("GET", WATCH), f"s{number}"))
        for number in range(JUDGED_AT_ONCE):
            left = asked("GET", WATCH, who=subject("bob", groups="leavers"))
            stack.enter_context(world.open(left, f"l{number}"))
        before = {lease.permit.revision for lease in world.administrator.live}
        world.administrator.install(engine_of(allow("pods", PODS, groups="dev")), TRUST)

        assert len(world.cuts) == JUDGED_AT_ONCE
        assert {lease.permit.revision for lease in world.administrator.live} == before


def test_what_another_policy_permits_too_goes_on_by_its_rule() -> None:
    world = World(allow("pods", PODS))
    with world.open(asked("GET", WATCH)) as lease:
        world.administrator.install(engine_of(allow("renamed", PODS)), TRUST)
        assert lease.permit.rule == "renamed"
    assert world.cuts == []


def test_a_window_of_another_policy_bounds_what_is_under_way() -> None:
    world = World(allow("pods", PODS))
    hours = Conditions(time=(OFFICE_HOURS,))
    with world.open(expiring(WEDNESDAY_MORNING + timedelta(days=1))):
        world.administrator.install(engine_of(allow("pods", PODS, conditions=hours)), TRUST)
        world.pass_time(timedelta(hours=9))
    assert [cut.cause for cut in world.cuts] == [EndCause.POLICY]


def test_a_permit_of_another_policy_is_judged_again_before_it_is_acted_on() -> None:
    world = World(allow("pods", PODS))
    permit = world.permit(asked("GET", WATCH))
    world.administrator.install(engine_of(), TRUST)

    with pytest.raises(Forbidden), world.administrator.open(permit, "s1", world.cuts.append):
        raise AssertionError("opened")


def test_a_permit_that_another_policy_gives_too_is_opened_by_its_rule() -> None:
    world = World(allow("pods", PODS))
    permit = world.permit(asked("GET", WATCH))
    world.administrator.install(engine_of(allow("renamed", PODS)), TRUST)

    with world.administrator.open(permit, "s1", world.cuts.append) as lease:
        assert lease.permit.rule == "renamed"


def test_the_streams_of_an_issuer_that_is_no_longer_believed_end() -> None:
    world = World(allow("pods", PODS))
    others = Trust(issuers=frozenset({"another"}), device_authorities=frozenset({""}))
    with world.open(asked("GET", WATCH)):
        world.administrator.install(engine_of(allow("pods", PODS)), others)
    assert [cut.cause for cut in world.cuts] == [EndCause.CREDENTIAL]
    assert isinstance(world.cuts[0].error, Unauthenticated)


def test_a_permit_for_a_subject_that_is_no_longer_believed_is_not_acted_on() -> None:
    world = World(allow("pods", PODS))
    permit = world.permit(asked("GET", WATCH))
    others = Trust(issuers=frozenset({"another"}), device_authorities=frozenset({""}))
    world.administrator.install(engine_of(allow("pods", PODS)), others)

    with (
        pytest.raises(ServiceUnavailable) as refused,
        world.administrator.open(permit, "s1", world.cuts.append),
    ):
        raise AssertionError("opened")
    assert refused.value.retry_after_seconds == 1


def test_a_stream_that_rests_on_a_device_ends_with_its_authority() -> None:
    world = World(
        allow("pods", PODS, conditions=Conditions(device_enrolled=True)),
        allow("anywhere", match("get list watch", "secrets")),
    )
    others = Trust(issuers=frozenset({""}), device_authorities=frozenset({"another"}))
    with (
        world.open(asked("GET", WATCH, device=ENROLLED)),
        world.open(asked("GET", "/api/v1/namespaces/dev/secrets?watch=1", device=ENROLLED)) as free,
    ):
        world.administrator.install(world.engine, others)
        assert world.administrator.live == {free}
        assert free.permit.attributes.device.enrolled is Fact.FAILED
    assert [cut.cause for cut in world.cuts] == [EndCause.POLICY]


def test_a_stream_that_rests_on_a_managed_device_ends_when_its_authority_is_no_mdms() -> None:
    managed = replace(ENROLLED, managed=Fact.PASSED)
    mdm = Trust(
        issuers=frozenset({""}),
        device_authorities=frozenset({""}),
        managed_authorities=frozenset({""}),
    )
    asks = Conditions(device=DeviceFeatures(managed=True))
    world = World(allow("pods", PODS, conditions=asks))
    world.administrator.install(world.engine, mdm)
    permit = world.permit(asked("GET", WATCH, device=managed))
    with world.open(asked("GET", WATCH, device=managed)):
        world.administrator.install(world.engine, TRUST)
    assert [cut.cause for cut in world.cuts] == [EndCause.POLICY]
    with pytest.raises(ServiceUnavailable):
        world.administrator.open(permit, "s1", world.cuts.append)


def test_a_device_that_is_none_any_more_was_managed_to_nobodys_harm() -> None:
    revoked = replace(ENROLLED, enrolled=Fact.FAILED, managed=Fact.PASSED, device_id="")
    world = World(allow("pods", PODS))
    with world.open(asked("GET", WATCH, device=revoked)) as lease:
        world.administrator.judge_all_again()
        assert world.administrator.live == {lease}


def test_a_permit_is_upheld_while_its_time_window_is_open_and_its_policy_in_force() -> None:
    hours = Conditions(time=(OFFICE_HOURS,))
    world = World(allow("pods", PODS, conditions=hours))
    permit = world.permit(asked("GET", WATCH))
    assert permit.valid_until is not None
    last = permit.valid_until - timedelta(microseconds=1)

    assert world.administrator.upholds(permit, last)
    assert not world.administrator.upholds(permit, permit.valid_until)
    before = permit.attributes.environment.received_at - timedelta(microseconds=1)
    assert not world.administrator.upholds(permit, before)
    another = msgspec.structs.replace(permit, revision="another")
    assert not world.administrator.upholds(another, last)


def test_a_permit_for_good_is_not_upheld_before_the_time_it_was_judged_at() -> None:
    calendar = replace(OFFICE_HOURS, weekly=(), dated=(dated("2026-01-14", "9999-12-31"),))
    opened = allow("pods", PODS, conditions=Conditions(time=(calendar,)))
    for rule, upheld_before in ((opened, False), (allow("pods", PODS), True)):
        world = World(rule)
        permit = world.permit(asked("GET", WATCH))
        assert permit.valid_until is None
        assert world.administrator.upholds(permit, WEDNESDAY_MORNING + timedelta(days=400))
        before = WEDNESDAY_MORNING - timedelta(days=1)
        assert world.administrator.upholds(permit, before) is upheld_before


def test_a_stream_that_a_sign_in_would_keep_ends_and_says_which() -> None:
    hour = timedelta(hours=1)
    world = World(allow("fresh", PODS, obligations=Obligations(reauth=hour)))
    who = replace(
        subject(),
        authenticated_at=WEDNESDAY_MORNING,
        expires_at=WEDNESDAY_MORNING + 2 * hour,
    )
    with world.open(asked("GET", WATCH, who=who)):
        world.pass_time(hour)
    (cut,) = world.cuts
    assert (cut.cause, cut.rule) == (EndCause.POLICY, "fresh")
    assert isinstance(cut.error, StepUpRequired)
    assert cut.error.message.startswith("access ended by kzproxy until you sign in again: ")
    assert "`kzproxy login --max-age 1h`" in cut.error.message


def test_a_stream_ends_when_a_check_of_its_device_does() -> None:
    """Told by time alone: nobody has to say anything of the device."""
    check = CheckResult(
        fact=Fact.PASSED,
        observed_at=WEDNESDAY_MORNING,
        expires_at=WEDNESDAY_MORNING + timedelta(minutes=5),
        source="self",
    )
    wanted = Conditions(device=DeviceFeatures(checks=frozenset({"firewall"})))
    world = World(allow("checked", PODS, conditions=wanted))
    with world.open(asked("GET", WATCH, device=replace(ENROLLED, checks=(("firewall", check),)))):
        world.pass_time(timedelta(minutes=4))
        assert world.cuts == []
        world.pass_time(timedelta(minutes=1))
    assert [cut.rule for cut in world.cuts] == ["checked"]
    assert "firewall is not known" in world.cuts[0].error.message
