"""What nobody can tell never lets anyone in, and never spares anyone from a denial."""

import pytest
from msgspec.structs import replace

from kzproxy.attributes.api_object import ApiObject
from kzproxy.attributes.device import NO_DEVICE, DevicePosture, Fact
from kzproxy.policy.decision import Cause, Deny, Dependency, Permit
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.expression import DeclaredNames, compile_expression
from kzproxy.policy.rules import (
    AccessPolicySet,
    Conditions,
    NamedCondition,
    ObjectFeatures,
    RequestFeatures,
    Tier,
)
from tests.policy.samples import ENROLLED, allow, asked, deny, match

EXEC = "/api/v1/namespaces/dev/pods/a/exec?command=ls"
FAILED = DevicePosture(enrolled=Fact.FAILED, thumbprint="cd" * 32)
EVERYTHING = match("*", "*")
ALLOW_ALL = allow("all", EVERYTHING)
NAMED = (
    NamedCondition(name="enrolled", conditions=Conditions(device_enrolled=True)),
    NamedCondition(name="not-enrolled", conditions=Conditions(device_enrolled=False)),
    NamedCondition(name="tier", conditions=Conditions(device_tier=1)),
    NamedCondition(name="below", conditions=Conditions(device_below_tier=1)),
)
TIERS = (Tier(level=1, name="known", conditions=Conditions(device_enrolled=True)),)


def judge(attributes, *rules):
    engine = PolicyEngine(AccessPolicySet(rules=rules, conditions=NAMED, tiers=TIERS))
    return engine.decide(attributes)


def with_object(attributes, **features):
    return replace(attributes, api_object=ApiObject(**features))


@pytest.mark.parametrize("word", ["all_of", "any_of", "none_of"])
@pytest.mark.parametrize("name", [each.name for each in NAMED])
@pytest.mark.parametrize("device", [NO_DEVICE, FAILED])
def test_a_device_that_is_not_shown_passes_no_named_condition(word, name, device):
    request = asked("GET", "/api/v1/namespaces/dev/pods/a", device=device)
    conditions = Conditions(**{word: (name,)})

    assert isinstance(judge(request, allow("a", EVERYTHING, conditions=conditions)), Deny)
    denied = judge(request, ALLOW_ALL, deny("d", EVERYTHING, conditions=conditions))
    assert isinstance(denied, Deny)
    assert denied.cause is Cause.DENY_RULE


@pytest.mark.parametrize("device", [NO_DEVICE, FAILED, ENROLLED])
def test_a_denial_of_other_devices_spares_exactly_those_that_are_shown(device):
    request = asked("GET", "/api/v1/namespaces/dev/pods/a", device=device)
    for conditions in (Conditions(device_enrolled=False), Conditions(device_below_tier=1)):
        decision = judge(request, ALLOW_ALL, deny("d", EVERYTHING, conditions=conditions))

        assert isinstance(decision, Permit) is (device is ENROLLED)


def test_a_denial_of_one_container_is_not_escaped_by_naming_none():
    conditions = Conditions(request=RequestFeatures(containers=("vault",)))
    rules = (ALLOW_ALL, deny("d", EVERYTHING, conditions=conditions))

    assert isinstance(judge(asked("POST", EXEC), *rules), Deny)
    assert isinstance(judge(asked("POST", f"{EXEC}&container=vault"), *rules), Deny)
    assert isinstance(judge(asked("POST", f"{EXEC}&container=app"), *rules), Permit)


def test_a_command_is_that_of_an_exec():
    conditions = Conditions(request=RequestFeatures(commands=("*",)))
    rule = allow("a", EVERYTHING, conditions=conditions)

    assert isinstance(judge(asked("POST", EXEC), rule), Permit)
    assert isinstance(judge(asked("POST", "/api/v1/namespaces/dev/pods/a/attach"), rule), Deny)


@pytest.mark.parametrize(
    ("images", "is_allowed", "is_denied"),
    [
        (("good/a", "good/b"), True, True),
        (("good/a", "bad/b"), False, True),
        (("bad/a",), False, False),
        ((), False, False),
    ],
)
def test_one_image_that_fits_is_enough_for_a_denial_alone(images, is_allowed, is_denied):
    conditions = Conditions(api_object=ObjectFeatures(images=("good/*",)))
    request = with_object(asked("POST", "/api/v1/namespaces/dev/pods"), images=images)

    allowed = judge(request, allow("a", EVERYTHING, conditions=conditions))
    denied = judge(request, ALLOW_ALL, deny("d", EVERYTHING, conditions=conditions))

    assert isinstance(allowed, Permit) is is_allowed
    assert isinstance(denied, Deny) is is_denied


def test_an_object_that_nobody_looked_at_is_no_error_where_the_rule_fails_without_it():
    conditions = Conditions(device_enrolled=False, api_object=ObjectFeatures(privileged=True))
    rules = (ALLOW_ALL, deny("d", EVERYTHING, conditions=conditions))
    engine = PolicyEngine(AccessPolicySet(rules=rules))
    shown, other = asked("POST", EXEC, device=ENROLLED), asked("POST", EXEC)

    assert not engine.needs_object(shown)
    assert isinstance(engine.decide(shown), Permit)
    assert engine.needs_object(other)
    assert engine.decide(other).cause is Cause.RULE_ERROR


def test_a_patch_passes_what_is_asked_of_the_object_and_nothing_else():
    patch = with_object(asked("PATCH", "/api/v1/namespaces/dev/pods/a"), is_patch=True)
    features = Conditions(api_object=ObjectFeatures(privileged=False))
    when = compile_expression("device.tier >= 1 && !object.privileged", DeclaredNames())
    plain = allow("a", EVERYTHING, conditions=features, patches_allowed=True)
    by_expression = allow("b", EVERYTHING, when=when, patches_allowed=True)

    assert isinstance(judge(patch, plain), Permit)
    assert isinstance(judge(patch, by_expression), Deny)


def test_whoever_sends_a_patch_is_told_that_it_is_what_cannot_be_judged():
    patch = with_object(asked("PATCH", "/api/v1/namespaces/dev/pods/a"), is_patch=True)
    unprivileged = Conditions(api_object=ObjectFeatures(privileged=False))
    why = "(the object is not known: of a patch nobody can tell what it makes, of a whole object"

    allowed = judge(patch, allow("a", EVERYTHING, conditions=unprivileged))
    denied = judge(patch, ALLOW_ALL, deny("d", EVERYTHING, conditions=unprivileged))

    assert allowed.rule == "a"
    assert allowed.hint.startswith(f"rule a cannot be judged, so it allows nothing {why}")
    assert denied.hint.startswith(f"deny rule d cannot be judged {why}")


def test_what_else_goes_wrong_in_a_rule_is_not_told():
    unknown = compile_expression('authentication.acr == "phr"', DeclaredNames())
    decision = judge(asked("POST", EXEC), allow("a", EVERYTHING, when=unknown))

    assert decision.rule == "a"
    assert decision.hint == "rule a cannot be judged, so it allows nothing"


def test_a_denial_for_want_of_an_object_rests_on_it():
    """So that what was decided without it, such as from a log, is known to be uncertain."""
    wanted = Conditions(api_object=ObjectFeatures(privileged=False))
    for rules in (
        [allow("a", EVERYTHING, conditions=wanted)],
        [ALLOW_ALL, deny("d", EVERYTHING, conditions=wanted)],
    ):
        decision = judge(asked("POST", EXEC), *rules)
        assert isinstance(decision, Deny)
        assert Dependency.OBJECT in decision.depends_on
