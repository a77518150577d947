"""The conditions of one rule."""

from datetime import timedelta

import pytest

from kzproxy.policy.condition_check import CannotBeJudged, Compiler, ConditionCheck
from kzproxy.policy.decision import Dependency
from kzproxy.policy.place_and_time import InTime
from kzproxy.policy.rules import (
    NO_CONDITIONS,
    AccessPolicySet,
    Conditions,
    NamedCondition,
    ObjectFeatures,
)
from kzproxy.policy.view import Definitions, RequestView
from tests.policy.samples import (
    ENROLLED,
    OFFICE,
    OFFICE_HOURS,
    WEDNESDAY_MORNING,
    asked,
)

TAME = ObjectFeatures(privileged=False)
ALL = Conditions(networks=(OFFICE,), time=(OFFICE_HOURS,), device_enrolled=True)


def check_of(conditions: Conditions) -> ConditionCheck:
    return Compiler.of(AccessPolicySet(rules=())).check(conditions, None)


def seen(*args: object, **fields: object) -> RequestView:
    return RequestView(asked(*args, **fields), Definitions((), ()))


def test_no_conditions_rest_on_the_subject_alone():
    check = check_of(NO_CONDITIONS)

    assert check.depends_on == {Dependency.IDENTITY}
    assert check.unmet(seen("GET", "/version"), unknown_is=False) == ()


def test_every_unmet_condition_is_named():
    check = check_of(ALL)
    at_night = WEDNESDAY_MORNING + timedelta(hours=12)
    unmet = check.unmet(seen("GET", "/version", at=at_night), unknown_is=False)

    about = (Dependency.NETWORK, Dependency.TIME, Dependency.DEVICE)
    assert check.depends_on == {Dependency.IDENTITY, *about}
    assert tuple(condition.about for condition in unmet) == about


def test_conditions_that_hold_are_not_named():
    view = seen("GET", "/version", come_from="2001:db8::9", device=ENROLLED)

    assert check_of(ALL).unmet(view, unknown_is=False) == ()


def test_a_span_is_kept_while_it_lasts_and_no_longer():
    condition = InTime((OFFICE_HOURS,))
    morning = condition.span(WEDNESDAY_MORNING)

    assert condition.span(WEDNESDAY_MORNING + timedelta(hours=1)) is morning
    assert condition.span(morning.until - timedelta(microseconds=1)) is morning
    assert condition.span(morning.until).is_open is False
    assert condition.span(WEDNESDAY_MORNING) == morning


def test_what_fails_whatever_the_object_is_needs_none():
    """Also where it stands behind a condition on the object, and looks at it for another."""
    named = NamedCondition(name="tame", conditions=Conditions(api_object=TAME))
    site = NamedCondition(name="on-site", conditions=Conditions(networks=(OFFICE,)))
    compiler = Compiler.of(AccessPolicySet(rules=(), conditions=(named, site)))
    check = compiler.check(Conditions(api_object=TAME, all_of=("tame", "on-site")), None)
    away = RequestView(asked("GET", "/version"), compiler.definitions)
    here = RequestView(asked("GET", "/version", come_from="2001:db8::9"), compiler.definitions)

    for unknown_is in (True, False):
        (unmet,) = check.unmet(away, unknown_is=unknown_is)
        assert unmet.name == "conditions"
        with pytest.raises(CannotBeJudged):
            check.unmet(here, unknown_is=unknown_is)
