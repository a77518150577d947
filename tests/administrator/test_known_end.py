from datetime import timedelta

import pytest
from msgspec.structs import replace

from kzproxy.administrator.known_end import known_end
from kzproxy.policy.calendar import Calendar, Holidays
from kzproxy.policy.decision import Permit
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.rules import AccessPolicySet, Conditions
from tests.policy.samples import (
    OFFICE_HOURS,
    WEDNESDAY_MORNING,
    allow,
    asked,
    match,
    subject,
    window,
)

PODS = match("get list watch", "pods")
# At 20:00 in Prague.
CLOSES = WEDNESDAY_MORNING.replace(hour=19, minute=0, second=0, microsecond=0)


def permit(
    *, session: bool = False, time: tuple[Calendar, ...] = (), max_age: timedelta | None = None
) -> Permit:
    ends = WEDNESDAY_MORNING + timedelta(hours=8)
    who = replace(subject(), expires_at=ends, issued_at=WEDNESDAY_MORNING)
    if session:
        who = replace(who, method="session")
    conditions = Conditions(time=time, session_max_age=max_age)
    engine = PolicyEngine(AccessPolicySet(rules=(allow("pods", PODS, conditions=conditions),)))
    decision = engine.decide(asked("GET", "/api/v1/namespaces/dev/pods", who=who))
    assert isinstance(decision, Permit)
    return decision


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (timedelta(minutes=5, seconds=1), ""),
        (timedelta(minutes=5), "your session ends in 5m00s; run `kzproxy login`"),
        (timedelta(seconds=59), "your session ends in 59s; run `kzproxy login`"),
    ],
)
def test_a_user_is_told_before_their_session_ends(left: timedelta, said: str) -> None:
    one = permit(session=True)
    assert known_end(one, one.attributes.subject.expires_at - left) == said


def test_a_token_that_is_renewed_by_itself_is_nothing_to_tell() -> None:
    one = permit()
    assert known_end(one, one.attributes.subject.expires_at - timedelta(minutes=1)) == ""


def test_a_user_is_told_before_a_time_window_closes() -> None:
    one = permit(time=(OFFICE_HOURS,))
    assert one.valid_until == CLOSES
    assert known_end(one, CLOSES - timedelta(minutes=6)) == ""
    assert known_end(one, CLOSES - timedelta(minutes=4)) == "rule pods permits this for 4m00s more"


def test_the_moment_to_look_at_a_calendar_again_is_nothing_to_tell() -> None:
    holidays = Holidays(country="X", subdivision="", include=lambda _: False)
    each_day = window("w", "UTC", "Mon Tue Wed Thu Fri Sat Sun", "00:00", "24:00")
    one = permit(time=(replace(each_day, holidays=holidays),))
    assert one.valid_until is not None
    assert known_end(one, one.valid_until - timedelta(minutes=1)) == ""


def test_an_age_that_runs_out_is_nothing_to_tell() -> None:
    one = permit(max_age=timedelta(hours=1, seconds=17))
    assert one.valid_until is not None
    assert known_end(one, one.valid_until - timedelta(minutes=1)) == ""
