"""The conditions of one rule."""

from datetime import timedelta

from kzproxy.policy.conditions import ConditionCheck
from kzproxy.policy.decision import Dependency
from kzproxy.policy.rules import NO_CONDITIONS, Conditions
from tests.policy.samples import (
    ENROLLED,
    OFFICE,
    OFFICE_HOURS,
    WEDNESDAY_MORNING,
    asked,
)

ALL = Conditions(networks=(OFFICE,), time=(OFFICE_HOURS,), device_enrolled=True)


def test_no_conditions_rest_on_the_subject_alone():
    check = ConditionCheck(NO_CONDITIONS)

    assert check.depends_on == {Dependency.IDENTITY}
    assert check.unmet(asked("GET", "/version")) == ()


def test_every_unmet_condition_is_named():
    check = ConditionCheck(ALL)
    at_night = WEDNESDAY_MORNING + timedelta(hours=12)

    assert check.depends_on == set(Dependency)
    assert check.unmet(asked("GET", "/version", at=at_night)) == (
        Dependency.NETWORK,
        Dependency.TIME,
        Dependency.DEVICE,
    )


def test_conditions_that_hold_are_not_named():
    attributes = asked("GET", "/version", come_from="2001:db8::9", device=ENROLLED)

    assert ConditionCheck(ALL).unmet(attributes) == ()


def test_a_span_is_kept_while_it_lasts_and_no_longer():
    check = ConditionCheck(ALL)
    morning = check.span(WEDNESDAY_MORNING)

    assert check.span(WEDNESDAY_MORNING + timedelta(hours=1)) is morning
    assert check.span(morning.until - timedelta(microseconds=1)) is morning
    assert check.span(morning.until).is_open is False
    assert check.span(WEDNESDAY_MORNING) == morning
