"""What is asked of a device's posture and of a session: what is missing or stale never passes."""

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from kzproxy.attributes.device import NO_DEVICE, CheckResult, Fact
from kzproxy.policy.compliance import COMPLIANT
from kzproxy.policy.decision import Deny, Dependency, Permit
from kzproxy.policy.device_features import KNOWN_CHECKS, DeviceFeatures, Platform, version_of
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.expression import DeclaredNames, compile_expression
from kzproxy.policy.rules import (
    NO_CONDITIONS,
    AccessPolicySet,
    Conditions,
    NamedCondition,
    Tier,
)
from kzproxy.posture.checks import PATCH_AGE, PATCHED, REPORTED
from tests.policy.samples import ENROLLED, WEDNESDAY_MORNING, allow, asked, deny, match, subject
from tests.policy.small_world import decide, policies, requests

POD = "/api/v1/namespaces/dev/pods/a"
EVERYTHING = match("*", "*")
MINUTE = timedelta(minutes=1)


def checked(observed_minutes_ago=10, ends_in_minutes=5, fact=Fact.PASSED):
    return CheckResult(
        fact=fact,
        observed_at=WEDNESDAY_MORNING - observed_minutes_ago * MINUTE,
        expires_at=WEDNESDAY_MORNING + ends_in_minutes * MINUTE,
        source="self",
    )


def laptop(**fields):
    return replace(ENROLLED, **fields)


def judge(device, conditions, *, who=None, minutes_later=0):
    at = WEDNESDAY_MORNING + minutes_later * MINUTE
    rule = allow("a", EVERYTHING, conditions=conditions)
    engine = PolicyEngine(AccessPolicySet(rules=(rule,)))
    return engine.decide(asked("GET", POD, device=device, who=who, at=at))


FIREWALL = Conditions(device=DeviceFeatures(checks=frozenset({"firewall"})))
WITH_FIREWALL = laptop(checks=(("firewall", checked()),))


def test_a_check_passes_until_it_expires_and_the_permit_says_when():
    permit = judge(WITH_FIREWALL, FIREWALL)

    assert isinstance(permit, Permit)
    assert permit.valid_until == WEDNESDAY_MORNING + 5 * MINUTE
    assert permit.depends_on >= {Dependency.DEVICE, Dependency.TIME}
    assert isinstance(judge(WITH_FIREWALL, FIREWALL, minutes_later=4), Permit)
    assert isinstance(judge(WITH_FIREWALL, FIREWALL, minutes_later=5), Deny)


def test_a_check_must_have_been_observed_lately_where_that_is_asked():
    within_12 = Conditions(
        device=DeviceFeatures(checks=frozenset({"firewall"}), checks_max_age=12 * MINUTE)
    )
    permit = judge(WITH_FIREWALL, within_12)

    assert isinstance(permit, Permit)
    assert permit.valid_until == WEDNESDAY_MORNING + 2 * MINUTE
    late = judge(WITH_FIREWALL, within_12, minutes_later=2)
    assert isinstance(late, Deny)
    assert "firewall is too old" in late.hint


@pytest.mark.parametrize(
    ("device", "why"),
    [
        (laptop(), "firewall is not known"),
        (laptop(checks=(("firewall", checked(fact=Fact.FAILED)),)), "firewall failed"),
        (laptop(checks=(("firewall", checked(fact=Fact.UNKNOWN)),)), "firewall is not known"),
        (laptop(checks=(("firewall", checked(ends_in_minutes=0)),)), "firewall is not known"),
        (NO_DEVICE, "no device certificate was presented"),
    ],
)
def test_a_check_that_does_not_pass_is_told(device, why):
    decision = judge(device, FIREWALL)

    assert isinstance(decision, Deny)
    assert why in decision.hint


@pytest.mark.parametrize("enrolled", [Fact.FAILED, Fact.UNKNOWN])
def test_what_was_known_of_a_device_that_is_not_shown_counts_for_nothing(enrolled):
    gone = replace(
        WITH_FIREWALL,
        enrolled=enrolled,
        managed=Fact.PASSED,
        state="approved",
        owner="ann",
        os="ubuntu",
        observed_at=WEDNESDAY_MORNING,
        risk="LOW",
    )
    for features in (
        DeviceFeatures(managed=True),
        DeviceFeatures(state="approved"),
        DeviceFeatures(own=True),
        DeviceFeatures(checks=frozenset({"firewall"})),
        DeviceFeatures(posture_max_age=timedelta(hours=1)),
        DeviceFeatures(platforms=(Platform(name="ubuntu"),)),
        DeviceFeatures(max_risk="MEDIUM"),
    ):
        shown = replace(gone, enrolled=Fact.PASSED)
        assert isinstance(judge(shown, Conditions(device=features)), Permit), features
        assert isinstance(judge(gone, Conditions(device=features)), Deny), features


def test_the_age_of_the_posture_is_that_of_the_newest_report():
    wanted = Conditions(device=DeviceFeatures(posture_max_age=15 * MINUTE))
    reported = laptop(observed_at=WEDNESDAY_MORNING - 10 * MINUTE)
    permit = judge(reported, wanted)

    assert isinstance(permit, Permit)
    assert permit.valid_until == WEDNESDAY_MORNING + 5 * MINUTE
    assert "reported 15m ago" in judge(reported, wanted, minutes_later=5).hint
    assert "has not reported" in judge(laptop(), wanted).hint


@pytest.mark.parametrize(
    ("version", "passes"),
    [
        *(("24.04", True), ("24.4", True), ("24.04.1", True), ("24.10", True), ("100", True)),
        *(("24", False), ("23.10", False), ("9.99", False), ("", False), ("rolling", False)),
        *(("25-rc1", False), ("24.10 LTS", False), ("24..10", False), ("٢٥", False)),
    ],
)
def test_versions_are_compared_by_their_numbers(version, passes):
    wanted = DeviceFeatures(platforms=(Platform(name="ubuntu", min_version="24.04"),))
    device = laptop(os="ubuntu", os_version=version)

    assert isinstance(judge(device, Conditions(device=wanted)), Permit) is passes


def test_zeros_at_the_end_of_a_version_say_nothing():
    assert version_of("14") == version_of("14.0") == version_of("14.0.0")
    assert version_of("0") == ()


def test_a_device_is_managed_by_its_certificate_or_by_a_check_while_that_lasts():
    wanted = Conditions(device=DeviceFeatures(managed=True))
    by_check = judge(laptop(checks=(("managed", checked()),)), wanted)

    assert judge(laptop(managed=Fact.PASSED), wanted).valid_until is None
    assert by_check.valid_until == WEDNESDAY_MORNING + 5 * MINUTE
    assert isinstance(judge(laptop(managed=Fact.FAILED), wanted), Deny)
    assert isinstance(judge(laptop(), wanted), Deny)


def test_a_session_is_as_old_as_it_is_and_not_as_its_sign_in():
    wanted = Conditions(session_max_age=30 * MINUTE)
    who = replace(
        subject(),
        method="session",
        session_began_at=WEDNESDAY_MORNING - 40 * MINUTE,
        authenticated_at=WEDNESDAY_MORNING - MINUTE,
    )

    assert not isinstance(judge(NO_DEVICE, wanted, who=who), Permit)
    young = replace(who, session_began_at=WEDNESDAY_MORNING - 20 * MINUTE)
    assert judge(NO_DEVICE, wanted, who=young).valid_until == WEDNESDAY_MORNING + 10 * MINUTE


@pytest.mark.parametrize(
    ("risk", "passes"), [("LOW", True), ("MEDIUM", True), ("HIGH", False), ("", False)]
)
def test_a_risk_that_nobody_tells_does_not_pass(risk, passes):
    who = replace(subject(), risk=risk)
    of_session = judge(NO_DEVICE, Conditions(session_max_risk="MEDIUM"), who=who)
    of_device = judge(laptop(risk=risk), Conditions(device=DeviceFeatures(max_risk="MEDIUM")))

    assert isinstance(of_session, Permit) is passes
    assert isinstance(of_device, Permit) is passes


def test_a_session_that_kzproxy_keeps_is_no_token_of_an_issuer():
    wanted = Conditions(session_kept=True)
    kept = replace(subject(), method="session")

    assert isinstance(judge(NO_DEVICE, wanted, who=kept), Permit)
    assert "kzproxy kubeconfig" in judge(NO_DEVICE, wanted).hint


def test_a_tier_ends_when_a_check_that_it_rests_on_does():
    tier = Tier(level=2, name="healthy", conditions=FIREWALL)
    for rules in (
        [allow("a", EVERYTHING, conditions=Conditions(device_tier=2))],
        [
            allow("a", EVERYTHING),
            deny("d", EVERYTHING, conditions=Conditions(device_below_tier=2)),
        ],
    ):
        engine = PolicyEngine(AccessPolicySet(rules=tuple(rules), tiers=(tier,)))
        permit = engine.decide(asked("GET", POD, device=WITH_FIREWALL))
        assert isinstance(permit, Permit)
        assert permit.valid_until == WEDNESDAY_MORNING + 5 * MINUTE
        late = asked("GET", POD, device=WITH_FIREWALL, at=WEDNESDAY_MORNING + 5 * MINUTE)
        assert isinstance(engine.decide(late), Deny)


@pytest.mark.parametrize("word", ["all_of", "none_of"])
def test_nothing_is_shown_by_a_device_that_fails(word):
    """Whoever wants to may come with one that does."""
    named = NamedCondition(name="healthy", conditions=FIREWALL)
    failing = laptop(checks=(("firewall", checked(fact=Fact.FAILED)),))
    rule = allow("a", EVERYTHING, conditions=Conditions(**{word: ("healthy",)}))
    engine = PolicyEngine(AccessPolicySet(rules=(rule,), conditions=(named,)))

    assert isinstance(engine.decide(asked("GET", POD, device=failing)), Deny)


def _less_known(draw, request):
    """Take something that is known away, or let it grow stale."""
    device, who = request.device, request.subject
    # That it does not comply is a word against it, whoever else is silent.
    against = tuple(each for each in device.checks if each[0] == "compliant")
    kept = tuple(
        (name, replace(check, expires_at=request.environment.received_at))
        if draw(st.booleans())
        else (name, replace(check, fact=Fact.UNKNOWN))
        for name, check in device.checks
        if name != "compliant" and draw(st.booleans())
    )
    device = replace(
        device,
        checks=tuple(sorted((*kept, *against), key=lambda each: each[0])),
        state=draw(st.sampled_from(["", device.state])),
        owner=draw(st.sampled_from(["", device.owner])),
        managed=draw(st.sampled_from([Fact.UNKNOWN, device.managed])),
        os=draw(st.sampled_from(["", device.os])),
        os_version=draw(st.sampled_from(["", device.os_version])),
        observed_at=draw(st.sampled_from([None, device.observed_at])),
        risk=draw(st.sampled_from(["", device.risk])),
        enrolled=draw(st.sampled_from([Fact.UNKNOWN, device.enrolled])),
    )
    subject_less = replace(
        who,
        risk=draw(st.sampled_from(["", who.risk])),
        authentication_class=draw(st.sampled_from(["", who.authentication_class])),
    )
    return replace(request, device=device, subject=subject_less)


@settings(max_examples=300)
@given(policy=policies, request=requests(), data=st.data())
def test_what_is_missing_or_stale_never_permits_more(policy, request, data):
    after = decide(policy, _less_known(data.draw, request))

    assert not isinstance(after, Permit) or isinstance(decide(policy, request), Permit)


def test_every_check_that_a_device_reports_is_known_here():
    """So that a policy that asks for it is not said to be misspelt."""
    named = (REPORTED - {PATCH_AGE}) | {PATCHED, COMPLIANT}

    assert named == {*KNOWN_CHECKS}
    page = (Path(__file__).parents[2] / "docs" / "reference" / "policy.md").read_text()
    assert [name for name in KNOWN_CHECKS if f"`{name}`" not in page] == []


NAMED_ON_TIERS = [
    NamedCondition(name="fine", conditions=Conditions(device_tier=1)),
    NamedCondition(
        name="fine",
        conditions=NO_CONDITIONS,
        when=compile_expression("device.tier >= 1", DeclaredNames()),
    ),
]


@pytest.mark.parametrize("named", NAMED_ON_TIERS, ids=["conditions", "when"])
@pytest.mark.parametrize("by_another", [False, True])
def test_a_tier_that_is_asked_for_by_a_named_condition_ends_with_its_checks(named, by_another):
    asked_for = Conditions(all_of=("fine",))
    others = (named,)
    if by_another:
        others = (named, NamedCondition(name="finer", conditions=asked_for))
        asked_for = Conditions(any_of=("finer",))
    engine = PolicyEngine(
        AccessPolicySet(
            rules=(allow("a", EVERYTHING, conditions=asked_for),),
            conditions=others,
            tiers=(Tier(level=1, name="good", conditions=FIREWALL),),
        )
    )
    now = asked("GET", POD, device=WITH_FIREWALL)
    later = replace(
        now,
        environment=replace(now.environment, received_at=WEDNESDAY_MORNING + 5 * MINUTE),
    )
    permit = engine.decide(now)

    assert isinstance(permit, Permit)
    assert permit.depends_on >= {Dependency.DEVICE, Dependency.TIME}
    assert permit.valid_until is not None
    assert permit.valid_until <= later.environment.received_at
    assert isinstance(engine.decide(later), Deny)
