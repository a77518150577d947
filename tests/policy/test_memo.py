"""What the engine remembers of requests, within bounds."""

from datetime import timedelta
from ipaddress import ip_address

import msgspec
import pytest
from msgspec.structs import replace

from kzproxy.attributes.api_object import ApiObject
from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import NO_DEVICE
from kzproxy.attributes.environment import Environment
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.policy.calendar import Calendar
from kzproxy.policy.decision import Deny, Permit
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.memo import DecisionMemo, key_of
from kzproxy.policy.rules import AccessPolicySet, Conditions, ObjectFeatures
from tests.memory import held_bytes
from tests.policy.samples import (
    OFFICE_HOURS,
    WEDNESDAY_MORNING,
    allow,
    dated,
    deny,
    match,
    subject,
)

ADDRESS = ip_address("192.0.2.7")


def asked(target: str, user_agent: str) -> Attributes:
    environment = Environment(
        received_at=WEDNESDAY_MORNING, source_address=ADDRESS, user_agent=user_agent
    )
    info = RequestInfo.parse("GET", target)
    return Attributes(subject=subject(), device=NO_DEVICE, request=info, environment=environment)


def test_long_queries_that_are_denied_are_remembered_within_a_bound() -> None:
    query = "&".join(["ab=cd"] * 1300)

    def filled() -> PolicyEngine:
        engine = PolicyEngine(AccessPolicySet(rules=()))
        for number in range(130):
            engine.decide(asked(f"/version/{number}?{query}", ""))
        return engine

    assert held_bytes(filled) < 24 * 1024 * 1024


def test_long_user_agents_are_too() -> None:
    def filled() -> PolicyEngine:
        engine = PolicyEngine(AccessPolicySet(rules=()))
        for number in range(500):
            engine.decide(asked("/version", f"{number}" * 40_000))
        return engine

    assert held_bytes(filled) < 32 * 1024 * 1024


def test_no_more_decisions_are_remembered_than_the_memo_has_room_for() -> None:
    def filled(count: int) -> PolicyEngine:
        engine = PolicyEngine(AccessPolicySet(rules=()))
        for number in range(count):
            engine.decide(asked(f"/version/{number}", ""))
        return engine

    assert held_bytes(lambda: filled(10_000)) < 2 * held_bytes(lambda: filled(1_000))


@pytest.mark.parametrize("effect", ["allow", "deny"])
def test_nothing_is_remembered_from_after_the_clock_was_set_back(effect: str) -> None:
    """Also where time alone would never have ended it any more."""
    begin, end = ("2026-01-14", "9999-12-31") if effect == "allow" else ("0001-01-01", "2026-01-14")
    calendar = Calendar(
        name="c",
        zone_name=OFFICE_HOURS.zone_name,
        zone=OFFICE_HOURS.zone,
        dated=(dated(begin, end),),
    )
    everything, then = match("*", urls="*"), Conditions(time=(calendar,))
    rules = (
        (allow("a", everything, conditions=then),)
        if effect == "allow"
        else (allow("a", everything), deny("d", everything, conditions=then))
    )
    engine = PolicyEngine(AccessPolicySet(rules=rules))
    known = asked("/version", "")
    permit = engine.decide(known)
    assert isinstance(permit, Permit)
    assert permit.valid_until is None
    assert engine.decide(known) is permit
    before = replace(known.environment, received_at=WEDNESDAY_MORNING - timedelta(days=1))
    assert isinstance(engine.decide(replace(known, environment=before)), Deny)


AT_NIGHT = WEDNESDAY_MORNING + timedelta(hours=12)
VERSION = match("get", urls="/version")


def at(attributes: Attributes, moment) -> Attributes:
    """Return the same at another moment; all else is the very same objects."""
    environment = replace(attributes.environment, received_at=moment)
    return replace(attributes, environment=environment)


@pytest.mark.parametrize("effect", [allow, deny])
def test_time_ends_what_is_remembered_and_brings_it_back(effect) -> None:
    rules = (
        effect("hours", VERSION, conditions=Conditions(time=(OFFICE_HOURS,))),
        *((allow("all", VERSION),) if effect is deny else ()),
    )
    engine = PolicyEngine(AccessPolicySet(rules=rules))
    request = asked("/version", "")
    by_day = Permit if effect is allow else Deny
    moments = [WEDNESDAY_MORNING, AT_NIGHT, WEDNESDAY_MORNING, AT_NIGHT]

    found = [isinstance(engine.decide(at(request, moment)), by_day) for moment in moments]

    assert found == [True, False, True, False]


def test_what_was_decided_of_one_object_says_nothing_of_another_nor_of_none() -> None:
    tame = allow(
        "tame", match("*", "*"), conditions=Conditions(api_object=ObjectFeatures(privileged=False))
    )
    engine = PolicyEngine(AccessPolicySet(rules=(tame,)))
    request = replace(
        asked("/version", ""), request=RequestInfo.parse("GET", "/api/v1/namespaces/d/pods/p")
    )

    def judged(known: ApiObject | None) -> bool:
        return isinstance(engine.decide(replace(request, api_object=known)), Permit)

    wild, good = ApiObject(privileged=True), ApiObject(privileged=False)
    assert [judged(one) for one in (good, None, wild, good, None)] == [
        True,
        False,
        False,
        True,
        False,
    ]


def test_a_memo_keeps_nothing_of_an_object_and_gives_nothing_for_one() -> None:
    request = asked("/version", "")
    known = replace(request, api_object=ApiObject())
    engine = PolicyEngine(AccessPolicySet(rules=(allow("all", VERSION),)))
    memo, key = DecisionMemo(), key_of(request)

    memo.keep(key, engine.decide_afresh(known))
    assert memo.recall(key, request) is None
    memo.keep(key, engine.decide_afresh(request))
    assert memo.recall(key, request) is not None
    assert memo.recall(key, known) is None


def test_a_denial_for_a_rule_that_could_not_be_judged_is_not_remembered() -> None:
    request = asked("/version", "")
    engine = PolicyEngine(AccessPolicySet(rules=()))
    memo, key = DecisionMemo(), key_of(request)
    denied = engine.decide_afresh(request)
    assert isinstance(denied, Deny)

    memo.keep(key, msgspec.structs.replace(denied, errors=(("r", "it failed"),)))
    assert memo.recall(key, request) is None
    memo.keep(key, denied)
    assert memo.recall(key, request) is denied
