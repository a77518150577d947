"""Whether a session is where it was signed in, as conditions and expressions see it."""

import pytest
from msgspec.structs import replace

from kzproxy.policy.decision import Dependency, Permit
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.expression import DeclaredNames, compile_expression
from kzproxy.policy.mending import steps
from kzproxy.policy.rules import AccessPolicySet, Conditions, NamedCondition
from kzproxy.policy.session_place import address_changed, country_changed
from tests.policy.samples import allow, asked, decide, deny, match, subject

ALL = match("*", "*")
ADDRESS = Conditions(session_same_address=True)
COUNTRY = Conditions(session_same_country=True)
HOME, AWAY = "192.0.2.7", "198.51.100.7"


def at(own, signed_in="", seen="", countries=("", "", "")):
    who = replace(subject(), method="session", signed_in_from=signed_in, seen_from=seen)
    question = asked("GET", "/api/v1/namespaces/dev/pods", who=who, come_from=own)
    country, sign_in_country, seen_country = countries
    environment = replace(
        question.environment,
        country=country,
        sign_in_country=sign_in_country,
        seen_country=seen_country,
    )
    return replace(question, environment=environment)


@pytest.mark.parametrize(
    ("question", "changed"),
    [
        pytest.param(at(HOME, HOME), False, id="at-home"),
        pytest.param(at(HOME, HOME, HOME), False, id="seen-at-home"),
        pytest.param(at(AWAY, HOME), True, id="away"),
        pytest.param(at(AWAY, HOME, AWAY), True, id="seen-away"),
        pytest.param(at(HOME, HOME, AWAY), True, id="a-stream-whose-session-has-gone"),
        pytest.param(at(HOME), None, id="nobody-knows"),
        pytest.param(at(HOME, "", AWAY), None, id="nobody-knows-where-it-began"),
    ],
)
def test_a_session_has_moved_where_any_of_it_has(question, changed):
    assert address_changed(question) is changed
    decision = decide([allow("r", ALL, conditions=ADDRESS)], question)

    assert isinstance(decision, Permit) is (changed is False)
    assert Dependency.MOVED in decision.depends_on or changed is not False


@pytest.mark.parametrize(
    ("question", "changed"),
    [
        pytest.param(at(HOME, HOME), False, id="at-home-in-no-known-country"),
        pytest.param(at(AWAY, HOME, AWAY, ("DE", "DE", "DE")), False, id="another-address"),
        pytest.param(at(AWAY, HOME, AWAY, ("AT", "DE", "AT")), True, id="another-country"),
        pytest.param(at(HOME, HOME, AWAY, ("DE", "DE", "AT")), True, id="a-stream"),
        pytest.param(at(AWAY, HOME, AWAY, ("", "DE", "")), None, id="unknown-here"),
        pytest.param(at(AWAY, HOME, AWAY, ("DE", "", "DE")), None, id="unknown-there"),
        pytest.param(at(HOME, HOME, AWAY, ("DE", "DE", "")), None, id="seen-unknown"),
        pytest.param(at(AWAY, HOME, HOME, ("AT", "DE", "")), True, id="away-and-seen-unknown"),
        pytest.param(at(AWAY, HOME, HOME, ("", "DE", "AT")), True, id="unknown-and-seen-away"),
        pytest.param(at(HOME, "", "", ("DE", "DE", "DE")), False, id="countries-alone"),
    ],
)
def test_the_country_of_a_session(question, changed):
    assert country_changed(question) is changed
    allowed = decide([allow("r", ALL, conditions=COUNTRY)], question)
    assert isinstance(allowed, Permit) is (changed is False)


def test_a_session_of_which_nobody_can_tell_escapes_no_deny():
    named = (NamedCondition(name="stays", conditions=ADDRESS),)
    rules = (allow("r", ALL), deny("d", ALL, conditions=Conditions(none_of=("stays",))))
    engine = PolicyEngine(AccessPolicySet(rules=rules, conditions=named))

    assert isinstance(engine.decide(at(HOME, HOME)), Permit)
    assert not isinstance(engine.decide(at(HOME)), Permit)
    assert engine.follows_sessions


def test_expressions_may_ask_it():
    when = compile_expression("!session.addressChanged", DeclaredNames())

    assert when.depends_on == {Dependency.AUTHENTICATION, Dependency.MOVED}
    assert isinstance(decide([allow("r", ALL, when=when)], at(HOME, HOME)), Permit)
    assert not isinstance(decide([allow("r", ALL, when=when)], at(AWAY, HOME)), Permit)
    unknown = decide([allow("r", ALL, when=when)], at(HOME))
    assert unknown.errors


def test_expressions_may_ask_for_the_country_and_sessions_are_followed_for_them():
    when = compile_expression("!session.countryChanged", DeclaredNames())

    asks = {Dependency.AUTHENTICATION, Dependency.MOVED, Dependency.LOCATION}
    assert when.depends_on == asks
    assert PolicyEngine(AccessPolicySet(rules=(allow("r", ALL, when=when),))).follows_sessions


def test_its_user_is_told_to_sign_in_where_they_are():
    policies = AccessPolicySet(rules=(allow("r", ALL, conditions=ADDRESS),))
    engine = PolicyEngine(policies)
    question = at(AWAY, HOME, AWAY, ("AT", "DE", "AT"))

    hint = engine.decide(question).hint
    assert f"signed in from {HOME} in DE, and is at {AWAY}; sign in again" in hint
    (step,) = steps(engine, policies, question)
    assert step.command == "kzproxy login"


def test_who_asks_for_nothing_of_the_kind_follows_no_sessions():
    assert not PolicyEngine(AccessPolicySet(rules=(allow("r", ALL),))).follows_sessions
