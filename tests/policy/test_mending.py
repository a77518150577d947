"""What is advised works: each advice is followed here, and the engine asked again."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from kzproxy.attributes.attributes import Attributes
from kzproxy.policy.calendar import Holidays
from kzproxy.policy.decision import Decision, NotPermitted, Permit
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.mending import StepKind, next_window, steps
from kzproxy.policy.obligations import MultiFactor, Obligations
from kzproxy.policy.rules import AccessPolicySet, Conditions, NamedCondition, Rule, SignIn, Tier
from tests.policy.plain_reading import is_permitted
from tests.policy.samples import (
    ENROLLED,
    OFFICE,
    OFFICE_HOURS,
    WEDNESDAY_MORNING,
    allow,
    asked,
    deny,
    match,
    window,
)
from tests.policy.small_world import (
    DEFINITIONS,
    engine_of,
    narrow_policies,
    policies,
    requests,
)

PODS = match("get list", "pods")
LIST = asked("GET", "/api/v1/namespaces/prod/pods")
FRESH = Conditions(sign_in=SignIn(max_age=timedelta(hours=1), classes=frozenset({"phr"})))


def policy(*rules: Rule, conditions: tuple[NamedCondition, ...] = ()) -> AccessPolicySet:
    return AccessPolicySet(rules=rules, networks=(OFFICE,), conditions=conditions)


def kinds(policies: AccessPolicySet, attributes: Attributes = LIST) -> list[StepKind]:
    """Return the kinds of the steps; follow them and see that they help."""
    engine = PolicyEngine(policies)
    assert isinstance(engine.decide(attributes), NotPermitted)
    found = steps(engine, policies, attributes)
    for step in found:
        attributes = step.done(attributes)
    assert isinstance(engine.decide(attributes), Permit) == bool(found)
    return [step.kind for step in found]


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"conditions": Conditions(networks=(OFFICE,))}, StepKind.NETWORK),
        ({"conditions": Conditions(device_enrolled=True)}, StepKind.DEVICE),
        ({"conditions": FRESH}, StepKind.SIGN_IN),
        ({"conditions": Conditions(session_max_age=timedelta(hours=1))}, StepKind.SIGN_IN),
        ({"obligations": Obligations(reason=True)}, StepKind.REASON),
        ({"obligations": Obligations(reauth=timedelta(minutes=5))}, StepKind.SIGN_IN),
        (
            {"obligations": Obligations(mfa=MultiFactor(methods=frozenset({"otp", "hwk"})))},
            StepKind.SIGN_IN,
        ),
    ],
)
def test_one_thing_that_is_missing_is_one_step(fields: dict[str, object], kind: StepKind) -> None:
    assert kinds(policy(allow("a", PODS, **fields))) == [kind]


def test_several_things_are_named_together_and_no_more_of_them_than_it_takes() -> None:
    both = allow("a", PODS, conditions=Conditions(networks=(OFFICE,), device_enrolled=True))
    assert kinds(policy(both)) == [StepKind.DEVICE, StepKind.NETWORK]
    easier = allow("b", PODS, conditions=Conditions(networks=(OFFICE,)))
    assert kinds(policy(both, easier)) == [StepKind.NETWORK]


def test_of_many_rules_those_that_lack_least_are_looked_at() -> None:
    far = Conditions(
        networks=(OFFICE,), device_enrolled=True, sign_in=SignIn(issuers=frozenset("x"))
    )
    many = [allow(f"far-{number}", PODS, conditions=far) for number in range(50)]
    near = allow("near", PODS, conditions=Conditions(device_enrolled=True))
    assert kinds(policy(*many, near)) == [StepKind.DEVICE]


def test_what_a_tier_asks_is_found() -> None:
    tier = Tier(level=1, name="managed", conditions=Conditions(device_enrolled=True))
    rule = allow("a", PODS, conditions=Conditions(device_tier=1))
    assert kinds(AccessPolicySet(rules=(rule,), tiers=(tier,))) == [StepKind.DEVICE]


def test_what_a_named_condition_asks_is_found() -> None:
    named = NamedCondition(name="at-work", conditions=Conditions(networks=(OFFICE,)))
    rule = allow("a", PODS, conditions=Conditions(all_of=("at-work",)))
    assert kinds(policy(rule, conditions=(named,))) == [StepKind.NETWORK]


@pytest.mark.parametrize(
    "rules",
    [
        (),
        (allow("a", match("get", "secrets")),),
        (allow("a", PODS, groups="others"),),
        (allow("a", PODS), deny("d", PODS)),
        (allow("a", match("*", "pods"), obligations=Obligations(bound=True)),),
    ],
)
def test_what_is_not_the_callers_to_do_is_not_advised(rules: tuple[Rule, ...]) -> None:
    assert kinds(policy(*rules)) == []


def test_commands_are_named_where_there_are_any() -> None:
    policies = policy(allow("a", PODS, obligations=Obligations(reason=True), conditions=FRESH))
    found = steps(PolicyEngine(policies), policies, LIST)
    assert [(step.text, step.command) for step in found] == [
        ("give a reason", 'kzproxy reason "why you do this"'),
        ("sign in again of class phr", "kzproxy login --acr phr --max-age 1h"),
    ]


def test_a_large_policy_is_not_tried_for_ever() -> None:
    networks = tuple(replace(OFFICE, name=f"n{number}") for number in range(200))
    conditions = Conditions(networks=networks, sign_in=SignIn(issuers=frozenset({"x"})))
    policies = AccessPolicySet(rules=(allow("a", PODS, conditions=conditions),))

    class Counting(PolicyEngine):
        asked = 0

        def decide(self, attributes: Attributes) -> Decision:
            self.asked += 1
            return super().decide(attributes)

    engine = Counting(policies)
    assert steps(engine, policies, LIST) == ()
    assert 0 < engine.asked <= 24


IN_HOURS = policy(allow("a", PODS, conditions=Conditions(time=(OFFICE_HOURS,))))
MINUTES_OF_A_YEAR = st.integers(0, 365 * 24 * 60)


@given(MINUTES_OF_A_YEAR)
def test_time_alone_opens_when_it_is_said_to_and_not_before(minutes: int) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    engine = PolicyEngine(IN_HOURS)

    def allowed(moment: datetime) -> bool:
        return isinstance(engine.decide(asked_at(moment)), Permit)

    found = next_window(engine, asked_at(at))
    assert found is not None
    assert found.opens_at >= at
    assert allowed(found.opens_at)
    assert found.opens_at == at or not allowed(found.opens_at - timedelta(seconds=1))
    assert found.closes_at is not None
    assert not allowed(found.closes_at)
    assert allowed(found.closes_at - timedelta(seconds=1))


def asked_at(moment: datetime) -> Attributes:
    return asked("GET", "/api/v1/namespaces/prod/pods", at=moment)


def test_the_end_of_what_a_deny_rule_says_is_an_opening() -> None:
    closed = deny("d", PODS, conditions=Conditions(time=(OFFICE_HOURS,)))
    found = next_window(PolicyEngine(policy(allow("a", PODS), closed)), LIST)
    assert found is not None
    assert found.opens_at == datetime(2026, 1, 14, 19, 0, tzinfo=UTC)  # 20:00 in Prague


GOOD_FRIDAY = date(2026, 4, 3)


@pytest.mark.parametrize("days", [{GOOD_FRIDAY}, set()])
def test_the_moment_to_look_again_is_not_told_as_an_end(days: set[date]) -> None:
    """Nothing closes it but a holiday; further than some weeks nobody looks at a time."""
    holidays = Holidays(country="X", subdivision="", include=days.__contains__)
    each_day = window("w", "UTC", "Mon Tue Wed Thu Fri Sat Sun", "00:00", "24:00")
    opened = Conditions(time=(replace(each_day, holidays=holidays),))
    engine = PolicyEngine(policy(allow("a", PODS, conditions=opened)))

    found = next_window(engine, LIST)

    assert found is not None
    assert found.closes_at == (datetime(2026, 4, 3, tzinfo=UTC) if days else None)


def test_where_time_alone_does_not_do_there_is_no_window() -> None:
    both = Conditions(time=(OFFICE_HOURS,), device_enrolled=True)
    engine = PolicyEngine(policy(allow("a", PODS, conditions=both)))
    evening = asked_at(WEDNESDAY_MORNING + timedelta(hours=12))

    assert next_window(engine, evening) is None
    assert next_window(engine, replace(evening, device=ENROLLED)) is not None
    assert next_window(PolicyEngine(policy()), evening) is None


def test_what_is_permitted_now_is_a_window_that_is_open() -> None:
    found = next_window(PolicyEngine(policy(allow("a", PODS))), LIST)
    assert found is not None
    assert (found.opens_at, found.closes_at) == (WEDNESDAY_MORNING, None)


@settings(max_examples=50)
@given(
    rules=policies | narrow_policies(),
    request=requests(),
    shares=st.lists(st.floats(0, 1), min_size=6, max_size=6),
)
def test_a_request_is_permitted_in_its_window_and_not_before(
    rules: list[Rule], request: Attributes, shares: list[float]
) -> None:
    """By looking at the plain reading again and again, which knows of no turns."""
    window = next_window(engine_of(rules), request)
    now = request.environment.received_at

    def is_permitted_at(moment: datetime) -> bool:
        environment = replace(request.environment, received_at=moment)
        return is_permitted(rules, replace(request, environment=environment), DEFINITIONS)

    if window is None:
        assert not is_permitted_at(now)
        return
    assert is_permitted_at(window.opens_at)
    for share in shares:
        before = now + share * (window.opens_at - now)
        assert before >= window.opens_at or not is_permitted_at(before)
    if window.closes_at is not None:
        assert not is_permitted_at(window.closes_at)
        for share in shares:
            within = window.opens_at + share * (window.closes_at - window.opens_at)
            assert within >= window.closes_at or is_permitted_at(within)
