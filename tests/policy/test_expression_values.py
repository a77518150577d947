"""What an explanation shows of an expression."""

from hypothesis import given
from msgspec.structs import replace

from kzproxy.attributes.attributes import Attributes
from kzproxy.policy.condition_check import Compiler
from kzproxy.policy.expression_values import (
    MAX_PARTS,
    NOT_SHOWN,
    Valued,
    values_in,
)
from kzproxy.policy.rules import AccessPolicySet, Conditions, NamedCondition
from kzproxy.policy.view import RequestView
from tests.policy.samples import OFFICE, asked
from tests.policy.test_expression import Reading, readings

EXEC = "/api/v1/namespaces/dev/pods/web/exec?command=psql&command=hunter2"
NAMED = (
    NamedCondition(name="on-site", conditions=Conditions(networks=(OFFICE,))),
    NamedCondition(name="known", conditions=Conditions(device_enrolled=True)),
)


def values(text: str, attributes: Attributes | None = None) -> Valued:
    policies = AccessPolicySet(rules=(), networks=(OFFICE,), conditions=NAMED)
    view = RequestView(attributes or asked("POST", EXEC), Compiler.of(policies).definitions)
    return values_in(text, view.facts)


def lines(valued: Valued, depth: int = 0) -> list[str]:
    found = [f"{'  ' * depth}{valued.text} {valued.value or valued.error}"]
    return found + [line for part in valued.parts for line in lines(part, depth + 1)]


def test_each_operand_is_shown_with_its_value():
    text = 'request.name == "db" && !(size(user.groups) > 3)\n  || "office" in source.networks'
    assert lines(values(text)) == [
        'request.name == "db" && !(size(user.groups) > 3) || "office" in source.networks false',
        '  request.name == "db" && !(size(user.groups) > 3) false',
        '    request.name == "db" false',
        '      request.name "web"',
        "    !(size(user.groups) > 3) true",
        "      (size(user.groups) > 3) false",
        "        size(user.groups) 1",
        '          user.groups ["dev"]',
        '  "office" in source.networks false',
        "    source.networks []",
    ]


def test_what_is_not_known_is_said_and_only_there():
    text = 'authentication.acr == "phr" || request.name.startsWith("we")'
    assert lines(values(text)) == [
        f"{text} true",
        '  authentication.acr == "phr" cannot be told: authentication.acr is not known',
        "    authentication.acr not known",
        '  request.name.startsWith("we") true',
        '    request.name "web"',
    ]


def test_a_choice_is_shown_with_both_its_ends():
    assert lines(values('device.enrolled ? true : request.name == "a"'))[1:] == [
        "  device.enrolled not known",
        '  request.name == "a" false',
        '    request.name "web"',
    ]


def test_a_named_condition_of_which_nobody_can_tell_is_named():
    assert lines(values('conditions["on-site"] && conditions.known')) == [
        'conditions["on-site"] && conditions.known false',
        '  conditions["on-site"] false',
        "  conditions.known cannot be told: conditions.known is not known",
    ]


def test_an_error_in_an_expression_is_said():
    valued = values('request.namespace_labels["a"] == "b" || user.groups[3] == "x"')
    assert valued.error == "cannot be told: request.namespace_labels is not known"
    error = values('user.groups[3] == "x"').error
    assert error.startswith("error: ")
    assert "index" in error.lower()


def test_what_may_hold_a_secret_is_not_shown():
    attributes = asked("POST", EXEC)
    subject = replace(attributes.subject, extra=(("k/token", ("hunter2",)),))
    attributes = replace(attributes, subject=subject)
    for text in (
        'request.command.join(" ") == "x"',
        'request.command[1].startsWith("h") && size(request.command) == 2',
        'user.extra["k/token"][0] + "x" == "x"',
    ):
        printed = "\n".join(lines(values(text, attributes))).replace(text, "")
        assert "hunter2" not in printed
        assert NOT_SHOWN in printed


def test_a_long_expression_and_long_values_are_cut():
    text = " && ".join(f'request.name != "{number}"' for number in range(28))
    assert len(lines(values(text))) <= MAX_PARTS
    name = "x" * 300
    (_, shown) = lines(values('user.name == "a"', asked_as(name)))
    assert shown == f'  user.name "{"x" * 80}" and 220 more characters'
    assert "\x1b" not in lines(values('user.name == "a"', asked_as("\x1b[1m")))[1]


def asked_as(name: str) -> Attributes:
    attributes = asked("POST", EXEC)
    return replace(attributes, subject=replace(attributes.subject, username=name))


@given(readings)
def test_the_parts_of_an_expression_give_what_the_whole_gives(reading: Reading) -> None:
    whole = values(reading[0])
    assert len(lines(whole)) <= MAX_PARTS
    for valued in every(whole):
        assert (valued.value == "") == (valued.error != "")
        if valued.text.startswith("!") and valued.parts:
            assert {valued.value, valued.parts[0].value} in ({"true", "false"}, {""})


def every(valued: Valued) -> list[Valued]:
    return [valued, *(one for part in valued.parts for one in every(part))]
