"""What the engine answers, case by case."""

from datetime import UTC, datetime, timedelta, tzinfo

import pytest
from msgspec.structs import replace

from kzproxy.attributes.device import NO_DEVICE, DevicePosture, Fact
from kzproxy.policy.calendar import Calendar
from kzproxy.policy.decision import Cause, Deny, Dependency, Permit
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.revision import policy_revision
from kzproxy.policy.rules import AccessPolicySet, Conditions, ObjectFeatures
from kzproxy.policy.selectors import LabelRequirement, LabelSelector, Operator
from tests.policy.samples import (
    ENROLLED,
    OFFICE,
    OFFICE_HOURS,
    WEDNESDAY_MORNING,
    allow,
    asked,
    decide,
    deny,
    match,
    subject,
    window,
)

ALL = match("*", "*")
DEV = "/api/v1/namespaces/dev"
PROD = "/api/v1/namespaces/prod"
SATURDAY = datetime(2026, 1, 17, 12, 0, tzinfo=UTC)


class BrokenZone(tzinfo):
    """Stands in for a time zone of the system whose data cannot be read."""

    def utcoffset(self, dt):
        raise OSError("no zone data")


BROKEN_HOURS = Calendar(
    name="broken", zone_name="Broken", zone=BrokenZone(), weekly=OFFICE_HOURS.weekly
)


@pytest.mark.parametrize(
    ("written", "method", "target", "is_permitted"),
    [
        # Verbs
        (match("get", "pods"), "GET", f"{DEV}/pods/p", True),
        (match("get", "pods"), "GET", f"{DEV}/pods", False),
        (match("list", "pods"), "GET", f"{DEV}/pods", True),
        (match("list", "pods"), "GET", f"{DEV}/pods?watch=1", False),
        (match("delete", "pods"), "DELETE", f"{DEV}/pods", False),
        (match("deletecollection", "pods"), "DELETE", f"{DEV}/pods", True),
        (match("*", "pods"), "PATCH", f"{DEV}/pods/p", True),
        (match("get", "pods/log"), "HEAD", f"{DEV}/pods/p/log", True),
        # Groups
        (match("get", "deployments", groups=["apps"]), "GET", "/apis/apps/v1/x/d", False),
        (
            match("list", "deployments", groups=["apps"]),
            "GET",
            "/apis/apps/v1/namespaces/dev/deployments",
            True,
        ),
        (
            match("list", "deployments", groups=[""]),
            "GET",
            "/apis/apps/v1/namespaces/dev/deployments",
            False,
        ),
        (match("list", "pods", groups=["apps"]), "GET", f"{DEV}/pods", False),
        # Resources and subresources
        (match("get", "pods"), "GET", f"{DEV}/pods/p/log", False),
        (match("get", "pods/log"), "GET", f"{DEV}/pods/p/log", True),
        (match("get", "pods/log"), "GET", f"{DEV}/pods/p", False),
        (match("get", "pods/*"), "GET", f"{DEV}/pods/p/log", True),
        (match("get", "pods/*"), "GET", f"{DEV}/pods/p", False),
        (match("get", "pods/*"), "GET", f"{DEV}/services/s/status", False),
        (match("get", "*/status"), "GET", f"{DEV}/services/s/status", True),
        (match("get", "*/status"), "GET", f"{DEV}/services/s", False),
        (match("get", "*"), "GET", f"{DEV}/pods/p/log", True),
        (match("get", "*/*"), "GET", f"{DEV}/pods/p", True),
        # Connections
        (match("get create", "*"), "GET", f"{DEV}/pods/p/exec?command=sh", False),
        (match("get create", "*"), "POST", f"{DEV}/pods/p/exec?command=sh", False),
        (match("connect", "pods/exec"), "GET", f"{DEV}/pods/p/exec?command=sh", True),
        (match("connect", "pods/exec"), "POST", f"{DEV}/pods/p/exec?command=sh", True),
        (match("connect", "pods/exec"), "POST", f"{DEV}/pods/p/attach", False),
        (match("*", "*"), "POST", f"{DEV}/pods/p/portforward", True),
        (match("connect", "*"), "GET", f"{DEV}/services/s/proxy/", False),
        (match("proxy", "services/proxy"), "DELETE", f"{DEV}/services/https:s:443/proxy/x", True),
        # nodes/proxy has to be named
        (match("*", "*"), "GET", "/api/v1/nodes/n/proxy/run", False),
        (match("*", "*/*"), "GET", "/api/v1/nodes/n/proxy/run", False),
        (match("*", "nodes/*"), "GET", "/api/v1/nodes/n/proxy/run", False),
        (match("*", "*/proxy"), "GET", "/api/v1/nodes/n/proxy/run", False),
        (match("*", "* */* nodes/* */proxy"), "POST", "/api/v1/nodes/n:10250/proxy/run", False),
        (match("proxy", "nodes/proxy"), "GET", "/api/v1/nodes/n/proxy/run", True),
        (match("*", "nodes/*"), "GET", "/api/v1/nodes/n/status", True),
        # Namespaces
        (match("list", "pods", namespaces="dev"), "GET", f"{DEV}/pods", True),
        (match("list", "pods", namespaces="dev"), "GET", f"{PROD}/pods", False),
        (match("list", "pods", namespaces="d*"), "GET", f"{DEV}/pods", True),
        (match("list", "pods", namespaces="dev"), "GET", "/api/v1/pods", False),
        (match("list", "pods", namespaces="*"), "GET", "/api/v1/pods", False),
        (match("list", "pods"), "GET", "/api/v1/pods", True),
        (match("list", "*", namespaces="*"), "GET", "/api/v1/nodes", False),
        (match("list", "nodes"), "GET", "/api/v1/nodes", True),
        (match("get", "namespaces", namespaces="dev"), "GET", DEV, True),
        (match("get", "namespaces", namespaces="dev"), "GET", PROD, False),
        # Names
        (match("get", "secrets", names="s1"), "GET", f"{DEV}/secrets/s1", True),
        (match("get", "secrets", names="s1"), "GET", f"{DEV}/secrets/s2", False),
        (match("get", "secrets", names="s*"), "GET", f"{DEV}/secrets/s2", True),
        (match("* ", "secrets", names="*"), "GET", f"{DEV}/secrets", False),
        (
            match("list", "secrets", names="s1"),
            "GET",
            f"{DEV}/secrets?fieldSelector=metadata.name%3Ds1",
            True,
        ),
        (match("proxy", "services/proxy", names="s"), "GET", f"{DEV}/services/s:80/proxy/", True),
        # URLs
        (match("get", urls="/version"), "GET", "/version", True),
        (match("get", urls="/version"), "GET", "/version/", False),
        (match("get", urls="/version"), "HEAD", "/version", False),
        (match("get", urls="/version"), "GET", "/versions", False),
        (match("get", urls="/apis/*"), "GET", "/apis/apps/v1", True),
        (match("get", urls="/apis/*"), "GET", "/apis", False),
        (match("get", urls="/apis/*"), "GET", "/apis/apps/v1/", True),
        (match("get", urls="/apis/apps/v1"), "GET", "/apis/apps/v1/", False),
        (match("*", "*"), "GET", "/apis/apps/v1/", False),
        (match("*", urls="*"), "POST", "/anything", True),
        (match("*", urls="*"), "GET", f"{DEV}/pods", False),
        (match("*", "*"), "GET", "/version", False),
    ],
)
def test_an_allow_rule_reaches_what_it_names(written, method, target, is_permitted):
    decision = decide([allow("r", written)], asked(method, target))

    assert isinstance(decision, Permit) is is_permitted


@pytest.mark.parametrize(
    ("written", "method", "target", "is_denied"),
    [
        # What is named is denied, and nothing else.
        (match("get", "secrets", namespaces="prod"), "GET", f"{PROD}/secrets/s", True),
        (match("get", "secrets", namespaces="prod"), "GET", f"{DEV}/secrets/s", False),
        (match("get", "secrets", names="s"), "GET", f"{PROD}/secrets/t", False),
        (match("get", "secrets", groups=["apps"]), "GET", f"{PROD}/secrets/s", False),
        # All namespaces at once hold the one that is named.
        (match("list", "secrets", namespaces="prod"), "GET", "/api/v1/secrets", True),
        (match("watch", "secrets", namespaces="p*"), "GET", "/api/v1/secrets?watch=true", True),
        (match("*", "secrets", namespaces="prod"), "DELETE", "/api/v1/secrets", True),
        (match("*", "*", namespaces="prod"), "GET", "/apis/example.com/v1/widgets", True),
        (match("get", "secrets", namespaces="prod"), "GET", "/api/v1/secrets", False),
        (
            match("*", "secrets", namespaces="prod"),
            "GET",
            "/api/v1/secrets?fieldSelector=metadata.namespace%3Ddev",
            True,
        ),
        # What no namespace can hold is not touched by a deny for a namespace.
        (match("*", "*", namespaces="prod"), "GET", "/api/v1/nodes", False),
        (match("*", "*", namespaces="prod"), "GET", "/apis/apps/v1/nodes", True),
        (match("*", "*", namespaces="prod"), "GET", "/api/v1/nodes/n", False),
        (match("*", "*", namespaces="prod"), "POST", "/api/v1/namespaces", False),
        # The namespace prod is an object in the namespace prod.
        (match("delete", "namespaces", namespaces="prod"), "DELETE", PROD, True),
        (match("delete", "namespaces", namespaces="prod"), "DELETE", DEV, False),
        (match("*", "*", namespaces="prod"), "GET", "/api/v1/namespaces", False),
        (match("*", "*", namespaces="*"), "GET", "/api/v1/namespaces", True),
        (match("*", "*", names="prod"), "GET", "/api/v1/namespaces?watch=1", False),
        # A list holds the one that is named; so may what is created.
        (match("*", "secrets", names="root-token"), "GET", f"{DEV}/secrets", True),
        (match("*", "secrets", names="root-token"), "GET", f"{DEV}/secrets?watch=1", True),
        (match("*", "secrets", names="root-token"), "DELETE", f"{DEV}/secrets", True),
        (match("*", "secrets", names="root-token"), "POST", f"{DEV}/secrets", True),
        (
            match("*", "secrets", names="root-token"),
            "GET",
            f"{DEV}/secrets?fieldSelector=metadata.name%3Dother",
            False,
        ),
        (
            match("*", "secrets", names="root-token", namespaces="prod"),
            "GET",
            "/api/v1/secrets",
            True,
        ),
        (
            match("*", "secrets", names="root-token", namespaces="prod"),
            "GET",
            f"{DEV}/secrets",
            False,
        ),
        # Wildcards cover everything.
        (match("*", "*"), "GET", "/api/v1/nodes/n/proxy/", True),
        (match("*", "*/*"), "GET", "/api/v1/nodes/n/proxy/", True),
        (match("*", "nodes/*"), "GET", "/api/v1/nodes/n/proxy/", True),
        (match("proxy", "*/proxy"), "GET", "/api/v1/nodes/n/proxy/", True),
        (match("*", "pods/*"), "POST", f"{DEV}/pods/p/exec", True),
        (match("connect", "*"), "GET", f"{DEV}/pods/p/exec", True),
        (match("get", "*"), "GET", f"{DEV}/pods/p/exec", False),
        (match("*", "*/*"), "GET", f"{DEV}/pods/p", True),
        # The port is no way around the name.
        (match("*", "services/proxy", names="s"), "GET", f"{DEV}/services/https:s:1/proxy/", True),
        # URLs
        (match("get", urls="/api"), "GET", "/api/", True),
        (match("get", urls="/apis/apps/v1"), "GET", "/apis/apps/v1/", True),
        (match("get", urls="/apis/apps/v1/"), "GET", "/apis/apps/v1/", True),
        (match("get", urls="/apis/apps"), "GET", "/apis/apps/v1/", False),
        (match("get", urls="/openapi/*"), "GET", "/openapi/v3/apis/apps/v1", True),
        (match("get", urls="/api"), "GET", "/apis", False),
        (match("*", urls="*"), "GET", "/version", True),
        (match("*", urls="*"), "GET", f"{DEV}/pods", False),
    ],
)
def test_a_deny_rule_reaches_what_it_names_and_what_may_include_it(
    written, method, target, is_denied
):
    everything = allow("all", match("*", "* nodes/proxy"), match("*", urls="*"))

    decision = decide([everything, deny("d", written)], asked(method, target))

    assert isinstance(decision, Deny) is is_denied


@pytest.mark.parametrize(
    ("who", "users", "groups", "is_meant"),
    [
        (subject("ann", ""), "ann", "", True),
        (subject("ann", ""), "Ann", "", False),
        (subject("ann", "dev"), "bob", "dev", True),
        (subject("ann", "ops qa"), "", "dev qa", True),
        (subject("ann", "ops"), "", "dev", False),
        (subject("dev", "ops"), "", "dev", False),
        (subject("ann", "bob"), "bob", "", False),
        (subject("ann", ""), "", "system:authenticated", True),
        (subject("ann", "a*"), "a*", "", False),
    ],
)
def test_a_rule_means_its_users_and_groups_exactly(who, users, groups, is_meant):
    rule = allow("r", ALL, users=users, groups=groups)

    decision = decide([rule], asked("GET", f"{DEV}/pods", who=who))

    assert isinstance(decision, Permit) is is_meant


def test_no_rules_deny_everything():
    decision = decide([], asked("GET", "/version"))

    assert decision == Deny(
        attributes=decision.attributes,
        cause=Cause.NO_RULE,
        rule="",
        hint="",
        matched=(),
        revision=policy_revision(AccessPolicySet(rules=())),
        depends_on=frozenset({Dependency.IDENTITY}),
    )


@pytest.mark.parametrize("username", ["", " ", "\t"])
def test_a_blank_user_is_denied_whatever_the_rules(username):
    who = subject(username, "dev")

    decision = decide([allow("r", ALL, groups="system:authenticated")], asked("GET", DEV, who=who))

    assert isinstance(decision, Deny)
    assert "no user name" in decision.hint


@pytest.mark.parametrize("verb", ["", "use", "GET", "head"])
def test_a_verb_that_no_rule_can_name_is_denied_whatever_the_rules(verb):
    attributes = asked("GET", f"{DEV}/pods")
    request = replace(attributes.request, verb=verb)

    decision = decide([allow("r", ALL)], replace(attributes, request=request))

    assert isinstance(decision, Deny)


def test_a_permit_names_the_first_allow_rule_and_all_that_matched():
    rules = [
        allow("other", ALL, groups="ops"),
        allow("first", match("list", "secrets"), match("get", "pods"), match("*", "*")),
        deny("elsewhere", ALL, groups="ops"),
        allow("second", ALL),
    ]

    decision = decide(rules, asked("GET", f"{DEV}/pods/p"))

    assert isinstance(decision, Permit)
    assert decision.rule == "first"
    assert decision.matched == ("first", "second")
    assert decision.revision == policy_revision(AccessPolicySet(rules=tuple(rules)))
    assert decision.valid_until is None
    assert decision.depends_on == {Dependency.IDENTITY}
    assert decision.errors == ()


def test_a_deny_wins_wherever_it_stands():
    rules = [allow("a", ALL), deny("d1", ALL, message="Ask Eve."), allow("b", ALL), deny("d2", ALL)]

    decision = decide(rules, asked("GET", f"{DEV}/pods"))

    assert isinstance(decision, Deny)
    assert decision.cause is Cause.DENY_RULE
    assert decision.rule == "d1"
    assert decision.matched == ("d1", "d2", "a", "b")
    assert decision.hint == "rule d1 denies this. Ask Eve."


@pytest.mark.parametrize(
    ("conditions", "changes", "is_met"),
    [
        (Conditions(networks=(OFFICE,)), {"come_from": "203.0.113.9"}, True),
        (Conditions(networks=(OFFICE,)), {"come_from": "192.0.2.7"}, False),
        (Conditions(time=(OFFICE_HOURS,)), {"at": WEDNESDAY_MORNING}, True),
        (Conditions(time=(OFFICE_HOURS,)), {"at": SATURDAY}, False),
        (Conditions(device_enrolled=True), {"device": ENROLLED}, True),
        (Conditions(device_enrolled=False), {"device": ENROLLED}, False),
        (
            Conditions(networks=(OFFICE,), device_enrolled=True),
            {"device": ENROLLED, "come_from": "192.0.2.7"},
            False,
        ),
    ],
)
def test_a_rule_matches_only_when_all_its_conditions_hold(conditions, changes, is_met):
    attributes = asked("GET", f"{DEV}/pods", **changes)
    allowed = decide([allow("a", ALL, conditions=conditions)], attributes)
    denied = decide([allow("a", ALL), deny("d", ALL, conditions=conditions)], attributes)

    assert isinstance(allowed, Permit) is is_met
    assert isinstance(denied, Deny) is is_met


@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.parametrize("device", [NO_DEVICE, DevicePosture(enrolled=Fact.FAILED)])
def test_a_device_that_is_not_shown_is_let_in_by_no_rule_and_kept_out_by_each(device, wanted):
    attributes = asked("GET", f"{DEV}/pods", device=device)
    conditions = Conditions(device_enrolled=wanted)

    assert isinstance(decide([allow("a", ALL, conditions=conditions)], attributes), Deny)
    denied = decide([allow("a", ALL), deny("d", ALL, conditions=conditions)], attributes)
    assert isinstance(denied, Deny)


def test_a_permit_rests_on_the_conditions_of_its_rule_and_of_the_deny_rules_that_spared_it():
    rules = [
        allow("a", ALL, conditions=Conditions(device_enrolled=True)),
        allow("unused", ALL, conditions=Conditions(time=(OFFICE_HOURS,))),
        deny("d", match("*", "pods"), conditions=Conditions(networks=(OFFICE,))),
        deny("other", match("*", "secrets"), conditions=Conditions(time=(OFFICE_HOURS,))),
    ]

    decision = decide(rules, asked("GET", f"{DEV}/pods", device=ENROLLED))

    assert isinstance(decision, Permit)
    assert decision.depends_on == {Dependency.IDENTITY, Dependency.DEVICE, Dependency.NETWORK}


def test_a_permit_ends_with_the_window_that_gave_it():
    rule = allow("a", ALL, conditions=Conditions(time=(OFFICE_HOURS,)))

    decision = decide([rule], asked("GET", f"{DEV}/pods"))

    assert isinstance(decision, Permit)
    assert decision.valid_until == datetime(2026, 1, 14, 19, 0, tzinfo=UTC)
    assert decision.depends_on == {Dependency.IDENTITY, Dependency.TIME}


def test_a_permit_ends_when_a_deny_window_begins():
    backup = window("backup", "UTC", "Wed", "15:30", "16:00")
    rules = [
        allow("a", ALL, conditions=Conditions(time=(OFFICE_HOURS,))),
        deny("d", ALL, conditions=Conditions(time=(backup,))),
    ]

    decision = decide(rules, asked("GET", f"{DEV}/pods"))

    assert isinstance(decision, Permit)
    assert decision.valid_until == datetime(2026, 1, 14, 15, 30, tzinfo=UTC)


def test_an_open_deny_window_that_another_condition_spares_does_not_end_a_permit():
    conditions = Conditions(time=(OFFICE_HOURS,), networks=(OFFICE,))

    decision = decide(
        [allow("a", ALL), deny("d", ALL, conditions=conditions)], asked("GET", f"{DEV}/pods")
    )

    assert isinstance(decision, Permit)
    assert decision.valid_until is None
    assert decision.depends_on == {Dependency.IDENTITY, Dependency.TIME, Dependency.NETWORK}


def test_one_engine_follows_the_clock_both_ways():
    rule = allow("a", ALL, conditions=Conditions(time=(OFFICE_HOURS,)))
    engine = PolicyEngine(AccessPolicySet(rules=(rule,)))
    times = [WEDNESDAY_MORNING, SATURDAY, WEDNESDAY_MORNING, SATURDAY + timedelta(days=2)]

    decisions = [engine.decide(asked("GET", f"{DEV}/pods", at=at)) for at in times]

    assert [isinstance(d, Permit) for d in decisions] == [True, False, True, True]


def test_a_deny_rule_that_cannot_be_judged_denies():
    rules = [allow("a", ALL), deny("d", ALL, conditions=Conditions(time=(BROKEN_HOURS,)))]

    decision = decide(rules, asked("GET", f"{DEV}/pods"))

    assert isinstance(decision, Deny)
    assert decision.cause is Cause.RULE_ERROR
    assert decision.rule == "d"
    assert decision.errors == (("d", "OSError: no zone data"),)
    assert "deny rule d cannot be judged" in decision.hint
    assert Dependency.TIME in decision.depends_on, "what it failed on may come right"


def test_an_allow_rule_that_cannot_be_judged_allows_nothing():
    broken = allow("broken", ALL, conditions=Conditions(time=(BROKEN_HOURS,)))

    decision = decide([broken], asked("GET", f"{DEV}/pods"))

    assert isinstance(decision, Deny)
    assert decision.cause is Cause.NO_RULE
    assert decision.errors == (("broken", "OSError: no zone data"),)


def test_an_allow_rule_that_cannot_be_judged_leaves_the_others():
    broken = allow("broken", ALL, conditions=Conditions(time=(BROKEN_HOURS,)))

    decision = decide([broken, allow("a", ALL)], asked("GET", f"{DEV}/pods"))

    assert isinstance(decision, Permit)
    assert decision.rule == "a"
    assert decision.errors == (("broken", "OSError: no zone data"),)


def test_an_object_is_asked_for_by_either_effect_and_only_where_a_rule_reaches():
    tame = Conditions(api_object=ObjectFeatures(privileged=False))
    pods = match("*", "pods", namespaces="dev")
    for rule in (allow("r", pods, conditions=tame), deny("r", pods, conditions=tame)):
        engine = PolicyEngine(AccessPolicySet(rules=(rule,)))
        assert engine.needs_object(asked("GET", f"{DEV}/pods/p"))
        assert not engine.needs_object(asked("GET", f"{PROD}/pods/p"))
        assert not engine.needs_object(asked("GET", "/version"))


def test_what_cannot_be_judged_is_left_to_the_decision_where_an_object_may_be_asked_for():
    broken = Conditions(time=(BROKEN_HOURS,), api_object=ObjectFeatures(privileged=False))
    engine = PolicyEngine(
        AccessPolicySet(rules=(allow("a", ALL), deny("d", ALL, conditions=broken)))
    )
    request = asked("GET", f"{DEV}/pods/p")

    assert engine.needs_object(request)
    decision = engine.decide(request)
    assert isinstance(decision, Deny)
    assert decision.cause is Cause.RULE_ERROR


def test_a_decision_rests_on_labels_where_a_rule_selects_by_them():
    requirement = LabelRequirement(key="env", operator=Operator.EXISTS)
    selected = replace(ALL, namespace_selector=LabelSelector(requirements=(requirement,)))
    request = replace(asked("GET", f"{DEV}/pods/p"), namespace_labels=(("env", "x"),))
    other = replace(request, namespace_labels=(("x", "y"),))

    for rules, labels in (
        ([allow("a", selected)], request),
        ([allow("a", selected)], other),
        ([allow("a", ALL), deny("d", selected)], request),
        ([allow("a", ALL), deny("d", selected)], other),
    ):
        assert Dependency.NAMESPACE in decide(rules, labels).depends_on
    assert Dependency.NAMESPACE not in decide([allow("a", ALL)], request).depends_on


def test_rules_that_are_gone_or_read_otherwise_are_altered() -> None:
    same, gone = allow("same", ALL), allow("gone", ALL)
    before = PolicyEngine(AccessPolicySet(rules=(same, gone, allow("other", ALL))))
    changed = allow("other", ALL, groups="ops")
    after = PolicyEngine(AccessPolicySet(rules=(allow("new", ALL), changed, same)))

    assert after.altered_since(before) == {"gone", "other"}
    assert before.altered_since(before) == frozenset()
