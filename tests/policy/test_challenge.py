"""Where nothing but a fresher or stronger sign-in is missing, and how its user is told."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from kzproxy.policy.decision import Cause, Challenge, Deny, Dependency, Permit
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.expression import DeclaredNames, compile_expression
from kzproxy.policy.obligations import MultiFactor, Obligations
from kzproxy.policy.rules import AccessPolicySet, Conditions, NamedCondition, SignIn, Tier
from kzproxy.policy.step_up import StepUp, combined
from tests.policy.samples import (
    ENROLLED,
    OFFICE,
    WEDNESDAY_MORNING,
    allow,
    asked,
    deny,
    match,
    subject,
)

POD = "/api/v1/namespaces/prod/pods/a"
EVERYTHING = match("*", "*")
HOUR = timedelta(hours=1)
STRONG = frozenset({"phr", "phrh"})
FRESH = NamedCondition(
    name="fresh", conditions=Conditions(sign_in=SignIn(max_age=HOUR, classes=STRONG))
)
KNOWN = NamedCondition(name="known", conditions=Conditions(device_enrolled=True))
TIERS = (
    Tier(level=1, name="known", conditions=Conditions(device_enrolled=True)),
    Tier(level=2, name="strong", conditions=Conditions(device_enrolled=True, all_of=("fresh",))),
)


def person(hours_ago=2.0, acr="pwd", **fields):
    return replace(
        subject(),
        authenticated_at=WEDNESDAY_MORNING - timedelta(hours=hours_ago),
        authentication_class=acr,
        **fields,
    )


def judge(*rules, who=None, device=ENROLLED):
    policies = AccessPolicySet(rules=rules, conditions=(FRESH, KNOWN), tiers=TIERS)
    return PolicyEngine(policies).decide(asked("GET", POD, who=who or person(), device=device))


def test_a_challenge_names_the_rule_the_sign_in_and_the_one_command():
    rule = allow(
        "operators",
        EVERYTHING,
        obligations=Obligations(mfa=MultiFactor(max_age=HOUR, classes=STRONG)),
        message="Ask olga.",
    )
    decision = judge(rule)

    assert isinstance(decision, Challenge)
    assert (decision.cause, decision.rule, decision.unmet) == (
        Cause.SIGN_IN,
        "operators",
        ("mfa",),
    )
    assert decision.step_up == StepUp(acr_values=("phr", "phrh"), max_age=HOUR)
    assert decision.hint == (
        "rule operators asks for a sign-in at most 1h old and of class phr or phrh (yours is 2h"
        " old of class pwd); sign in again with `kzproxy login --acr 'phr phrh' --max-age 1h`."
        " Ask olga."
    )
    assert decision.depends_on >= {Dependency.AUTHENTICATION, Dependency.TIME}


SIGN_IN_MISSING = {
    "mfa": {"obligations": Obligations(mfa=MultiFactor(classes=STRONG))},
    "methods": {"obligations": Obligations(mfa=MultiFactor(methods=frozenset({"hwk"})))},
    "reauth": {"obligations": Obligations(reauth=HOUR)},
    "both": {"obligations": Obligations(reauth=HOUR, mfa=MultiFactor(classes=STRONG))},
    "condition": {"conditions": Conditions(sign_in=SignIn(classes=STRONG, max_age=HOUR))},
    "session": {"conditions": Conditions(session_max_age=HOUR)},
    "all": {"conditions": Conditions(all_of=("fresh", "known"))},
    "any": {"conditions": Conditions(any_of=("fresh",))},
    "tier": {"conditions": Conditions(device_tier=2)},
    "condition and obligation": {
        "conditions": Conditions(sign_in=SignIn(max_age=HOUR)),
        "obligations": Obligations(mfa=MultiFactor(classes=STRONG)),
    },
}


@pytest.mark.parametrize("fields", SIGN_IN_MISSING.values(), ids=SIGN_IN_MISSING)
def test_whatever_asks_for_the_sign_in_is_a_challenge_and_is_met_by_it(fields):
    rule = allow("a", EVERYTHING, **fields)
    decision = judge(rule)

    assert isinstance(decision, Challenge)
    acr = next(iter(decision.step_up.acr_values), "pwd")
    methods = decision.step_up.methods[:1]
    after = person(0, acr, authentication_methods=methods)
    assert isinstance(judge(rule, who=after), Permit)


MORE_MISSING = {
    "a reason": {"obligations": Obligations(reason=True, reauth=HOUR)},
    "a bound token": {"obligations": Obligations(bound=True, reauth=HOUR)},
    "a network": {"conditions": Conditions(networks=(OFFICE,), session_max_age=HOUR)},
    "another issuer": {
        "conditions": Conditions(
            sign_in=SignIn(max_age=HOUR, issuers=frozenset({"https://other.example"}))
        )
    },
    "no sign-in at all": {"conditions": Conditions(none_of=("known",), session_max_age=HOUR)},
    "two classes at once": {
        "conditions": Conditions(sign_in=SignIn(classes=frozenset({"phr"}))),
        "obligations": Obligations(mfa=MultiFactor(classes=frozenset({"sc"}))),
    },
    "a risk that is lower": {"conditions": Conditions(session_max_risk="LOW")},
}


@pytest.mark.parametrize("fields", MORE_MISSING.values(), ids=MORE_MISSING)
def test_where_more_is_missing_it_stays_a_denial(fields):
    assert isinstance(judge(allow("a", EVERYTHING, **fields)), Deny)


def test_a_deny_rule_is_no_challenge_whatever_it_asks():
    rules = (
        allow("a", EVERYTHING, obligations=Obligations(reauth=HOUR)),
        deny("d", EVERYTHING, conditions=Conditions(none_of=("fresh",))),
    )

    assert judge(*rules).cause is Cause.DENY_RULE


def test_a_deny_rule_that_the_sign_in_would_bring_about_keeps_it_a_denial():
    rules = (
        allow("a", EVERYTHING, obligations=Obligations(reauth=HOUR)),
        deny("d", EVERYTHING, conditions=Conditions(all_of=("fresh-alone",))),
    )
    fresh_alone = NamedCondition(
        name="fresh-alone", conditions=Conditions(sign_in=SignIn(max_age=HOUR))
    )
    engine = PolicyEngine(AccessPolicySet(rules=rules, conditions=(fresh_alone,)))

    assert isinstance(engine.decide(asked("GET", POD, who=person())), Deny)


def test_an_expression_is_not_looked_into():
    when = compile_expression('authentication.acr == "phr"', DeclaredNames())

    assert isinstance(judge(allow("a", EVERYTHING, when=when)), Deny)


AT_LOW_RISK = compile_expression('device.risk == "LOW"', DeclaredNames())


@pytest.mark.parametrize(
    "tiers",
    [
        # It is not looked at while a higher one holds.
        (
            Tier(level=1, name="risky", when=AT_LOW_RISK),
            Tier(level=2, name="known", conditions=Conditions(device_enrolled=True)),
        ),
        (
            Tier(level=1, name="strong", conditions=Conditions(all_of=("known", "fresh"))),
            Tier(level=2, name="risky", when=AT_LOW_RISK),
        ),
        (
            Tier(level=1, name="risky", when=AT_LOW_RISK),
            Tier(level=2, name="strong", conditions=Conditions(all_of=("known", "fresh"))),
        ),
    ],
    ids=["held", "above", "below"],
)
def test_a_tier_that_cannot_be_judged_stands_in_no_sign_ins_way(tiers):
    rule = allow(
        "a", EVERYTHING, conditions=Conditions(device_tier=1), obligations=Obligations(reauth=HOUR)
    )
    engine = PolicyEngine(AccessPolicySet(rules=(rule,), conditions=(FRESH, KNOWN), tiers=tiers))

    before = engine.decide(asked("GET", POD, who=person(), device=ENROLLED))
    after = engine.decide(asked("GET", POD, who=person(0, "phr"), device=ENROLLED))
    assert (type(before), type(after)) == (Challenge, Permit)


def test_a_tier_that_cannot_be_judged_is_no_sign_ins_to_mend():
    rule = allow(
        "a", EVERYTHING, conditions=Conditions(device_tier=1), obligations=Obligations(reauth=HOUR)
    )
    tiers = (Tier(level=1, name="risky", when=AT_LOW_RISK),)
    engine = PolicyEngine(AccessPolicySet(rules=(rule,), tiers=tiers))

    assert isinstance(engine.decide(asked("GET", POD, who=person(), device=ENROLLED)), Deny)


@pytest.mark.parametrize(
    "who",
    [
        person(username="system:serviceaccount:ci:deployer"),
        person(extra=(("kzproxy.dev/spiffe-id", ("spiffe://example.org/ci",)),)),
    ],
)
def test_a_workload_cannot_sign_in(who):
    rule = allow("a", EVERYTHING, obligations=Obligations(reauth=HOUR))

    assert isinstance(judge(rule, who=who), Deny)


def test_of_several_rules_the_first_that_a_sign_in_meets_is_named():
    decision = judge(
        allow("reason", EVERYTHING, obligations=Obligations(reauth=HOUR, reason=True)),
        allow("weak", EVERYTHING, obligations=Obligations(reauth=HOUR)),
        allow("strong", EVERYTHING, obligations=Obligations(mfa=MultiFactor(classes=STRONG))),
    )

    assert isinstance(decision, Challenge)
    assert decision.rule == "weak"
    assert decision.step_up.command == "kzproxy login --max-age 1h"


def test_a_sign_in_of_which_nobody_knows_is_asked_for_again():
    who = replace(subject(), authenticated_at=None)
    decision = judge(allow("a", EVERYTHING, obligations=Obligations(reauth=HOUR)), who=who)

    assert isinstance(decision, Challenge)
    assert "your issuer does not say when you signed in" in decision.hint


def test_the_session_is_told_where_kzproxy_keeps_one():
    who = person(0.1, method="session", session_began_at=WEDNESDAY_MORNING - timedelta(hours=13))
    decision = judge(allow("a", EVERYTHING, conditions=Conditions(session_max_age=HOUR)), who=who)

    assert isinstance(decision, Challenge)
    assert "in a session of 13h" in decision.hint


@pytest.mark.parametrize(
    ("wanted", "command"),
    [
        (StepUp(), "kzproxy login"),
        (StepUp(acr_values=("phr",)), "kzproxy login --acr phr"),
        (StepUp(acr_values=("a b; rm",)), "kzproxy login --acr 'a b; rm'"),
        (StepUp(max_age=timedelta(minutes=90)), "kzproxy login --max-age 90m"),
        (StepUp(max_age=timedelta(seconds=61)), "kzproxy login --max-age 61s"),
        (StepUp(methods=("hwk",)), "kzproxy login --max-age 0s"),
        (StepUp(methods=("hwk",), max_age=HOUR), "kzproxy login --max-age 1h"),
    ],
)
def test_the_command_asks_for_what_is_wanted(wanted, command):
    assert wanted.command == command


def test_two_sign_ins_together_are_as_strong_as_both():
    one = StepUp(acr_values=("a", "b"), max_age=HOUR)
    other = StepUp(acr_values=("b", "c"), methods=("hwk",), max_age=2 * HOUR)

    assert combined(one, other) == StepUp(acr_values=("b",), methods=("hwk",), max_age=HOUR)
    assert combined(StepUp(acr_values=("a",)), StepUp(acr_values=("c",))) is None
