"""What a refused user is told."""

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from kzproxy.attributes.device import DevicePosture, Fact
from kzproxy.policy.calendar import Holidays
from kzproxy.policy.decision import Deny
from kzproxy.policy.expression import DeclaredNames, compile_expression
from kzproxy.policy.rules import Conditions
from tests.policy.samples import (
    OFFICE,
    OFFICE_HOURS,
    WEDNESDAY_MORNING,
    allow,
    asked,
    decide,
    deny,
    match,
    window,
)

PODS = "/api/v1/namespaces/prod/pods"
PODS_ALL = match("*", "pods")
SUNDAY = datetime(2026, 1, 18, 12, 0, tzinfo=UTC)
EXPIRED = DevicePosture(enrolled=Fact.FAILED, reason="the device certificate ended yesterday")
ALL_WEEK = "Mon Tue Wed Thu Fri Sat Sun"
RARE = window("rare", "UTC", "Wed", "09:00", "09:30")


def hint(rules, **changes):
    decision = decide(rules, asked("GET", PODS, **changes))
    assert isinstance(decision, Deny)
    return decision.hint


@pytest.mark.parametrize(
    ("conditions", "changes", "expected"),
    [
        (
            Conditions(networks=(OFFICE,)),
            {},
            "rule r wants network office (you come from 192.0.2.7)",
        ),
        (
            Conditions(time=(OFFICE_HOURS,)),
            {"at": SUNDAY},
            "rule r wants time office-hours (opens Mon 07:00 Europe/Prague)",
        ),
        (
            Conditions(time=(RARE,)),
            {"at": WEDNESDAY_MORNING},
            "rule r wants time rare (opens Wed 2026-01-21 09:00 UTC)",
        ),
        (
            Conditions(device_enrolled=True),
            {"device": EXPIRED},
            "rule r wants an enrolled device (the device certificate ended yesterday)",
        ),
        (
            Conditions(device_enrolled=True),
            {"device": DevicePosture(enrolled=Fact.UNKNOWN)},
            "rule r wants an enrolled device (enrolled is unknown)",
        ),
        (
            Conditions(networks=(OFFICE,), time=(OFFICE_HOURS, RARE)),
            {"at": SUNDAY},
            "rule r wants network office (you come from 192.0.2.7) and time office-hours or rare"
            " (opens Mon 07:00 Europe/Prague)",
        ),
    ],
)
def test_a_near_miss_says_what_the_rule_wants(conditions, changes, expected):
    assert hint([allow("r", match("*", "*"), conditions=conditions)], **changes) == expected


def test_where_nobody_knows_when_it_turns_no_moment_is_told_as_the_one():
    """Holidays might end what the windows do not: nobody looks further than some weeks."""
    holidays = Holidays(country="X", subdivision="", include=lambda _: True)
    closed = replace(OFFICE_HOURS, holidays=holidays)
    allowing = allow("r", match("*", "*"), conditions=Conditions(time=(closed,)))
    assert hint([allowing]) == (
        "rule r wants time office-hours (opens not before Mon 2026-02-23 10:59 Europe/Prague)"
    )

    halves = ("00:00", "12:00"), ("12:00", "24:00")
    never_closed = tuple(window("half", "UTC", ALL_WEEK, *half) for half in halves)
    denying = deny("d", match("*", "*"), conditions=Conditions(time=never_closed))
    assert hint([denying]) == "rule d denies this until at least Mon 2026-02-23 09:59 UTC"


def test_a_near_miss_ends_with_the_message_of_the_rule():
    rule = allow("r", match("*", "*"), conditions=Conditions(networks=(OFFICE,)), message="Use it.")

    assert hint([rule]).endswith("(you come from 192.0.2.7). Use it.")


def test_the_rule_that_lacks_least_is_the_nearest():
    rules = [
        allow("far", match("*", "*"), conditions=Conditions(networks=(OFFICE,), time=(RARE,))),
        allow("near", match("*", "*"), conditions=Conditions(time=(OFFICE_HOURS,))),
    ]

    assert hint(rules, at=SUNDAY).startswith("rule near wants")


@pytest.mark.parametrize(
    ("written", "target", "expected"),
    [
        (
            match("list", "pods", namespaces="dev dev-*"),
            PODS,
            "rule r covers namespaces dev, dev-*, not prod",
        ),
        (
            match("list", "pods", namespaces="dev"),
            "/api/v1/pods",
            "rule r covers namespaces dev, not a request without a namespace",
        ),
        (match("get", "pods", names="a b"), f"{PODS}/c", "rule r covers names a, b, not c"),
        (
            match("list", "pods", names="a"),
            PODS,
            "rule r covers names a, not a request without a name",
        ),
        (match("list", "secrets"), PODS, ""),
        (match("get", urls="/version"), "/healthz", ""),
    ],
)
def test_a_rule_for_other_objects_says_which(written, target, expected):
    decision = decide([allow("r", written)], asked("GET", target))

    assert decision.hint == expected
    assert decision.rule == ("r" if expected else "")


@pytest.mark.parametrize(
    ("conditions", "changes", "expected"),
    [
        (Conditions(), {}, "rule d denies this"),
        (
            Conditions(networks=(OFFICE,)),
            {"come_from": "203.0.113.5"},
            "rule d denies this from network office (you come from 203.0.113.5)",
        ),
        (
            Conditions(time=(OFFICE_HOURS,)),
            {},
            "rule d denies this until Wed 20:00 Europe/Prague",
        ),
        (
            Conditions(device_enrolled=False),
            {"device": EXPIRED},
            "rule d denies this without an enrolled device (the device certificate ended"
            " yesterday)",
        ),
    ],
)
def test_a_deny_rule_says_when_it_denies(conditions, changes, expected):
    rules = [allow("a", match("*", "*")), deny("d", match("*", "*"), conditions=conditions)]

    assert hint(rules, **changes) == expected


def test_a_deny_rule_that_never_ends_says_so():
    always = window("always", "UTC", ALL_WEEK, "00:00", "24:00")
    rule = deny("d", match("*", "*"), conditions=Conditions(time=(always,)))

    assert hint([rule]) == "rule d denies this at all times"


def test_an_expression_is_said_to_hold_where_it_denies_and_not_to_where_it_lets_nobody_in():
    when = compile_expression('request.namespace == "prod"', DeclaredNames())
    denied = hint([allow("a", PODS_ALL), deny("d", PODS_ALL, when=when)])
    other = compile_expression('request.namespace == "dev"', DeclaredNames())

    assert denied == "rule d denies this for its `when` (which holds)"
    assert (
        hint([allow("a", PODS_ALL, when=other)]) == "rule a wants its `when` (which does not hold)"
    )
