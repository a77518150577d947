"""The content hash of a policy."""

import re

import pytest
from msgspec.structs import replace

from kzproxy.policy.revision import policy_revision
from kzproxy.policy.rules import NO_CONDITIONS, AccessPolicySet, Conditions, Effect
from tests.policy.samples import OFFICE, OFFICE_HOURS, allow, deny, match, window

RULE = allow(
    "a",
    match("get list", "pods", namespaces="dev prod"),
    conditions=Conditions(networks=(OFFICE,), time=(OFFICE_HOURS,), device_enrolled=True),
)


def revision(*rules):
    return policy_revision(AccessPolicySet(rules=rules))


def test_it_is_32_hexadecimal_digits():
    assert re.fullmatch("[0-9a-f]{32}", revision(RULE))


def test_it_does_not_depend_on_the_order_within_a_list():
    other = replace(RULE, match=(match("list get", "pods", namespaces="prod dev"),))

    assert revision(other) == revision(RULE)


def test_it_does_not_depend_on_the_order_of_entries_and_named_conditions():
    pods, secrets = match("get", "pods"), match("get", "secrets")
    one = replace(RULE, match=(pods, secrets), conditions=Conditions(all_of=("a", "b")))
    other = replace(RULE, match=(secrets, pods, pods), conditions=Conditions(all_of=("b", "a")))

    assert revision(one) == revision(other)


def test_it_stays_the_same_over_versions_of_python():
    assert revision(RULE) == "48e66acceb1aabcde6235747439f78ee"


@pytest.mark.parametrize(
    "change",
    [
        {"id": "b"},
        {"effect": Effect.DENY},
        {"users": frozenset({"ann"})},
        {"groups": frozenset({"ops"})},
        {"match": (match("get", "pods", namespaces="dev prod"),)},
        {"match": (match("get list", "pods", namespaces="dev"),)},
        {"match": (match("get list", urls="/version"),)},
        {"conditions": NO_CONDITIONS},
        {"conditions": replace(RULE.conditions, device_enrolled=False)},
        {"conditions": replace(RULE.conditions, networks=())},
        {"conditions": replace(RULE.conditions, time=())},
        {
            "conditions": replace(
                RULE.conditions, time=(window("office-hours", "UTC", "Mon", "07:00", "20:00"),)
            )
        },
        {"message": "ask"},
    ],
)
def test_it_changes_with_everything_that_a_rule_says(change):
    assert revision(replace(RULE, **change)) != revision(RULE)


def test_it_changes_with_the_order_of_the_rules():
    other = replace(RULE, id="b")

    assert revision(RULE, other) != revision(other, RULE)


def test_it_does_not_depend_on_where_deny_rules_stand_among_allow_rules():
    never = deny("never", match("*", "secrets"))

    assert revision(RULE, never) == revision(never, RULE)
