"""Countries and autonomous systems in rules: what is not known lets nobody in and spares nobody."""

import pytest
from msgspec.structs import replace

from kzproxy.policy.decision import Deny, Dependency, Permit
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.expression import DeclaredNames, compile_expression
from kzproxy.policy.rules import AccessPolicySet, Conditions, NamedCondition
from tests.policy.samples import allow, asked, decide, deny, match

ALL = match("*", "*")
GERMANY = Conditions(countries=frozenset({"DE", "FR"}))
OURS = Conditions(asns=frozenset({64500}))


def at(country: str = "", asn: int = 0):
    question = asked("GET", "/api/v1/namespaces/dev/pods")
    return replace(question, environment=replace(question.environment, country=country, asn=asn))


@pytest.mark.parametrize(
    ("country", "permitted"), [("DE", True), ("FR", True), ("AT", False), ("", False)]
)
def test_a_country_lets_in_where_it_is_known(country, permitted):
    decision = decide([allow("r", ALL, conditions=GERMANY)], at(country))

    assert isinstance(decision, Permit) is permitted
    assert Dependency.LOCATION in decision.depends_on or not permitted


@pytest.mark.parametrize(("country", "permitted"), [("DE", False), ("AT", True), ("", False)])
def test_a_country_that_is_not_known_escapes_no_deny(country, permitted):
    rules = [allow("r", ALL), deny("d", ALL, conditions=GERMANY)]

    assert isinstance(decide(rules, at(country)), Permit) is permitted


@pytest.mark.parametrize(("asn", "permitted"), [(64500, True), (64501, False), (0, False)])
def test_an_autonomous_system_lets_in_where_it_is_known(asn, permitted):
    assert isinstance(decide([allow("r", ALL, conditions=OURS)], at(asn=asn)), Permit) is permitted
    rules = [allow("r", ALL), deny("d", ALL, conditions=OURS)]
    assert isinstance(decide(rules, at(asn=asn)), Permit) is (asn == 64501)


@pytest.mark.parametrize(("country", "permitted"), [("DE", False), ("AT", True), ("", False)])
def test_none_of_some_countries_lets_nobody_in_whose_country_is_not_known(country, permitted):
    named = (NamedCondition(name="there", conditions=GERMANY),)
    rule = allow("r", ALL, conditions=Conditions(none_of=("there",)))
    engine = PolicyEngine(AccessPolicySet(rules=(rule,), conditions=named))

    assert isinstance(engine.decide(at(country)), Permit) is permitted


def test_the_hint_says_where_kzproxy_takes_the_user_to_be():
    rule = allow("r", ALL, conditions=GERMANY)

    assert "wants country DE or FR (you come from AT, by your address 192.0.2.7)" in (
        decide([rule], at("AT")).hint
    )
    assert "nobody knows what country 192.0.2.7 is in" in decide([rule], at()).hint
    systems = decide([allow("r", ALL, conditions=OURS)], at(asn=1))
    assert "wants autonomous system 64500 (you come from 1," in systems.hint


@pytest.mark.parametrize(
    ("text", "country", "asn", "answer"),
    [
        ('source.country == "DE"', "DE", 0, True),
        ('source.country == "DE"', "", 0, None),
        ('source.country != "DE"', "", 0, None),
        ('!(source.country in ["DE", "FR"])', "", 0, None),
        ('source.geoKnown && source.country != "DE"', "", 0, False),
        ('source.geoKnown && source.country != "DE"', "AT", 0, True),
        ("source.asn == 64500", "", 64500, True),
        ("source.asn != 64500", "", 0, None),
    ],
)
def test_expressions_read_where_an_address_is(text, country, asn, answer):
    when = compile_expression(text, DeclaredNames())
    assert when.depends_on == {Dependency.LOCATION}
    decision = decide([allow("r", ALL, when=when)], at(country, asn))

    assert isinstance(decision, Permit) is (answer is True)
    assert bool(decision.errors) is (answer is None)


def test_a_decision_is_not_remembered_for_another_country():
    """The address may be the same object when the database has changed."""
    engine = PolicyEngine(AccessPolicySet(rules=(allow("r", ALL, conditions=GERMANY),)))
    first = at("DE")
    moved = replace(first, environment=replace(first.environment, country="AT"))

    assert isinstance(engine.decide(first), Permit)
    assert isinstance(engine.decide(moved), Deny)
